"""The journal for tests that failed."""

from tests.job.conftest import pytest_runtest_makereport

__all__ = ["pytest_runtest_makereport"]
