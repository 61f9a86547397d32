"""`swapperctl simulate`: what it prints, draws and writes, and with which status it ends."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from swapper.ctl import simulate
from swapper.ctl.__main__ import COMMANDS, main
from swapper.simulate import figures, picture, synthetic
from swapper.simulate.policies import POLICIES
from swapper.simulate.timeline import Recorder
from swapper.simulate.world import World
from tests.simulate.test_journal import recorded

SOURCE = Path(os.environ.get("SWAPPER_TEST_SOURCE", Path(__file__).parents[2]))
SVG = "{http://www.w3.org/2000/svg}"
WORKLOAD = """\
{"models": {"a": {"load": 2, "stop": 1, "concurrency": 1}, "b<&>": {"load": 2, "stop": 1, "concurrency": 1}}}
{"at": 0, "model": "a", "seconds": 1}
{"at": 10, "model": "b<&>", "seconds": 1}
"""


@pytest.fixture
def workload(tmp_path: Path) -> Path:
    file = tmp_path / "workload.jsonl"
    file.write_text(WORKLOAD)
    return file


def test_policies_side_by_side(workload: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--workload", str(workload), "--policy", "ours,collation"]) == 0
    assert capsys.readouterr().out == f"""\
{workload}: 2 models on 1 GPU

                                      ours         collation
makespan, s                           14.0              14.0
answered                                 2                 2
rejected                                 0                 0
swaps                                    1                 1
time spent swapping                  35.7%             35.7%
time serving                         14.3%             14.3%

wait, s: p50 / p99 / max   2.0 / 3.0 / 3.0   2.0 / 3.0 / 3.0
  a                        2.0 / 2.0 / 2.0   2.0 / 2.0 / 2.0
  b<&>                     3.0 / 3.0 / 3.0   3.0 / 3.0 / 3.0
"""


def test_figures_for_programs(workload: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--workload", str(workload), "--json", "--seed", "3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["workload"], found["seed"], list(found["policies"])) == (str(workload), 3, list(POLICIES))
    ours = found["policies"]["ours"]
    assert (ours["makespan"], ours["answered"], ours["swaps"], ours["starts"]) == (14.0, 2, 1, 2)
    assert ours["models"]["b<&>"] == {"count": 1, "p50": 3.0, "p99": 3.0, "max": 3.0}
    assert ours["gpus"]["0"] == {"serving": 2 / 14, "swapping": 5 / 14}


def test_many_models_have_a_table_that_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    asked = synthetic.make("poisson", 1)
    results = {policy: figures.Figures.of(World(asked, POLICIES[policy]()).run()) for policy in ("ours", "collation")}
    assert main(["simulate", "--workload", "synthetic:poisson", "--policy", "ours,collation"]) == 0
    out = capsys.readouterr().out
    assert out == figures.as_text(asked, results) + "\n"
    assert max(map(len, out.splitlines())) <= 100
    assert "  GPU 1 " in out


def test_the_same_seed_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    outs = []
    for seed in ("5", "5", "6"):
        assert main(["simulate", "--workload", "synthetic:bursts", "--seed", seed]) == 0
        outs.append(capsys.readouterr().out)
    assert outs[0] == outs[1] != outs[2]


def test_a_workload_is_written_and_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "w.jsonl"
    assert main(["simulate", "--workload", "synthetic:bursts", "--write", str(file), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(["simulate", "--workload", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["policies"] == first["policies"]


def test_what_the_journal_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "journal.json"
    file.write_text("\n".join(recorded()))
    assert main(["simulate", "--journal", str(file), "--policy", "ours"]) == 0
    named = capsys.readouterr().out
    assert ["answered", "4"] in [line.split() for line in named.splitlines()]
    assert "note: 2 requests never got a lease and are left out\n" in named
    assert "note: without --config, each model is taken to need GPU 0 alone" in named
    with file.open() as piped:
        monkeypatch.setattr(sys, "stdin", piped)
        assert main(["simulate", "--journal", "--policy", "ours"]) == 0
    assert capsys.readouterr().out == named.replace(str(file), "standard input")


def test_a_configuration_says_what_fits(workload: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "swapper.yaml"
    model = "{engine: llama, model: m.gguf, gpu_memory: 40%}"
    config.write_text(f"gpus: {{0: {{policy: pack}}}}\nmodels:\n  a: {model}\n  'b<&>': {model}\n")
    assert main(["simulate", "--workload", str(workload), "--config", str(config), "--policy", "ours", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["policies"]["ours"]["swaps"] == 0
    config.write_text("models: {a: {engine: lama}}")
    assert main(["simulate", "--workload", str(workload), "--config", str(config)]) == 2
    assert f"{config}:1: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (WORKLOAD + "oops\n", ":4: this is not JSON"),
        (WORKLOAD + '{"at": 1, "model": "c", "seconds": 1}\n', ":4: there is no model 'c' [workload_wrong]\nThe first"),
    ],
)
def test_a_wrong_file(workload: Path, capsys: pytest.CaptureFixture[str], text: str, message: str) -> None:
    workload.write_text(text)
    assert main(["simulate", "--workload", str(workload)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"swapperctl: {workload}{message}")


def test_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--workload", str(tmp_path / "none")]) == 2
    assert "No such file or directory [workload_unreadable]\n" in capsys.readouterr().err
    assert main(["simulate", "--journal", str(tmp_path / "none")]) == 2
    assert "[workload_unreadable]" in capsys.readouterr().err
    assert main(["simulate", "--workload", "synthetic:nothing"]) == 2
    assert "[workload_unknown]\nThere are alternating, bursts, greedy, poisson, scale.\n" in capsys.readouterr().err
    assert main(["simulate", "--svg", str(tmp_path / "none" / "x.svg")]) == 1
    assert capsys.readouterr().err == f"swapperctl: {tmp_path}/none/x.svg: No such file or directory\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "required: COMMAND"),
        (["nothing"], "invalid choice: 'nothing'"),
        (["simulate", "--policy", "best"], "there is no policy 'best'; there are ours, fcfs, swap-always, collation"),
        (["simulate", "--journal", "x", "--workload", "y"], "not allowed with"),
    ],
)
def test_a_wrong_command_line(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "more"),
    [("simulate", ("--svg", "The first line describes the host")), ("telegram", ("pair", "people", "remove"))],
)
def test_help_has_everything(capsys: pytest.CaptureFixture[str], name: str, more: tuple[str, ...]) -> None:
    for words in (["--help"], [name, "--help"]):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 0
    out = capsys.readouterr().out
    assert all(f"    {command}" in out for command in COMMANDS)
    assert f"swapperctl {name}" in out
    assert all(word in out for word in more)


def test_the_manual_has_every_option() -> None:
    parser = argparse.ArgumentParser()
    simulate.arguments(parser)
    manual = (SOURCE / "docs" / "swapperctl.1").read_text().replace("\\-", "-")
    options = {word for line in parser.format_help().split() if (word := line.strip("[]|,")).startswith("--")}
    assert options >= {"--svg", "--journal"}
    assert [option for option in options - {"--help"} if option not in manual] == []


def test_the_command_line_itself_imports_no_command() -> None:
    script = (
        "import sys; from swapper.ctl.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(sorted(name for name in sys.modules if name.startswith('swapper.')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['swapper.ctl', 'swapper.ctl.__main__']"


def test_a_timeline_of_each_policy(workload: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.svg"
    assert main(["simulate", "--workload", str(workload), "--svg", str(file), "--policy", "ours,fcfs"]) == 0
    root = ET.fromstring(file.read_text())  # noqa: S314 — it is ours
    assert root.tag == f"{SVG}svg"
    words = [text.text for text in root.iter(f"{SVG}text")]
    assert {"ours", "fcfs", "GPU 0", "a", "b<&>", "seconds", "loading", "serving", "draining", "stopping"} <= {*words}
    assert "prefers-color-scheme: dark" in (root.findtext(f"{SVG}style") or "")
    lanes = {lane.findtext(f"{SVG}title"): lane for lane in root.iter(f"{SVG}g")}
    bars = {path.get("class"): path.get("d") for path in lanes["a on GPU 0"].iter(f"{SVG}path")}
    second = (1000 - 190 - 20) / 14
    assert bars["loading"] == f"M190.0 {_top(bars)}h{2 * second:.1f}v13h-{2 * second:.1f}z"
    assert bars["serving"] == f"M{190 + 2 * second:.1f} {_top(bars)}h{second:.1f}v13h-{second:.1f}z"
    assert bars["stopping"] == f"M{190 + 10 * second:.1f} {_top(bars)}h{second:.1f}v13h-{second:.1f}z"
    assert set(bars) == {"loading", "serving", "idle", "stopping", "waits"}


def _top(bars: dict[str | None, str | None]) -> str:
    return (bars["loading"] or "").split()[1].partition("h")[0]


@pytest.mark.parametrize("name", ["alternating", "bursts", "greedy", "poisson"])
def test_a_picture_of_much_is_well_formed_and_no_larger_than_it_has_to_be(name: str) -> None:
    asked, recorder = synthetic.make(name, 1), Recorder()
    tally = World(asked, POLICIES["ours"](), recorder=recorder).run()
    drawn = picture.svg(asked, {"ours": (recorder, tally.ended)})
    assert ET.fromstring(drawn).tag == f"{SVG}svg"  # noqa: S314 — it is ours
    assert len(drawn) < 200_000


def test_a_drain_is_shown() -> None:
    asked, recorder = synthetic.make("greedy", 1), Recorder()
    tally = World(asked, POLICIES["fcfs"](), recorder=recorder).run()
    assert 'class="draining"' in picture.svg(asked, {"fcfs": (recorder, tally.ended)})
