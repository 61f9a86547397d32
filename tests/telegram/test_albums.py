"""An album is complete when nothing more comes."""

from swapper.telegram.albums import PATIENCE, QUIET, wait


def test_it_waits_for_more_after_each_part() -> None:
    assert wait([10.0], 10.0) == QUIET
    assert wait([10.0, 10.5], 10.75) == QUIET - 0.25


def test_quiet_ends_it() -> None:
    assert wait([10.0, 10.5], 10.5 + QUIET) == 0.0


def test_so_does_patience_though_more_may_come() -> None:
    assert wait([10.0, 10.0 + PATIENCE - 0.1], 10.0 + PATIENCE) == 0.0


def test_a_clock_that_was_set_back_holds_nothing_up() -> None:
    assert wait([1000.0], 10.0) == 0.0
