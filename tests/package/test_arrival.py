"""Somebody new: Debian 14, the repository, two commands, an answer; and later the next version, over what was changed.

The file comes first of its folder, since a machine is fresh only once.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.job.house import CONFIG, Load, chat, show, until
from tests.lab import archive, newcomer
from tests.lab.archive import run
from tests.lab.newcomer import SAYS, Way
from tests.package.conftest import Repository

pytestmark = pytest.mark.usefixtures("debian")

MINE = "\n# Mine.\nturns: {min_hold: 2s}\n"
THEIRS = "\n# What the next version says.\nturns: {min_hold: 3s}\n"
THEIR_FILE = CONFIG.with_name(f"{CONFIG.name}.dpkg-dist")
ENGINE = "llama@newcomer"


@pytest.fixture(scope="module")
def way(debian: str, repository: Repository) -> Iterator[Way]:
    """What a new user did."""
    assert debian
    assert not CONFIG.parent.exists(), "this machine is not fresh"
    assert shutil.which("llama-server") is None
    walked = newcomer.walk(repository.url)
    yield walked
    newcomer.MODEL.unlink()


def test_the_last_line_is_the_models_answer(way: Way, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(way.told("Debian 14"))
    assert way.steps[-1][2].splitlines()[-1] == SAYS
    assert way.ours < newcomer.SANE
    assert way.seconds < newcomer.WHOLE


def test_adding_a_model_says_what_to_type_next(way: Way) -> None:
    command, _, printed = way.steps[-2]
    assert command.startswith("swapperctl add ")
    assert printed.splitlines()[-1] == "swapperctl chat newcomer 'Hello!'"


def test_nothing_of_the_package_was_edited(way: Way) -> None:
    assert way.steps
    assert run("dpkg", "--verify", "swapper") == ""


def test_the_engine_came_along(way: Way) -> None:
    assert way.steps
    assert "llama.cpp-tools" in run("dpkg-query", "--search", shutil.which("llama-server") or "none")
    assert show(ENGINE, "ActiveState") == "active"


Publish = Callable[[str, str], None]


@pytest.fixture
def publish(way: Way, repository: Repository, tmp_path: Path) -> Publish:
    """Offer a next version, by the end of its number, and what its configuration file has at the end."""
    assert way.steps
    (current,) = (deb for deb in archive.debs() if deb.name.startswith("swapper_"))

    def offer(suffix: str, text: str) -> None:
        made = archive.later(current, tmp_path, suffix, str(CONFIG), text)
        repository.key.publish(repository.folder, [made], "--url", repository.url)

    return offer


def upgrade(*options: str, text: str | None = None) -> str:
    """Take the newest version, as `apt upgrade` does; what is printed meanwhile."""
    run("apt-get", "update")
    argv = ("apt-get", *options, "install", "--yes", "--only-upgrade", "swapper")
    return run(*argv, env={"DEBIAN_FRONTEND": "noninteractive"}, text=text)


def version() -> str:
    return run("dpkg-query", "--show", "--showformat=${Version}", "swapper")


def runs() -> tuple[str, ...]:
    """What systemd calls this run of the engine, of the socket, and of the router."""
    return tuple(show(unit, "InvocationID") for unit in (ENGINE, "swapper.socket", "swapper.service"))


@pytest.mark.parametrize(
    ("suffix", "options", "typed"),
    [
        ("+1", ("--option=Dpkg::Options::=--force-confdef", "--option=Dpkg::Options::=--force-confold"), None),
        ("+2", (), "\n"),
    ],
    ids=["by options", "by Enter"],
)
def test_an_upgrade_keeps_a_file_that_was_changed_and_nobody_notices(
    publish: Publish, suffix: str, options: tuple[str, ...], typed: str | None
) -> None:
    publish(suffix, f"{THEIRS}# {suffix}\n")
    if MINE not in CONFIG.read_text():
        CONFIG.write_text(CONFIG.read_text() + MINE)
        run("swapperctl", "apply")
    kept = CONFIG.read_text()
    THEIR_FILE.unlink(missing_ok=True)
    assert chat("newcomer").content == SAYS
    engine, socket, router = runs()
    with Load("newcomer") as load:
        load.answers(20)
        told = upgrade(*options, text=typed)
        load.answers(20)
    assert version().endswith(suffix)
    assert str(CONFIG) in told, "whoever reads along is told of the file"
    assert CONFIG.read_text() == kept
    assert THEIR_FILE.read_text().endswith(f"{THEIRS}# {suffix}\n")
    assert (load.failures, set(load.statuses)) == ([], {"200"})
    until(lambda: show("swapper.service", "ActiveState") == "active", "the router runs the new version")
    assert runs()[:2] == (engine, socket)
    assert runs()[2] != router
    assert run("swapperctl", "diff") == "nothing would change\n", "what lies beside it is not read"


def test_an_upgrade_replaces_a_file_that_nobody_changed(publish: Publish) -> None:
    shutil.copy(THEIR_FILE, CONFIG)
    publish("+3", "\n# No news.\n")
    upgrade()
    assert version().endswith("+3")
    assert CONFIG.read_text().endswith("# No news.\n")
    assert chat("newcomer").content == SAYS, "it was added beside that file"
