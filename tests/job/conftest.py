"""Each test starts with nothing running but the socket, and two tiny models configured on GPU 0."""

from collections.abc import Iterator

import pytest

from tests.job import house


@pytest.fixture(autouse=True)
def _clean(request: pytest.FixtureRequest) -> Iterator[None]:
    for name in ("alpha", "beta", "gamma"):
        house.write_gguf(name)
    house.reset()
    house.configure(house.BASIC)
    yield
    failed = getattr(request.node, "failed", False)
    if failed:
        print(house.run("journalctl", "--boot", "--no-pager", "--lines=60", check=False))
    house.reset()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.when == "call":
        item.failed = report.failed  # type: ignore[attr-defined]
