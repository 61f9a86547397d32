"""The text of a model's drop-in, and what the generator leaves on disk."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from swapper import generator
from swapper.config import Config, EngineSettings, Location, Model, load
from swapper.generator import dropin, main

LLAMA = Model("devstral", "llama", Path("/m/devstral.gguf"), where=Location("/etc/swapper/swapper.yaml", 7))
VLLM = Model("qwen/vl", "vllm", Path("/m/qwen"), where=Location("/etc/swapper/swapper.yaml", 8))
ROUTER = "multi-user.target.wants/swapper.service"


def lines(model: Model, config: Config | None = None) -> list[str]:
    return dropin(model, config or Config(models=(model,))).splitlines()


def values(model: Model, key: str, config: Config | None = None) -> list[str]:
    return [line.partition("=")[2] for line in lines(model, config) if line.partition("=")[0] == key]


def test_the_whole_text() -> None:
    assert (
        dropin(LLAMA, Config())
        == """\
# Written by swapper-generator from /etc/swapper/swapper.yaml at every daemon-reload; changes made here are lost.
# Change that file and run 'systemctl reload swapper', or override lines with 'systemctl edit llama@devstral.service'.

[Unit]
Description=devstral (llama)
RequiresMountsFor=/m/devstral.gguf

[Service]
Environment=CUDA_VISIBLE_DEVICES=0
DeviceAllow=
DeviceAllow=/dev/nvidia0 rw
DeviceAllow=/dev/nvidiactl rw
DeviceAllow=/dev/nvidia-uvm rw
DeviceAllow=/dev/nvidia-uvm-tools rw
TimeoutStartSec=600
ExecStart=
ExecStart=:/usr/bin/python3 -IS /usr/share/swapper/swapper/launch.py \
--socket /run/swapper/llama@devstral/http.sock --health /health --ready /slots --weights /m/devstral.gguf \
--name devstral -- \\
    llama-server --model /m/devstral.gguf --host /run/swapper/llama@devstral/http.sock --alias devstral --metrics
"""
    )


def test_an_engine_without_files_waits_for_none_and_says_which_programs_it_starts() -> None:
    model = Model("voice", "speech", Path("/m"), gpus=(), where=LLAMA.where)
    assert values(model, "RequiresMountsFor") == values(model, "BindReadOnlyPaths") == []
    assert values(model, "DeviceAllow") == [""]
    assert "--needs espeak-ng --needs ffmpeg --name voice -- " in dropin(model, Config())
    home = Config(engines={"speech": EngineSettings(Path("/home/ada/espeak/bin/espeak-ng"))})
    assert values(model, "BindReadOnlyPaths", home) == ['"-/home/ada/espeak"']


def test_a_model_that_moves_in_its_file_is_the_same_unit() -> None:
    assert dropin(replace(LLAMA, where=Location(LLAMA.where.file, 99)), Config()) == dropin(LLAMA, Config())


@pytest.mark.parametrize(
    ("gpus", "visible", "nodes"),
    [((), "", []), ((1,), "1", ["/dev/nvidia1 rw"]), ((0, 2), "0,2", ["/dev/nvidia0 rw", "/dev/nvidia2 rw"])],
)
def test_pins(gpus: tuple[int, ...], visible: str, nodes: list[str]) -> None:
    model = replace(LLAMA, gpus=gpus)
    assert values(model, "Environment") == [f"CUDA_VISIBLE_DEVICES={visible}"]
    cards = [value for value in values(model, "DeviceAllow") if value[-4:-3].isdigit()]
    assert cards == nodes
    assert ("/dev/nvidiactl rw" in values(model, "DeviceAllow")) == bool(gpus)
    assert values(model, "DeviceAllow")[0] == ""


def test_limits_network_and_environment() -> None:
    model = replace(LLAMA, memory_max=1 << 30, load_timeout=90.5, network=True, env=(("A", "x y"), ("B", "100%")))
    assert values(model, "MemoryMax") == [str(1 << 30)]
    assert values(model, "TimeoutStartSec") == ["90.5"]
    assert values(model, "PrivateNetwork") == ["no"]
    assert values(model, "Environment")[-2:] == ['"A=x y"', '"B=100%%"']
    assert values(LLAMA, "PrivateNetwork") == values(LLAMA, "MemoryMax") == []


def test_where_engines_are_looked_for() -> None:
    config = Config(engines={"llama": EngineSettings(search=(Path("/opt/a b"), Path("/opt/c")))})
    assert '"PATH=/opt/a b:/opt/c:/usr/local/bin:/usr/bin:/bin"' in values(LLAMA, "Environment", config)
    assert not any("PATH=" in value for value in values(VLLM, "Environment", config))


def test_only_what_is_needed_from_home_directories_is_shown() -> None:
    cache = Path("/home/ada/.cache")
    split = replace(LLAMA, model=cache / "a:b-00001-of-00002.gguf", mmproj=Path("/srv/p.gguf"))
    assert values(split, "BindReadOnlyPaths") == [
        f'"-{cache}/a:b-00001-of-00002.gguf"', f'"-{cache}/a:b-00002-of-00002.gguf"',
    ]  # fmt: skip
    hub = replace(VLLM, model=cache / "huggingface/hub/models--Qwen--VL/snapshots/1f2e")
    assert values(hub, "BindReadOnlyPaths") == [f'"-{cache}/huggingface/hub/models--Qwen--VL"']
    program = Config(engines={"vllm": EngineSettings(Path("/root/venv/bin/vllm"))})
    assert values(VLLM, "BindReadOnlyPaths", program) == ['"-/root/venv"']
    assert values(LLAMA, "BindReadOnlyPaths") == []


def test_only_an_engine_that_can_start_early_is_told_of_a_gate() -> None:
    (command,) = [line for line in values(replace(VLLM, load_timeout=90.0), "ExecStart") if line]
    imports = "vllm.entrypoints.cli.main,vllm.entrypoints.cli.serve"
    assert f"--gate /run/swapper-gates/vllm@qwen@2fvl --imports {imports} --seconds 90 " in command
    assert not any("--gate" in line for line in values(LLAMA, "ExecStart"))


def test_conversations_have_a_folder_that_is_mounted_for_one_unit_and_somebody_who_fills_it() -> None:
    model = replace(LLAMA, name="a/b", keep_conversations=True)
    (folder,) = values(model, "CacheDirectory")
    assert folder == "swapper/conversations/llama@a@2fb"
    assert values(model, "BindPaths") == [f"/var/cache/{folder}:/run/swapper/llama@a@2fb/conversations"]
    keeper = "-:/usr/bin/python3 -IS /usr/share/swapper/swapper/conversations.py"
    where = "--socket /run/swapper/llama@a@2fb/http.sock --folder /run/swapper/llama@a@2fb/conversations"
    assert values(model, "ExecStartPost") == [f"{keeper} restore {where} --seconds 20"]
    assert values(model, "ExecStop") == [f"{keeper} save {where} --seconds 8"]


def test_taking_up_conversations_leaves_time_for_the_start() -> None:
    (restore,) = values(replace(LLAMA, keep_conversations=True, load_timeout=5), "ExecStartPost")
    assert restore.endswith("--seconds 2.5")


def test_who_keeps_no_conversations_has_nothing_of_it() -> None:
    assert not {"CacheDirectory", "BindPaths", "ExecStartPost", "ExecStop"} & {
        line.partition("=")[0] for line in lines(LLAMA)
    }


def test_saving_ends_before_systemd_would_end_it() -> None:
    template = Path(__file__).parents[2] / "units" / "llama@.service"
    (limit,) = [line for line in template.read_text().splitlines() if line.startswith("TimeoutStopSec=")]
    assert float(limit.partition("=")[2]) > generator.SAVE_SECONDS


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Places of its own for the generator; the configuration is `etc/swapper.yaml`."""
    (tmp_path / "etc").mkdir()
    monkeypatch.setattr("swapper.config.read.FILE", tmp_path / "etc" / "swapper.yaml")
    monkeypatch.setattr("swapper.config.read.FOLDER", tmp_path / "etc" / "conf.d")
    monkeypatch.setattr("swapper.generator.LAST_GOOD", tmp_path / "run" / "config")
    monkeypatch.setattr(generator, "UNITS", tmp_path / "run" / "units.json")
    return tmp_path


def generate(machine: Path, configuration: str) -> tuple[int, dict[str, str]]:
    """Run the generator as at a daemon-reload, with an empty directory; its exit status and the files it made."""
    (machine / "etc" / "swapper.yaml").write_text(configuration)
    folder = machine / f"generator{len(list(machine.iterdir()))}"
    folder.mkdir()
    status = main(["swapper-generator", str(folder), str(folder), str(folder)])
    return status, {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in folder.rglob("*.*")
        if not path.is_dir() or path.is_symlink()
    }


def test_one_file_for_each_model(machine: Path) -> None:
    status, files = generate(
        machine, "models: {a/b: {engine: llama, model: x}, c: {engine: vllm, model: y, preload: true}}"
    )
    assert status == 0
    assert files.keys() == {
        "llama@a@2fb.service.d/50-swapper.conf", "vllm@c.service.d/50-swapper.conf", ROUTER,
    }  # fmt: skip
    assert files[ROUTER] == "/usr/lib/systemd/system/swapper.service"


def test_a_bad_file_keeps_the_units_of_the_last_good_one(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = "models: {a: {engine: llama, model: x, preload: true}}"
    _, before = generate(machine, good)
    status, after = generate(machine, "models: {a: {engine: lama}}")
    assert (status, after) == (1, before)
    assert "'engine' cannot be 'lama'" in capsys.readouterr().err
    (kept,) = (machine / "run" / "config").glob("*.yaml")
    assert kept.read_text() == good
    assert load(kept).models[0].name == "a"


def test_a_bad_file_at_boot_is_no_model_at_all(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate(machine, "modles: {}") == (1, {})
    assert "there are no models until it is good" in capsys.readouterr().err


def test_what_is_kept_is_for_those_who_may_read_the_original(machine: Path) -> None:
    file = machine / "etc" / "swapper.yaml"
    file.touch(mode=0o640)
    generate(machine, "models: {a: {engine: llama, model: x, env: {KEY: secret}}}")
    (kept,) = (machine / "run" / "config").glob("*.yaml")
    assert stat.S_IMODE(kept.stat().st_mode) == stat.S_IMODE(file.stat().st_mode)
    assert stat.S_IMODE((machine / "run" / "units.json").stat().st_mode) == 0o600


def test_what_is_no_longer_there_is_not_kept(machine: Path) -> None:
    extra = machine / "etc" / "conf.d" / "more.yaml"
    extra.parent.mkdir()
    extra.write_text("models: {b: {engine: llama, model: y}}")
    _, files = generate(machine, "models: {a: {engine: llama, model: x}}")
    assert len(files) == 2
    extra.unlink()
    generate(machine, "models: {a: {engine: llama, model: x}}")
    status, files = generate(machine, "broken: [")
    assert (status, len(files)) == (1, 1)
    assert len(list((machine / "run" / "config").iterdir())) == 1


def test_pulls_go_to_where_models_are() -> None:
    assert generator.generate(Config()) == {}, "the template says it"
    unit = "swapper-pull@.service.d/50-swapper.conf"
    elsewhere = generator.generate(Config(models_dir=Path("/srv/my models")))[unit].splitlines()
    assert elsewhere[4:] == [
        'RequiresMountsFor="/srv/my models"', "", "[Service]", 'Environment="SWAPPER_MODELS=/srv/my models"',
        'ReadWritePaths="-/srv/my models"',
    ]  # fmt: skip
    at_home = generator.generate(Config(models_dir=Path("/home/ada/models")))[unit].splitlines()
    assert at_home[-1] == 'BindPaths="-/home/ada/models"'
