"""Telegram's limits are kept, and its silences."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swapper.telegram.pacing import GROUP, PRIVATE, RESERVE, bucket


def rush(interval_private: bool, seconds: float) -> list[float]:
    """When messages go out, if there are always more."""
    one, now, times = bucket(private=interval_private), 0.0, list[float]()
    while now < seconds:
        if pause := one.wait(now):
            now += pause
            continue
        one.take(now)
        times.append(now)
    return times


def test_a_few_go_at_once_and_then_one_a_second() -> None:
    times = rush(True, 20)
    assert times[:3] == [0.0, 0.0, 0.0]
    assert len(times) <= 3 + 20 / PRIVATE + 1


def test_groups_get_fewer_than_20_a_minute() -> None:
    times = rush(False, 300)
    assert max(sum(start <= time < start + 60 for time in times) for start in times) <= 18
    assert len(times) >= 300 / GROUP


def test_previews_leave_room_for_what_has_to_be_sent() -> None:
    one = bucket(private=True)
    while not one.wait(0.0, RESERVE):
        one.take(0.0)
    assert not one.wait(0.0)


def test_silence_is_kept_to_its_end() -> None:
    one = bucket(private=True)
    one.bar(10.0, 30.0)
    assert one.wait(10.0) == 30.0
    assert one.wait(39.0) == pytest.approx(1.0)
    assert one.wait(40.0) == 0.0
    one.take(40.0)
    assert one.wait(40.0) > 1.0


def test_a_bucket_that_is_full_again_need_not_be_remembered() -> None:
    one = bucket(private=True)
    one.take(0.0)
    assert not one.full(0.5)
    assert one.full(2.0)


@settings(deadline=None)
@given(st.lists(st.floats(0, 5), max_size=50))
def test_what_is_waited_for_comes(pauses: list[float]) -> None:
    one, now = bucket(private=True), 0.0
    for pause in pauses:
        now += pause
        now += one.wait(now) + 1e-9
        assert one.wait(now) == 0.0
        one.take(now)
