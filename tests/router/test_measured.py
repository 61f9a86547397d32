"""What models have of the GPUs beside what they declared."""

import logging
from pathlib import Path

import pytest

from swapper.config import Bytes, Config, GpuSettings, Memory, Model, Share
from swapper.core.events import ActiveState, ConfigApplied, UnitChanged
from swapper.core.model import Gpu, Policy
from swapper.core.record import Record
from swapper.core.scheduler import Scheduler
from swapper.host.gpus import Card, Reading
from swapper.router.measured import Measured, Use
from swapper.router.places import Places

GIB = 1 << 30
UNIT = "llama@a.service"


class House:
    """One model on its GPUs, that may run, and what is measured of it."""

    def __init__(
        self, memory: Memory | None, *, configured: int | None = 24 * GIB, gpus: tuple[int, ...] = (0,)
    ) -> None:
        model = Model("a", "llama", Path("/m"), gpus=gpus, gpu_memory=memory)
        settings = tuple(GpuSettings(index, configured, Policy.PACK) for index in gpus)
        self.config = Config(models=(model,), gpus=settings)
        self.scheduler = Scheduler()
        self.measured = Measured(Places(self.config, self.scheduler), self.scheduler)
        cards = tuple(Gpu(index, Policy.PACK) for index in gpus)
        self.scheduler.handle(ConfigApplied((self.config.spec(model),), cards), 0.0)

    def runs(self, invocation: str, at: float) -> None:
        """Its unit has become active."""
        self.scheduler.handle(UnitChanged("a", ActiveState.ACTIVE, invocation), at)

    def stops(self, at: float) -> None:
        self.scheduler.handle(UnitChanged("a", ActiveState.INACTIVE), at)

    def sees(self, used: int | None, at: float, *, total: int | None = 24 * GIB) -> None:
        """Somebody has looked: the unit has so much of each GPU."""
        indexes = [gpu.index for gpu in self.config.gpus]
        cards = {index: Card(index, "X", total, used, None) for index in indexes}
        self.measured.seen(Reading(cards, {(UNIT, index): used for index in indexes}), at)

    @property
    def record(self) -> Record:
        record = self.scheduler.record("a")
        assert record is not None
        return record

    @property
    def uses(self) -> tuple[Use, ...]:
        return self.measured.uses(self.record, UNIT)


@pytest.mark.parametrize(
    ("memory", "configured", "declared"),
    [
        (Bytes(8 * GIB), 24 * GIB, 8 * GIB),
        (Share(250_000), 24 * GIB, 6 * GIB),
        (Share(250_000), 12 * GIB, 3 * GIB),
        (Share(250_000), None, 6 * GIB),
        (None, 24 * GIB, None),
        (None, None, None),
    ],
)
def test_declared_is_a_share_of_what_is_configured_or_measured(
    memory: Memory | None, configured: int | None, declared: int | None
) -> None:
    house = House(memory, configured=configured)
    house.runs("1", 1.0)
    house.sees(GIB, 2.0)
    (use,) = house.uses
    assert (use.declared, use.measured, use.exceeds) == (declared, GIB, False)


def test_nothing_is_known_before_the_first_look_or_of_who_does_not_run() -> None:
    house = House(Share(250_000), configured=None)
    assert house.uses == (Use(0, 0.25, None, None),)
    house.sees(GIB, 1.0)
    assert house.uses == (Use(0, 0.25, 6 * GIB, None),)
    house.measured.seen(None, 2.0)
    assert (house.measured.card(0), house.measured.at) == (None, None)


def test_what_another_run_of_it_had_is_not_shown() -> None:
    house = House(Bytes(8 * GIB))
    house.runs("1", 1.0)
    house.sees(9 * GIB, 2.0)
    house.stops(3.0)
    assert house.uses[0].measured is None
    house.runs("2", 4.0)
    assert house.uses[0].measured is None
    house.sees(7 * GIB, 5.0)
    assert house.uses[0].measured == 7 * GIB


def test_a_warning_for_each_load_and_only_of_what_was_seen_after_it(caplog: pytest.LogCaptureFixture) -> None:
    house = House(Bytes(8 * GIB))
    with caplog.at_level(logging.WARNING):
        house.runs("1", 10.0)
        house.sees(9 * GIB, 9.0)
        assert caplog.records == []
        house.sees(9 * GIB, 11.0)
        house.sees(10 * GIB, 12.0)
        house.stops(13.0)
        house.sees(9 * GIB, 14.0)
        house.runs("2", 15.0)
        house.sees(9 * GIB, 16.0)
    text = "a has 9.0 GiB of GPU 0 in use, and declared 8.0 GiB: say 'gpu_memory: 38%'"
    assert [record.getMessage() for record in caplog.records] == [text, text]
    assert [(vars(record)["MODEL"], vars(record)["GPU"]) for record in caplog.records] == [("a", "0")] * 2
    assert house.measured.hint(house.uses) == text.removeprefix("a has ") + "."


@pytest.mark.parametrize("used", [None, 8 * GIB, int(8.3 * GIB)])
def test_what_is_not_known_or_hardly_more_is_no_matter(used: int | None, caplog: pytest.LogCaptureFixture) -> None:
    house = House(Bytes(8 * GIB))
    house.runs("1", 1.0)
    house.sees(used, 2.0)
    assert [use.exceeds for use in house.uses] == [False]
    assert house.measured.hint(house.uses) == ""
    assert caplog.records == []


def test_each_gpu_is_a_matter_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    house = House(Bytes(8 * GIB), gpus=(0, 1))
    house.runs("1", 1.0)
    house.sees(24 * GIB, 2.0)
    assert [vars(record)["GPU"] for record in caplog.records] == ["0", "1"]
    assert house.measured.hint(house.uses).count("leave 'gpu_memory' out") == 2


def test_memory_that_is_not_there_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    house = House(None, configured=24 * GIB)
    for _ in range(2):
        house.sees(0, 1.0, total=int(23.9 * GIB))
    assert caplog.records == []
    for _ in range(2):
        house.sees(0, 1.0, total=16 * GIB)
    (record,) = caplog.records
    assert record.getMessage() == (
        "GPU 0 has 16.0 GiB of memory, not the 24.0 GiB that 'gpus:' says: correct 'memory' there"
    )
    house.sees(0, 1.0, total=None)
