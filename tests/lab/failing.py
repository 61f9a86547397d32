"""What a test that failed in the machine leaves to be read: the end of the journal, beside its own output."""

import subprocess
from collections.abc import Generator

import pytest

LINES = 120


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the journal to the report of a test that failed (a hook for a `conftest.py` to import)."""
    report = yield
    if report.failed:
        journal = subprocess.run(
            ["journalctl", "--boot", "--no-pager", f"--lines={LINES}"], check=False, stdout=subprocess.PIPE
        )  # fmt: skip
        report.sections.append(("The journal's end", journal.stdout.decode(errors="replace")))
    return report
