"""Orders to start early, and what becomes of the gate. Systemd is played by the test."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from swapper.config import Config, Model
from swapper.core.actions import Action, StartEarly, StartUnit, StopUnit
from swapper.core.early import Early
from swapper.core.events import ActiveState, ConfigApplied, Event, RequestArrived, RequestOver, UnitChanged
from swapper.core.model import Failure, ModelSpec, State, Turns
from swapper.core.record import Record
from swapper.core.scheduler import Scheduler
from swapper.host.status import JobResult, UnitRefused, UnitStatus
from swapper.router.gates import Gates
from swapper.router.headroom import roomy
from swapper.router.orders import UnitOrders
from swapper.router.places import Places

UNIT = "llama@b.service"


@dataclass
class Systemd:
    """Takes note of what it is asked. A start goes on until the test ends, or until it is stopped."""

    asked: list[str] = field(default_factory=list)
    refuses: str = ""
    active: ActiveState = ActiveState.INACTIVE
    began: asyncio.Event = field(default_factory=asyncio.Event)
    jobs: list[asyncio.Future[JobResult]] = field(default_factory=list)

    async def start(self, unit: str) -> JobResult:
        self.asked.append(f"start {unit}")
        if self.refuses:
            raise UnitRefused(Failure(self.refuses, f"{unit}: no"))
        self.began.set()
        self.jobs.append(asyncio.get_running_loop().create_future())
        return await self.jobs[-1]

    async def stop(self, unit: str) -> JobResult:
        self.asked.append(f"stop {unit}")
        self.active = ActiveState.INACTIVE
        while self.jobs:
            self.jobs.pop().set_result(JobResult.CANCELED)
        return JobResult.DONE

    async def status(self, unit: str) -> UnitStatus:
        return UnitStatus(unit, active=self.active, invocation="1f")


class Stage:
    """A model that answers request 1 drains for another one, which request 2 asks for; that can start early."""

    def __init__(self, folder: Path, *, memory: bool = True) -> None:
        (folder / "gates").mkdir()
        for name in "ab":
            (folder / f"{name}.gguf").write_text("GGUF")
        self.folder = folder / "gates"
        self.systemd, self.scheduler = Systemd(), Scheduler()
        self.places = Places(Config(), self.scheduler)
        self.places.apply(Config(models=tuple(Model(name, "llama", folder / f"{name}.gguf") for name in "ab")))
        self.orders = UnitOrders(
            self.systemd, self.places, self.scheduler, self.feed, lambda *_: None, Gates(self.folder), lambda: memory
        )
        specs = ModelSpec("a"), ModelSpec("b", early=True)
        for event in (
            ConfigApplied(specs, (), Turns(0.0, 1.0)),
            UnitChanged("a", ActiveState.ACTIVE, "0"),
            RequestArrived(1, "a"),
            RequestArrived(2, "b"),
        ):
            self.feed(event)

    def feed(self, event: Event) -> None:
        for action in self.scheduler.handle(event, asyncio.get_running_loop().time()):
            self.carry_out(action)

    def carry_out(self, action: Action) -> None:
        match action:
            case StartUnit():
                self.orders.start(action.model)
            case StartEarly():
                self.orders.start_early(action.model)
            case StopUnit() if action.model == "b":
                self.orders.stop(action.model)

    def makes_room(self) -> None:
        self.feed(RequestOver(1))
        self.feed(UnitChanged("a", ActiveState.INACTIVE, "0"))

    def reports(self, active: ActiveState, invocation: str = "1f") -> None:
        self.systemd.active = active
        self.orders.changed(UnitStatus(UNIT, active=active, invocation=invocation))

    @property
    def b(self) -> Record:
        record = self.scheduler.record("b")
        assert record is not None
        return record

    @property
    def files(self) -> dict[str, str]:
        return {file.name: file.read_text() for file in self.folder.iterdir()}


def play(test: Coroutine[None, None, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await test

    asyncio.run(limited())


async def settled(stage: Stage) -> None:
    """All orders have been carried out, but for starts that go on."""
    while len(tasks := asyncio.all_tasks() - {asyncio.current_task()}) > len(stage.systemd.jobs):
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED, timeout=0.01)


def test_the_gate_is_closed_before_the_start_and_opened_without_another_one(tmp_path: Path) -> None:
    async def test() -> None:
        stage = Stage(tmp_path)
        await stage.systemd.began.wait()
        assert stage.files == {"llama@b": ""}
        assert (tmp_path / "gates/llama@b").stat().st_mode & 0o777 == 0o640
        stage.reports(ActiveState.ACTIVATING)
        assert stage.files == {"llama@b": "1f"}
        assert (stage.b.early, stage.b.invocation, stage.b.holds) == (Early.WAITS, "1f", ())
        stage.makes_room()
        assert stage.files == {"llama@b.open": "1f"}
        await settled(stage)
        stage.reports(ActiveState.ACTIVE)
        assert (stage.b.state, set(stage.b.leases)) == (State.READY, {2})
        assert stage.files == {}
        assert stage.systemd.asked == [f"start {UNIT}"]
        await stage.orders.close()

    play(test())


def test_whose_turn_comes_at_once_is_started_as_ever(tmp_path: Path) -> None:
    async def test() -> None:
        stage = Stage(tmp_path)
        stage.makes_room()
        await stage.systemd.began.wait()
        await settled(stage)
        assert stage.files == {}
        assert stage.systemd.asked == [f"start {UNIT}"]
        await stage.orders.close()

    play(test())


def test_where_memory_is_short_it_waits_for_its_turn(tmp_path: Path) -> None:
    async def test() -> None:
        stage = Stage(tmp_path, memory=False)
        await settled(stage)
        assert (stage.files, stage.systemd.asked, stage.b.appears) == ({}, [], State.STOPPED)
        stage.makes_room()
        await stage.systemd.began.wait()
        assert (stage.files, stage.systemd.asked) == ({}, [f"start {UNIT}"])
        await stage.orders.close()

    play(test())


def test_memory_is_short_before_anybody_who_is_parked_would_have_to_go() -> None:
    assert roomy(8 << 30, 64 << 30)
    assert not roomy(5 << 30, 64 << 30)
    assert not roomy(0, 0), "where nothing is known of it"


def test_a_start_that_is_refused_leaves_no_gate(tmp_path: Path) -> None:
    async def test() -> None:
        stage = Stage(tmp_path)
        stage.systemd.refuses = "model_disabled"
        await settled(stage)
        assert stage.files == {}
        assert (stage.b.state, list(stage.b.waiting)) == (State.DISABLED, [])

    play(test())


def test_files_that_are_missing_are_told_while_the_other_one_stays(tmp_path: Path) -> None:
    async def test() -> None:
        stage = Stage(tmp_path)
        (tmp_path / "b.gguf").unlink()
        await settled(stage)
        assert (stage.b.state, stage.systemd.asked) == (State.INCOMPLETE, [])
        other = stage.scheduler.record("a")
        assert other is not None
        assert other.state is State.READY

    play(test())


@pytest.mark.parametrize("begun", [False, True])
def test_whoever_leaves_the_gate_finds_it_closed_to_the_end(tmp_path: Path, *, begun: bool) -> None:
    async def test() -> None:
        stage = Stage(tmp_path)
        await stage.systemd.began.wait()
        if begun:
            stage.reports(ActiveState.ACTIVATING)
        stage.feed(RequestOver(2))
        leaves = stage.b.early
        assert leaves is Early.LEAVES
        assert "llama@b" in stage.files
        stage.feed(RequestArrived(3, "b"))
        await settled(stage)
        assert stage.b.early is Early.WAITS, "it has left, and is asked for anew"
        assert stage.systemd.asked == [f"start {UNIT}", f"stop {UNIT}", f"start {UNIT}"]
        assert stage.files == {"llama@b": ""}
        await stage.orders.close()

    play(test())


def test_the_end_of_the_run_before_opens_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        stage = Stage(tmp_path)
        await stage.systemd.began.wait()
        stage.reports(ActiveState.INACTIVE, invocation="")
        assert (stage.files, stage.b.early) == ({"llama@b": ""}, Early.WAITS)
        stage.makes_room()
        stage.reports(ActiveState.INACTIVE, invocation="")
        assert (stage.files, stage.b.state) == ({"llama@b.open": ""}, State.STARTING)
        await stage.orders.close()

    play(test())


def test_a_unit_that_is_not_configured_is_not_kept_at_the_gate(tmp_path: Path) -> None:
    async def test() -> None:
        stage = Stage(tmp_path)
        gates = Gates(stage.folder)
        gates.close("vllm@gone.service")
        stage.orders.changed(UnitStatus("vllm@gone.service", active=ActiveState.ACTIVATING, invocation="9"))
        assert "vllm@gone" not in stage.files
        await stage.orders.close()

    play(test())


def test_a_model_that_moves_to_another_engine_is_stopped_where_it_waits(tmp_path: Path) -> None:
    async def test() -> None:
        stage = Stage(tmp_path)
        await stage.systemd.began.wait()
        stage.reports(ActiveState.ACTIVATING)
        (tmp_path / "b").mkdir()
        (tmp_path / "b/config.json").write_text("{}")
        (tmp_path / "b/model.safetensors").write_text("weights")
        models = Model("a", "llama", tmp_path / "a.gguf"), Model("b", "vllm", tmp_path / "b")
        stage.places.apply(Config(models=models))
        stage.feed(ConfigApplied((ModelSpec("a"), ModelSpec("b", fingerprint="2")), (), Turns(0.0, 1.0)))
        await settled(stage)
        stage.makes_room()
        await settled(stage)
        assert stage.systemd.asked == [f"start {UNIT}", f"stop {UNIT}", "start vllm@b.service"]
        await stage.orders.close()

    play(test())
