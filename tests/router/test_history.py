"""What is remembered of an hour: bounded, and true to when models served."""

from swapper.router.history import HOUR, KEPT, PAUSE, History
from swapper.router.wire.ports import Record


class Clock:
    now = 10_000.0

    def __call__(self) -> float:
        return self.now


def record(model: str = "a", *, total: float = 1.0, queued: float | None = 0.0, **more: object) -> Record:
    fields: dict[str, object] = {
        "id": "1", "model": model, "method": "POST", "path": "/v1/chat/completions", "status": 200, "queued": queued,
        "first": 0.1, "total": total, "received": 1, "sent": 1, "reason": "", "route": "/v1/chat/completions",
    }  # fmt: skip
    return Record(**(fields | more))  # type: ignore[arg-type]


def remembered() -> tuple[History, Clock]:
    clock = Clock()
    return History(clock), clock


def spans(history: History) -> dict[str, list[tuple[float, float, int]]]:
    return {model: [(span.begin, span.end, span.requests) for span in found] for model, found in history.served()}


def test_a_model_serves_from_the_lease_to_the_end() -> None:
    history, _ = remembered()
    history.note(record(total=8.0, queued=3.0))
    assert spans(history) == {"a": [(9_995.0, 10_000.0, 1)]}


def test_requests_that_follow_each_other_are_one_time() -> None:
    history, clock = remembered()
    history.note(record())
    clock.now += PAUSE + 1.0
    history.note(record())
    assert spans(history) == {"a": [(9_999.0, clock.now, 2)]}
    clock.now += PAUSE + 1.5
    history.note(record())
    assert [requests for *_, requests in spans(history)["a"]] == [2, 1]


def test_a_long_request_swallows_those_that_ended_within_it() -> None:
    history, clock = remembered()
    for _ in range(3):
        history.note(record())
        clock.now += 60.0
    history.note(record(total=500.0))
    assert spans(history) == {"a": [(clock.now - 500.0, clock.now, 4)]}


def test_what_never_had_a_lease_or_only_looked_serves_nobody() -> None:
    history, _ = remembered()
    history.note(record(queued=None))
    history.note(record(method="GET"))
    assert spans(history) == {}
    history.note(record(method="GET", status=101))
    assert len(spans(history)["a"]) == 1


def test_an_hour_later_it_is_forgotten() -> None:
    history, clock = remembered()
    history.note(record())
    clock.now += HOUR + 1.0
    assert spans(history) == {}


def test_what_is_kept_is_bounded_however_much_there_is() -> None:
    history, clock = remembered()
    for number in range(5000):
        clock.now += PAUSE + 1.1
        history.note(record(id=str(number)))
    assert len(history.requests) == KEPT
    assert history.requests[-1].record.id == "4999"
    assert len(spans(history)["a"]) <= HOUR / PAUSE


def test_a_clock_that_is_set_back_makes_no_nonsense() -> None:
    history, clock = remembered()
    history.note(record())
    clock.now -= 300.0
    history.note(record())
    ((begin, end, requests),) = spans(history)["a"]
    assert begin <= end
    assert requests == 2


def test_requests_that_were_refused_at_the_door_are_not_among_those_to_engines() -> None:
    history, _ = remembered()
    history.note(record(route="", queued=None))
    assert not history.requests
