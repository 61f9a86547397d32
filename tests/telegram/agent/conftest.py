"""Coroutine tests run in a loop of their own; one that leaves a task behind fails."""

import asyncio
import inspect

import pytest

from tests.router.conftest import no_leaks


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine test."""
    function = pyfuncitem.obj
    if not inspect.iscoroutinefunction(function):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(function).parameters}

    async def story() -> None:
        async with no_leaks():
            await function(**arguments)

    asyncio.run(story())
    return True
