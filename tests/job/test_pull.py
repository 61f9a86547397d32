"""`swapperctl pull` as installed: the unit, the hub's library, a hub on loopback, and disks of several kinds."""

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from swapper.pull import told
from swapper.pull.source import parse
from swapper.pull.told import Report
from tests.job import house
from tests.job.house import MODELS, ask, chat, configure, journal, main_pid, run, show, state, until
from tests.job.test_ctl import CONF, ctl
from tests.job.test_disk import fill
from tests.lab import hub as lab
from tests.lab.gguf import write_model
from tests.lab.hub import TOKEN, Hub, Trouble
from tests.lab.mmproj import write_projector

DROPIN = Path("/run/systemd/system/swapper-pull@.service.d/60-test.conf")
CREDENTIAL = Path("/etc/credstore/swapper-pull.token")
SOURCE = "hf:ada/tiny-GGUF:Q4_K_M"
UNIT = parse(SOURCE).unit
NAME = "tiny-Q4_K_M.gguf"
PLACE = MODELS / "ada" / "tiny-GGUF" / NAME
MIB = 1 << 20


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model of some MiB."""
    path = tmp_path_factory.mktemp("gguf") / NAME
    write_model(path, "I was pulled.", size_mb=12)
    return path.read_bytes()


@pytest.fixture
def hub(gguf: bytes) -> Iterator[Hub]:
    """A hub with a model in two quantisations, which the unit takes for huggingface.co."""
    with lab.serve() as serving:
        serving.add("ada/tiny-GGUF", {NAME: gguf, "tiny-Q8_0.gguf": gguf + b"8", "README.md": b"# tiny\n"})
        DROPIN.parent.mkdir(parents=True, exist_ok=True)
        DROPIN.write_text(f"[Service]\nEnvironment=HF_ENDPOINT={serving.url}\n")
        run("systemctl", "daemon-reload")
        yield serving
        run("systemctl", "stop", "swapper-pull@*.service", check=False)
    run("systemctl", "reset-failed", check=False)
    shutil.rmtree(DROPIN.parent)
    for path in (MODELS / "ada", MODELS / ".pull", told.FOLDER):
        shutil.rmtree(path, ignore_errors=True)
    for file in (CREDENTIAL, *CONF.glob("*.yaml")):
        file.unlink(missing_ok=True)
    run("systemctl", "daemon-reload")


def report(source: str = SOURCE) -> Report:
    found = told.read(parse(source).instance)
    assert found is not None
    return found


@contextlib.contextmanager
def coming(hub: Hub, after: int = 5 * MIB, *words: str) -> Iterator[tuple[Trouble, "subprocess.Popen[str]"]]:
    """A pull that stands still in the middle, and the command that began it."""
    held = hub.trouble(NAME, Trouble(held=True, after=after))
    argv = ["swapperctl", "pull", SOURCE, *words]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert held.standing.wait(house.PATIENCE), journal(UNIT)
            until(lambda: report().done > after - MIB, "it says how far it is")
            yield held, process
        finally:
            held.go.set()


def end(process: "subprocess.Popen[str]") -> str:
    said, _ = process.communicate(timeout=house.PATIENCE)
    assert process.returncode == 0, said
    return said


def test_a_model_that_is_configured_says_how_far_it_is_and_answers_once_it_is_there(hub: Hub) -> None:
    configure(f"{house.BASIC}  tiny: {{engine: llama, model: ada/tiny-GGUF/{NAME}, context: 2048}}\n")
    assert (state("tiny"), ask("GET", "/api/models/tiny").json["progress"]) == ("incomplete", None)
    with coming(hub) as (held, process):
        for answer in (ask("GET", "/v1/models/tiny"), ask("GET", "/api/models/tiny")):
            assert answer.json["state"] == "incomplete"
            assert 30 < answer.json["progress"] < 60
        refused = chat("tiny")
        assert (refused.status, refused.error["code"]) == (503, "model_incomplete")
        assert f"{SOURCE} is being pulled" in refused.error["message"]
        assert "% are there" in ctl("status")
        assert show(UNIT, "ActiveState") == "activating"
        until(lambda: "% of " in show(UNIT, "StatusText"), "systemctl status says how far it is")
        with contextlib.closing(house.connect()) as connection:
            connection.request("GET", "/api/events")
            events = connection.getresponse()
            house._next_event(events)
            held.go.set()
            while "new" not in (event := house._next_event(events)):
                assert event["percent"] > 30
            assert (event["model"], event["new"]) == ("tiny", "stopped"), "whoever watches is told when it is there"
            events.close()
        said = end(process)
    assert said == f"{SOURCE}: {PLACE.stat().st_size / MIB:.1f} MiB in {PLACE}\nswapperctl chat tiny 'Hello!'\n"
    assert chat("tiny").content == "I was pulled."
    there = PLACE.stat()
    assert (there.st_uid, there.st_mode & 0o777) == (0, 0o644)
    assert list((MODELS / ".pull" / "parts").iterdir()) == list((MODELS / ".pull" / "ready").iterdir()) == []
    sent = hub.sent
    assert ctl("pull", SOURCE) == said
    assert hub.sent == sent, "what is there is not fetched again"


def test_a_new_user_pulls_adds_and_chats(hub: Hub, tmp_path: Path) -> None:
    write_projector(tmp_path / "p.gguf", "vision")
    hub.repositories["ada/tiny-GGUF"]["mmproj-F16.gguf"] = (tmp_path / "p.gguf").read_bytes()
    said = ctl("pull", SOURCE, "--add")
    assert said.endswith("/etc/swapper/conf.d/tiny.yaml\nswapperctl chat tiny 'Hello!'\n")
    assert ctl("chat", "tiny", "Hello!") == "I was pulled.\n"
    model = ask("GET", "/api/models/tiny").json
    assert "vision" in model["capabilities"], "with the projector beside it"
    second = ctl("pull", "hf:ada/tiny-GGUF:Q8_0")
    assert second.endswith(f"swapperctl add {PLACE.with_name('tiny-Q8_0.gguf')}\n")
    assert {path.name for path in PLACE.parent.iterdir()} == {NAME, "tiny-Q8_0.gguf", "mmproj-F16.gguf"}
    added = ctl("add", str(PLACE.with_name("tiny-Q8_0.gguf")), "--name", "tiny-8", "--print")
    assert "mmproj-F16.gguf" in added, "two quantisations of one model have one projector"


def test_a_folder_for_vllm_comes_whole(hub: Hub) -> None:
    files = {
        "config.json": b'{"model_type": "llama", "max_position_embeddings": 512}', "README.md": b"#\n",
        "model.safetensors": bytes(3 * MIB), "pytorch_model.bin": bytes(MIB), "sub/tokenizer.json": b"{}",
    }  # fmt: skip
    hub.add("ada/folder", files)
    configure(f"{house.BASIC}  folder: {{engine: vllm, model: ada/folder}}\n")
    assert state("folder") == "incomplete"
    told_of = json.loads(ctl("pull", "hf:ada/folder", "--json"))
    place = MODELS / "ada" / "folder"
    assert (told_of["path"], told_of["total"], told_of["stage"]) == (str(place), told_of["done"], "done")
    here = {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert here == {name: content for name, content in files.items() if not name.endswith(".bin")}
    assert {path.owner() for path in (place, *place.rglob("*"))} == {"root"}
    assert state("folder") == "stopped"


def test_ctrl_c_leaves_it_running_and_says_so(hub: Hub) -> None:
    held = hub.trouble(NAME, Trouble(held=True, after=5 * MIB))
    ours, theirs = pty.openpty()
    argv = ["swapperctl", "pull", SOURCE]
    with subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        seen = bytearray()
        while b" % " not in seen:
            seen += os.read(ours, 4096)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all that is in front
        with contextlib.suppress(OSError):  # the other side is closed
            while data := os.read(ours, 4096):
                seen += data
        assert process.wait(house.PATIENCE) == 130
    os.close(ours)
    assert "It goes on without you: systemctl status" in seen.decode()
    assert show(UNIT, "ActiveState") == "activating"
    threading.Timer(0.5, held.go.set).start()
    assert f"in {PLACE}" in ctl("pull", SOURCE), "the same command follows it"


def test_two_pulls_of_the_same_are_one(hub: Hub, gguf: bytes) -> None:
    with coming(hub) as (held, process):
        argv = ["swapperctl", "pull", SOURCE]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as second:
            assert "waits" not in show(UNIT, "StatusText")
            assert ctl("pull", SOURCE, "--no-wait") == f"systemctl status '{UNIT}'\n"
            held.go.set()
            assert end(process) == end(second)
    assert hub.sent == len(gguf)


def test_kill_9_and_the_same_command_goes_on(hub: Hub, gguf: bytes) -> None:
    with coming(hub, 9 * MIB) as (_, process):
        note = next((MODELS / ".pull" / "parts").glob("*.part")).with_suffix(".note")
        until(lambda: note.exists() and sum(json.loads(note.read_text())["done"]) > 8 * MIB, "it is noted")
        os.kill(main_pid(UNIT), signal.SIGKILL)
        said, _ = process.communicate(timeout=house.PATIENCE)
        assert process.returncode == 1
        assert "it was ended before it was done (signal)" in said
        assert "the same command goes on" in said
        assert show(UNIT, "ActiveState") == "failed"
    assert not PLACE.exists()
    del hub.troubles[NAME]
    before = hub.sent
    ctl("pull", SOURCE)
    assert PLACE.read_bytes() == gguf
    assert hub.sent - before < len(gguf) - 8 * MIB


def test_a_stop_is_no_end(hub: Hub, gguf: bytes) -> None:
    with coming(hub, 9 * MIB) as (_, process):
        run("systemctl", "stop", UNIT)
        said, _ = process.communicate(timeout=house.PATIENCE)
        assert (process.returncode, "it was stopped" in said) == (1, True), said
        assert show(UNIT, "ActiveState") == "inactive"
    del hub.troubles[NAME]
    before = hub.sent
    ctl("pull", SOURCE)
    assert (PLACE.read_bytes() == gguf, hub.sent - before < len(gguf) - 8 * MIB) == (True, True)


def test_broken_connections_cost_little(hub: Hub, gguf: bytes) -> None:
    hub.trouble(NAME, Trouble(breaks=6, after=MIB, statuses=[503, 429]))
    ctl("pull", SOURCE)
    assert PLACE.read_bytes() == gguf
    assert hub.sent < len(gguf) + 6 * MIB


def test_a_wrong_checksum_places_nothing(hub: Hub, gguf: bytes) -> None:
    hub.trouble(NAME, Trouble(wrong=True))
    said = ctl("pull", SOURCE, status=1)
    assert f"{NAME} is not what the hub says it is" in said
    assert not PLACE.exists()
    del hub.troubles[NAME]
    ctl("pull", SOURCE)
    assert PLACE.read_bytes() == gguf


@contextlib.contextmanager
def elsewhere(folder: Path) -> Iterator[Path]:
    """Models are somewhere else."""
    configure(f"models_dir: {folder}\n{house.BASIC}")
    yield folder / "ada" / "tiny-GGUF" / NAME


def test_a_disk_that_is_too_small_and_one_that_gets_full(hub: Hub, gguf: bytes) -> None:
    folder = Path("/srv/small")
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={len(gguf) + 70 * MIB}", "test-disk", str(folder))
    try:
        with elsewhere(folder) as place:
            filler = fill(folder)
            os.truncate(filler, filler.stat().st_size - MIB)
            said = ctl("pull", SOURCE, status=1)
            assert "has 1.0 MiB free" in said
            assert "make room" in said
            assert hub.sent == 0
            filler.unlink()
            with coming(hub) as (held, process):
                filler = fill(folder)
                held.go.set()
                said, _ = process.communicate(timeout=house.PATIENCE)
                assert process.returncode == 1
                assert f"the disk of {folder}/.pull/parts is full" in said
            assert not place.exists()
            filler.unlink()
            before = hub.sent
            ctl("pull", SOURCE)
            assert place.read_bytes() == gguf
            assert hub.sent - before < len(gguf) - 4 * MIB, "what had come was kept"
    finally:
        run("umount", "--lazy", str(folder))
        folder.rmdir()


@pytest.mark.usefixtures("hub")
def test_models_in_a_home_that_is_closed_to_others_are_their_owners(gguf: bytes) -> None:
    run("useradd", "--create-home", "ada")
    home = Path("/home/ada")
    try:
        home.chmod(0o700)
        (home / "models").mkdir()
        shutil.chown(home / "models", "ada", "ada")
        with elsewhere(home / "models") as place:
            ctl("pull", SOURCE)
            assert place.read_bytes() == gguf
            assert {path.owner() for path in (place.parent.parent, place.parent, place)} == {"ada"}
            ctl("pull", "hf:ada/tiny-GGUF:Q8_0")
            assert place.with_name("tiny-Q8_0.gguf").owner() == "ada"
    finally:
        run("userdel", "--remove", "ada", check=False)


@pytest.mark.usefixtures("hub")
def test_a_link_in_the_way_of_root_is_not_followed() -> None:
    secret = MODELS / "secret"
    secret.mkdir()
    (MODELS / ".pull").symlink_to(secret)
    try:
        assert "/var/lib/swapper/models" in ctl("pull", SOURCE, status=1)
        assert (secret.owner(), list(secret.iterdir())) == ("root", [])
    finally:
        (MODELS / ".pull").unlink()
        secret.rmdir()


def test_a_repository_that_is_not_for_everybody_takes_a_token(hub: Hub, gguf: bytes) -> None:
    hub.gated.add("ada/tiny-GGUF")
    said = ctl("pull", SOURCE, status=1)
    assert "is not for everybody" in said
    assert str(CREDENTIAL) in said
    CREDENTIAL.parent.mkdir(mode=0o700, exist_ok=True)
    CREDENTIAL.write_text(f"{TOKEN}\n")
    CREDENTIAL.chmod(0o600)
    ctl("pull", SOURCE)
    assert PLACE.read_bytes() == gguf
    assert TOKEN not in journal(UNIT) + json.dumps(report().details)


@pytest.mark.parametrize(
    ("source", "status", "words"),
    [
        ("ada/tiny-GGUF", 2, "is nothing to pull"),
        ("hf:ada/nothing", 1, "there is no ada/nothing at http://127.0.0.1:"),
        ("hf:ada/tiny-GGUF:Q5_K_M", 2, "neither a file nor a quantisation Q5_K_M"),
        ("hf:ada/several", 2, "name one, after a colon"),
    ],
)
def test_what_cannot_be_pulled_says_why(hub: Hub, source: str, status: int, words: str) -> None:
    hub.add("ada/several", {"a-Q8_0.gguf": b"a", "b-Q8_0.gguf": b"b"})
    assert words in ctl("pull", source, status=status)


def test_a_hub_that_is_not_there_is_told_soon(hub: Hub) -> None:
    DROPIN.write_text("[Service]\nEnvironment=HF_ENDPOINT=http://127.0.0.1:9\n")
    run("systemctl", "daemon-reload")
    said = ctl("pull", SOURCE, status=1)
    assert "http://127.0.0.1:9 does not answer" in said
    assert "HF_ENDPOINT" in said
    assert not hub.asked


def test_only_root_may_have_it_started(hub: Hub) -> None:
    said = ctl("pull", SOURCE, status=1, user="nobody")
    assert "this is for root" in said
    assert "authentic" in run("runuser", "-u", "swapper", "--", "systemctl", "start", UNIT, check=False).lower() or (
        "denied" in run("runuser", "-u", "swapper", "--", "systemctl", "start", UNIT, check=False).lower()
    )
    assert not hub.asked


@pytest.mark.usefixtures("hub")
def test_who_fetches_may_write_to_one_folder_and_reads_no_secrets() -> None:
    ctl("pull", SOURCE)
    script = (
        "import os, pathlib\n"
        "for place in ('/var/lib/swapper/models', '/var/lib/swapper/models/.pull', '/etc', '/var/tmp/..', '/usr'):\n"
        "    assert not os.access(place, os.W_OK), place\n"
        "assert os.access('/var/lib/swapper/models/.pull/parts', os.W_OK)\n"
        "assert not os.access('/etc/shadow', os.R_OK) and not list(pathlib.Path('/home').iterdir())\n"
        "assert os.getuid() != 0\n"
    )
    probe = Path("/run/systemd/system/swapper-pull@probe.service.d/probe.conf")
    probe.parent.mkdir()
    try:
        Path("/run/pull-probe.py").write_text(script)
        probe.write_text("[Service]\nExecStartPre=\nExecStart=\nExecStart=/usr/bin/python3 /run/pull-probe.py\n"
                         "ExecStopPost=\n")  # fmt: skip
        run("systemctl", "daemon-reload")
        run("systemctl", "start", "swapper-pull@probe.service")
    finally:
        shutil.rmtree(probe.parent)
        Path("/run/pull-probe.py").unlink()


def test_without_the_library_it_says_what_to_install_and_takes_a_virtual_environment(hub: Hub, gguf: bytes) -> None:
    library = Path("/usr/lib/python3/dist-packages/huggingface_hub")
    with DROPIN.open("a") as dropin:
        dropin.write(f"InaccessiblePaths={library}\n")
    run("systemctl", "daemon-reload")
    said = ctl("pull", SOURCE, status=1)
    assert "huggingface_hub is not installed" in said
    assert "python3 -m venv /opt/huggingface-hub" in said
    assert not hub.asked
    venv = Path("/opt/huggingface-hub")
    packages = venv / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    try:
        shutil.copytree(library, packages / library.name)
        ctl("pull", SOURCE)
        assert PLACE.read_bytes() == gguf
    finally:
        shutil.rmtree(venv)
