"""Whose files are read ahead, and when no more: with real files, and a systemd that the test plays."""

import asyncio
import errno
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from swapper.config import Config, EngineSettings, Model, RouterSettings
from swapper.core.actions import Announce, StopUnit
from swapper.core.events import ActiveState, ConfigApplied, Event, RequestArrived, RequestOver, UnitChanged
from swapper.core.scheduler import Scheduler
from swapper.host import pages
from swapper.host.pages import PIECE, absent
from swapper.router.ahead import COMFORT, ReadAhead
from swapper.router.places import Places
from tests.core.playbook import NO_TURNS
from tests.lab.cache import cached, forget, in_cache

SIZE = PIECE + (1 << 20)
PLENTY = SIZE * COMFORT


@pytest.fixture
def folder() -> Iterator[Path]:
    """Files of three models and an engine's program, real bytes on a disk, of which nothing is in the cache."""
    folder = Path(f"/var/tmp/swapper-test-ahead-{os.getpid()}")
    folder.mkdir()
    files = [folder / name for name in ("a", "b", "c", "engine")]
    for file in files:
        file.write_bytes(os.urandom(1 << 20) * (SIZE >> 20))
        file.chmod(0o755)
    for file in files * 2:  # what the file system's journal still holds is not dropped at once
        forget(file)
    disk = not in_cache(files[0], 0, 1)
    if disk:
        assert not any(page for file in files for page in cached(file))
        yield folder
    for file in files:
        file.unlink()
    folder.rmdir()
    if not disk:
        pytest.skip("/var/tmp is no disk")


@pytest.fixture(autouse=True)
def _fine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at more closely, as these are small.

    A disk may be so quick that a page is there before the look at it is over, which has it read. One sample in a MiB is
    enough for gigabytes; of 33, all may meet with that.
    """
    monkeypatch.setattr(pages, "SAMPLE", 1 << 14)


async def comes(path: Path, length: int) -> None:
    """Wait until the beginning of a file is in the cache: the last piece is asked for, and not waited for."""
    async with asyncio.timeout(30):
        while not in_cache(path, 0, length):  # noqa: ASYNC110 — the kernel tells nobody
            await asyncio.sleep(0.01)


class House:
    """Models a and b on GPU 0, c on GPU 1, and somebody who uses a."""

    def __init__(
        self,
        folder: Path,
        available: Callable[[], int] = lambda: PLENTY,
        *,
        on: bool = True,
        program: str = "none",
        park_level: int = 1,
        victim: str = "llama",
    ) -> None:
        models = (
            Model("a", victim, folder / "a"),
            Model("b", "llama", folder / "b", park_level=park_level),
            Model("c", "llama", folder / "c", gpus=(1,)),
        )
        engines = {"llama": EngineSettings(path=folder / program)}
        config = Config(models=models, engines=engines, router=replace(RouterSettings(), read_ahead=on))
        self.scheduler = Scheduler()
        self.ahead = ReadAhead(Places(config, self.scheduler), self.scheduler, available)
        self.handle(ConfigApplied(tuple(map(config.spec, models)), (), NO_TURNS))
        self.handle(UnitChanged("a", ActiveState.ACTIVE, "1"))

    def handle(self, event: Event) -> list[str]:
        """Let it happen; who is to be stopped."""
        actions = self.scheduler.handle(event, asyncio.get_running_loop().time())
        for action in actions:
            if isinstance(action, Announce):
                self.ahead.note(action)
        return [action.model for action in actions if isinstance(action, StopUnit)]

    async def read(self) -> None:
        """Until all has been asked for."""
        await asyncio.gather(*self.ahead._chores._tasks)

    @property
    def reads(self) -> int:
        return len(self.ahead._chores._tasks)


async def test_while_a_model_drains_its_successors_file_is_read(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(folder)
    house.handle(RequestArrived(1, "a"))
    assert house.handle(RequestArrived(2, "b")) == []
    with caplog.at_level(logging.INFO):
        await house.read()
    await comes(folder / "b", SIZE)
    assert not in_cache(folder / "a", 0, SIZE)
    assert not in_cache(folder / "c", 0, SIZE)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"b: {SIZE // 10**6} MB of its files read ahead in ")
    assert vars(record)["MODEL"] == "b"
    assert house.handle(RequestOver(1)) == ["a"]
    assert house.reads == 0


async def test_an_idle_victim_is_reason_enough(folder: Path) -> None:
    house = House(folder)
    assert house.handle(RequestArrived(1, "b")) == ["a"]
    assert house.reads == 1
    await house.read()
    await comes(folder / "b", SIZE)


async def test_the_engines_program_comes_first(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    house = House(folder, lambda: 2 * PLENTY, program="engine", victim="vllm")
    house.handle(RequestArrived(1, "a"))
    house.handle(RequestArrived(2, "b"))
    with caplog.at_level(logging.INFO):
        await house.read()
    await comes(folder / "engine", SIZE)
    await comes(folder / "b", SIZE)
    size = SIZE // 10**6
    (record,) = caplog.records
    assert record.getMessage().startswith(f"b: {size} MB of its files and {size} MB of its engine's read ahead in ")


@pytest.mark.parametrize("victim", ["llama", "vllm"])
async def test_where_the_kernel_does_not_tell_an_engine_that_runs_is_taken_for_present(
    folder: Path, monkeypatch: pytest.MonkeyPatch, victim: str
) -> None:
    """The file system is a double: an overlayfs takes root to mount, and the tests in the machine have one."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EOPNOTSUPP, "as on overlayfs")

    monkeypatch.setattr(os, "preadv", refuse)
    house = House(folder, lambda: 2 * PLENTY, program="engine", victim=victim)
    house.handle(RequestArrived(1, "a"))
    house.handle(RequestArrived(2, "b"))
    await house.read()
    await comes(folder / "b", SIZE)
    if victim != "llama":
        await comes(folder / "engine", SIZE)
    assert in_cache(folder / "engine", 0, SIZE) == (victim != "llama")


async def test_what_is_there_already_is_left_alone(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("b", "engine"):
        (folder / name).read_bytes()
    told = not absent([folder / "b"])  # overlayfs does not tell
    house = House(folder, lambda: 2 * PLENTY, program="engine")
    house.handle(RequestArrived(1, "a"))
    house.handle(RequestArrived(2, "b"))
    with caplog.at_level(logging.INFO):
        await house.read()
    said = [record.getMessage() for record in caplog.records if record.name.startswith("swapper")]
    assert len(said) == (not told)
    assert not any("engine" in message for message in said), "which runs still, for a"


async def test_both_share_the_room(folder: Path) -> None:
    house = House(folder, lambda: (SIZE + (1 << 20)) * COMFORT, program="engine", victim="vllm")
    house.handle(RequestArrived(1, "b"))
    await house.read()
    await comes(folder / "engine", SIZE)
    await comes(folder / "b", 1 << 20)
    assert not in_cache(folder / "b", SIZE - 4096, 4096)


async def test_once_the_engine_starts_its_program_is_its_own_business(folder: Path) -> None:
    def stopped() -> int:
        loop.call_soon_threadsafe(house.handle, UnitChanged("a", ActiveState.INACTIVE))
        return 2 * PLENTY

    loop = asyncio.get_running_loop()
    house = House(folder, stopped, program="engine", victim="vllm")
    house.handle(RequestArrived(1, "b"))
    await house.read()
    await comes(folder / "b", SIZE)
    assert not in_cache(folder / "engine", SIZE - 4096, 4096)


@pytest.mark.parametrize("level", [1, 2])
async def test_for_a_parked_model_nothing_is_read_but_weights_that_it_has_not_kept(folder: Path, level: int) -> None:
    house = House(folder, lambda: 2 * PLENTY, program="engine", victim="vllm", park_level=level)
    house.handle(UnitChanged("b", ActiveState.ACTIVE, "2", parked=True))
    house.handle(RequestArrived(1, "a"))
    house.handle(RequestArrived(2, "b"))
    await house.read()
    if level == 2:
        await comes(folder / "b", SIZE)
    assert in_cache(folder / "b", 0, SIZE) == (level == 2)
    assert not in_cache(folder / "engine", 0, 1 << 20)


async def test_reading_goes_on_while_the_model_starts(folder: Path) -> None:
    def stopped() -> int:
        loop.call_soon_threadsafe(house.handle, UnitChanged("a", ActiveState.INACTIVE))
        return PLENTY

    loop = asyncio.get_running_loop()
    house = House(folder, stopped)
    house.handle(RequestArrived(1, "b"))
    await house.read()
    await comes(folder / "b", SIZE)


async def test_nothing_is_read_for_those_who_left(folder: Path) -> None:
    def leave() -> int:
        loop.call_soon_threadsafe(house.handle, RequestOver(2))
        return PLENTY

    loop = asyncio.get_running_loop()
    house = House(folder, leave)
    house.handle(RequestArrived(1, "a"))
    house.handle(RequestArrived(2, "b"))
    await house.read()
    assert not in_cache(folder / "b", 0, 1 << 20)


async def test_no_more_is_read_than_fits_well(folder: Path) -> None:
    house = House(folder, lambda: COMFORT << 20)
    house.handle(RequestArrived(1, "b"))
    await house.read()
    await comes(folder / "b", 1 << 20)
    assert not in_cache(folder / "b", SIZE - 4096, 4096)


async def test_files_that_are_not_there_or_closed_are_left_to_the_engine(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(folder / "nowhere")
    with caplog.at_level(logging.DEBUG):
        house.handle(RequestArrived(1, "b"))
        await house.read()
    assert [record for record in caplog.records if record.name.startswith("swapper")] == []


async def test_it_can_be_switched_off_and_needs_a_successor(folder: Path) -> None:
    house = House(folder, on=False)
    house.handle(RequestArrived(1, "b"))
    assert house.reads == 0
    house = House(folder)
    house.handle(UnitChanged("a", ActiveState.DEACTIVATING, "1"))
    assert house.reads == 0


async def test_another_gpus_claim_is_no_successor(folder: Path) -> None:
    house = House(folder)
    house.handle(UnitChanged("c", ActiveState.ACTIVE, "2"))
    house.handle(RequestArrived(1, "a"))
    house.handle(RequestArrived(2, "b"))
    await house.read()
    house.handle(UnitChanged("c", ActiveState.DEACTIVATING, "2"))
    assert house.reads == 0


async def test_the_end_ends_reading(folder: Path) -> None:
    house = House(folder)
    house.handle(RequestArrived(1, "b"))
    await house.ahead.close()
    assert house.reads == 0
