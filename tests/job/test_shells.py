"""What shells make of Tab: the completions that the package brings, in real shells, with the installed swapperctl."""

import os
import pty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import pytest

from swapper.ctl.__main__ import COMMANDS
from tests.job.house import PATIENCE, run
from tests.lab.terminal import Shown

SHELLS = {
    "bash": (("bash", "--norc", "-i"), ". /usr/share/bash-completion/completions/swapperctl"),
    "zsh": (("zsh", "-f", "-i"), "autoload -Uz compinit && compinit -u"),
}
"""How each is started without its user's configuration, and what that configuration would say."""

PROMPT = b"at your service> "


@contextmanager
def terminal(shell: str) -> Iterator[Callable[[str, str], None]]:
    """A shell at a terminal. What is given types something, and waits until something is shown."""
    argv, setup = SHELLS[shell]
    ours, theirs = pty.openpty()
    seen = Shown()

    def typed(text: str, shown: str) -> None:
        def found() -> bool:
            # What has been entered is over once the prompt is there again: until then the terminal, and not the shell,
            # would take what is typed next.
            said = seen.data[before:].rpartition(shown.encode())
            return bool(said[1]) and (not text.endswith("\r") or PROMPT in shown.encode() + said[2])

        before = len(seen.data)
        os.write(ours, text.encode())
        seen.wait(found, PATIENCE)

    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1", "HOME": "/root"}
    with Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True) as process:
        os.close(theirs)
        seen.read(ours)
        try:
            # The prompt is written otherwise than it is shown, so that the echo is not taken for it.
            typed(f"{setup}; PS1=$'at \\x79our service> '\r", PROMPT.decode())
            yield typed
        finally:
            process.kill()
    seen.end(PATIENCE)
    os.close(ours)


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_at_a_terminal(shell: str) -> None:
    with terminal(shell) as typed:
        typed("swapperctl stat\t\r", "swapper at http://127.0.0.1:8000: ok")
        typed("swapperctl load fir\t\r", "alpha is ready")
        typed("swapperctl models --js\t\r", '"capabilities"')
        typed("swapperctl check /etc/swapper/swapper.y\t\r", "no mistakes")
        typed("swapperctl load \t\t", "gamma")


def in_fish(line: str) -> set[str]:
    """What fish offers for a line."""
    said = run("fish", "-c", f"complete --do-complete '{line}'")
    return {each.partition("\t")[0] for each in said.splitlines()}


def test_fish_offers_what_there_is() -> None:
    assert in_fish("swapperctl ") == {*COMMANDS, "--help"}
    assert in_fish("swapperctl stat") == {"status"}
    assert in_fish("swapperctl load fir") == {"first"}
    assert in_fish("swapperctl load ") >= {"alpha", "first", "beta", "gamma", "--json"}
    assert in_fish("swapperctl load alpha b") == {"beta"}
    assert in_fish("swapperctl models --js") == {"--json"}
    assert in_fish("swapperctl check /etc/swapper/swapper.y") == {"/etc/swapper/swapper.yaml"}
    files = {f"{each.name}/" for each in Path().iterdir() if each.is_dir() and not each.name.startswith(".")}
    assert not in_fish("swapperctl load ") & files, "where a model is meant, files are not"
    assert in_fish("swapperctl check ") >= files
