"""What clients are told: when to come again."""

import pytest

from swapper.core.model import Failure
from swapper.router.errors import from_failure


@pytest.mark.parametrize(("seconds", "header"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.1, "2"), (7.5, "8")])
def test_who_obeys_retry_after_is_not_early(seconds: float, header: str) -> None:
    assert from_failure(Failure("queue_full", "Full.", retry_after=seconds)).headers == {"Retry-After": header}


def test_nothing_is_promised_where_nothing_is_known() -> None:
    assert from_failure(Failure("queue_full", "Full.")).headers == {}


@pytest.mark.parametrize(("code", "status"), [("queue_full", 429), ("queue_timeout", 503), ("model_not_loaded", 503)])
def test_statuses_of_limits(code: str, status: int) -> None:
    assert from_failure(Failure(code, "No.")).status == status
