"""What systemd says of a unit, read right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swapper.core.events import ActiveState
from swapper.host.status import UNIT_PATH, JobResult, UnitStatus, assignments, object_path, unit_of

UNIT = "llama@devstral.service"
INVOCATION = "ff640287ab7d054c9d97ab8cd24ea72c"


@pytest.mark.parametrize(
    ("unit", "label"),
    [
        (UNIT, "llama_40devstral_2eservice"),
        ("vllm@qwen3-asr-0.6b.service", "vllm_40qwen3_2dasr_2d0_2e6b_2eservice"),
        ("9to5.service", "_39to5_2eservice"),
        ("llama@a\\x2fb.service", "llama_40a_5cx2fb_2eservice"),
    ],
)
def test_object_paths_are_systemds(unit: str, label: str) -> None:
    assert object_path(unit) == UNIT_PATH + label
    assert unit_of(UNIT_PATH + label) == unit


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_object_paths_are_undone(unit: str) -> None:
    path = object_path(unit)
    assert path.removeprefix(UNIT_PATH).replace("_", "").isalnum() or path == UNIT_PATH
    assert unit_of(path) == unit


@pytest.mark.parametrize(
    "path", ["/", "/org/freedesktop/systemd1/job/87", UNIT_PATH + "_", "/org/freedesktop/systemd1"]
)
def test_other_objects_are_no_units(path: str) -> None:
    assert unit_of(path) == ""


def test_a_status_takes_what_it_knows() -> None:
    status = UnitStatus(UNIT).updated(
        {
            "ActiveState": "activating",
            "InvocationID": list(bytes.fromhex(INVOCATION)),
            "TimeoutStartUSec": 2**64 - 1,
            "WatchdogUSec": 8_000_000,
            "FreezerState": "running",
        }
    )
    assert status == UnitStatus(
        UNIT, active=ActiveState.ACTIVATING, invocation=INVOCATION, start_timeout_us=0, watchdog_us=8_000_000
    )


@pytest.mark.parametrize(
    ("active", "times", "took"),
    [
        (ActiveState.ACTIVATING, (5_000_000, 0, 0, 0), None),
        (ActiveState.ACTIVE, (5_000_000, 7_500_000, 0, 0), 2.5),
        (ActiveState.ACTIVE, (5_000_000, 7_500_000, 3_000_000, 4_000_000), 2.5),
        (ActiveState.DEACTIVATING, (5_000_000, 7_500_000, 9_000_000, 4_000_000), None),
        (ActiveState.INACTIVE, (5_000_000, 7_500_000, 9_000_000, 9_250_000), 0.25),
        (ActiveState.FAILED, (5_000_000, 7_500_000, 9_000_000, 9_250_000), 0.25),
        (ActiveState.FAILED, (10_000_000, 7_500_000, 9_000_000, 11_000_000), None),
        (ActiveState.INACTIVE, (0, 0, 0, 0), None),
    ],
)
def test_what_a_start_or_a_stop_took(active: ActiveState, times: tuple[int, ...], took: float | None) -> None:
    names = ("InactiveExit", "ActiveEnter", "ActiveExit", "InactiveEnter")
    said = {f"{name}TimestampMonotonic": time for name, time in zip(names, times, strict=True)}
    assert UnitStatus(UNIT).updated({"ActiveState": active, **said}).took == took


def test_an_unknown_state_is_an_error() -> None:
    with pytest.raises(ValueError, match="levitating"):
        UnitStatus(UNIT).updated({"ActiveState": "levitating"})


def test_news_is_the_state_and_what_a_running_unit_says() -> None:
    active = UnitStatus(UNIT, active=ActiveState.ACTIVE, invocation=INVOCATION)
    assert active.updated({"StatusText": "Serving"}).news(active)
    assert active.updated({"InvocationID": [1] * 16}).news(active)
    assert active.updated({"ActiveState": "failed"}).news(active)
    assert not active.updated({"SubState": "exited", "MainPID": 7}).news(active)


def test_a_unit_at_rest_that_systemd_prepares_for_its_next_start_is_no_news() -> None:
    failed = UnitStatus(UNIT, active=ActiveState.FAILED, invocation=INVOCATION, result="signal", status_text="Serving")
    assert not failed.updated({"InvocationID": [1] * 16, "Result": "success", "StatusText": ""}).news(failed)


def test_whether_a_unit_was_ready_does_not_depend_on_the_clock_that_people_set() -> None:
    day = 86_400_000_000
    started = UnitStatus(UNIT).updated({"InactiveExitTimestamp": 9 * day, "InactiveExitTimestampMonotonic": 1_000})
    assert not started.was_ready
    # Set back by a day while it was starting.
    assert started.updated({"ActiveEnterTimestamp": 8 * day, "ActiveEnterTimestampMonotonic": 2_000}).was_ready


def test_a_job_result_of_a_later_systemd_is_a_failure() -> None:
    assert JobResult("done") is JobResult.DONE
    assert JobResult("postponed") is JobResult.FAILED


def test_environment_is_split_at_the_first_equals_sign() -> None:
    assert assignments(["CUDA_VISIBLE_DEVICES=0,1", "ARGS=--a=b c", "EMPTY="]) == (
        ("CUDA_VISIBLE_DEVICES", "0,1"),
        ("ARGS", "--a=b c"),
        ("EMPTY", ""),
    )
