"""What shells are told."""

import re
import subprocess
from pathlib import Path

import pytest

from swapper.ctl import completing
from swapper.ctl.__main__ import COMMANDS, main
from tests.test_house import SOURCE

MODULES = {name: command.module for name, command in COMMANDS.items()}


def completed(*words: str) -> set[str]:
    return set(completing.complete(words, MODULES))


@pytest.fixture(autouse=True)
def _configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "swapper.yaml"
    file.write_text("models: {devstral: {engine: llama, model: d.gguf, aliases: [code]}, deep: {engine: speech}}\n")
    monkeypatch.setattr("swapper.config.read.default_paths", lambda: (file,))


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("",), {*COMMANDS, "--help"}),
        (("st",), {"status"}),
        (("load", "de"), {"devstral", "deep"}),
        (("load", "devstral", "c"), {"code"}),
        (("chat", "devstral", "de"), set()),
        (("pin", "devstral", "--b"), {"--back"}),
        (("unload", "--a"), {"--all"}),
        (("telegram", "pa"), {"pair"}),
        (("import", "lla"), {"llama-swap"}),
        (("chat", "-f", ""), set()),
        (("check", ""), set()),
        (("check", "-"), {"-h", "--help", "--json"}),
        (("models", ""), {"-h", "--help", "--json", "--url"}),
        (("nothing", ""), set()),
    ],
)
def test_what_may_come_next(words: tuple[str, ...], found: set[str]) -> None:
    assert completed(*words) == found


def test_every_command_is_in_the_manual_with_every_option() -> None:
    manual = (SOURCE / "docs" / "swapperctl.1").read_text().replace("\\-", "-")
    for name in COMMANDS:
        section = re.search(rf'^\.SS "?{re.escape(name)}\b.*?(?=^\.S[SH] )', manual, re.MULTILINE | re.DOTALL)
        assert section, f"{name} is not in swapperctl(1)"
        for option in completed(name, "--"):
            known = section[0] if option not in {"--json", "--url", "--help"} else manual
            assert option in known, f"{option} of {name} is not in swapperctl(1)"


def test_each_command_has_a_line_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert all(command.help[:20] in said for command in COMMANDS.values())
    assert "__complete" not in said


def test_bash_asks_it(tmp_path: Path) -> None:
    (tmp_path / "swapperctl").write_text('#!/bin/sh\nprintf "%s\\n" "[$*]" two\n')
    (tmp_path / "swapperctl").chmod(0o755)
    script = SOURCE / "packaging" / "completions" / "swapperctl"
    line = f'. {script}; COMP_WORDS=(swapperctl load de); COMP_CWORD=2; _swapperctl; printf "%s\\n" "${{COMPREPLY[@]}}"'
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", line], check=True, capture_output=True, text=True, env=path)
    assert done.stdout.splitlines() == ["[__complete load de]", "two"]
