"""Parking: a model that makes room gives its GPU memory back and stays, for as long as the host has memory for it.

Who is to make room for another model is parked where `on_swap: park` says so, and who an operator has parked likewise.
A model is parked after it has drained, so no request is with its engine, and it serves again only after it has woken:
the two ways are states of their own, in which it holds its GPUs.

    draining ──last lease──> stopping ──engine asleep──> parked ──claim decided──> starting ──engine awake──> ready
                             (parking)                      │                      (waking)
                                                            └── memory, unload, configuration ──> stopping ──> stopped

Parked models share `park_memory`. Where one more does not fit, those go that have been parked for the longest time: in
the order in which models are asked for again, the least recently used one is the one to lose (as in `core.placement`;
what a load costs is not asked, since all of these would have been stopped without parking). One that does not fit even
alone is stopped, and so is one whose engine does not do what it is told.
"""

import enum
from collections.abc import Iterable
from typing import Protocol


class Sleep(enum.Enum):
    """What an engine does with its GPU memory."""

    AWAKE = enum.auto()
    """It has it, as far as it runs at all."""
    PARKING = enum.auto()
    ASLEEP = enum.auto()
    WAKING = enum.auto()


class Weight(Protocol):
    """What a decision needs to know of a parked model."""

    @property
    def weight(self) -> int:
        """Bytes of host memory."""

    @property
    def since(self) -> float:
        """Since when it is parked."""


def longest[W: Weight](parked: Iterable[W]) -> list[W]:
    """Those who were parked first, first."""
    return sorted(parked, key=lambda record: record.since)


def too_many[W: Weight](parked: Iterable[W], room: int) -> list[W]:
    """Who has to go so that the others fit, the one parked longest first.

    Args:
        parked: Who is parked.
        room: Bytes that they may take together.
    """
    standing = longest(parked)
    taken, leaving = sum(record.weight for record in standing), []
    for record in standing:
        if taken <= room:
            break
        if record.weight:
            leaving.append(record)
            taken -= record.weight
    return leaving
