"""The journal of a booted machine: what we write is found there, and a unit's lines are read back."""

import asyncio
import json
import logging
import os
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

if not Path("/run/systemd/journal/socket").exists() or not Path("/run/systemd/system").is_dir() or os.geteuid() != 0:
    pytest.skip("needs root in a machine that systemd booted", allow_module_level=True)

from swapper.host import journal
from swapper.host.journal import Handler, Priority, follow, send, tail

UNIT = "llama@test-journal.service"
FILE = Path("/run/systemd/system") / UNIT
LINES = tuple(f"line {number}" for number in range(1, 6))


def systemctl(*arguments: str) -> str:
    return subprocess.run(["systemctl", *arguments], check=True, capture_output=True, text=True, timeout=60).stdout


def found(field: str) -> list[dict[str, str]]:
    """The journal's entries with a field."""
    subprocess.run(["journalctl", "--sync"], check=True, timeout=60)
    output = subprocess.run(
        ["journalctl", "--output=json", field], check=True, capture_output=True, text=True, timeout=60
    )
    return [json.loads(line) for line in output.stdout.splitlines()]


@pytest.fixture(scope="module", autouse=True)
def unit() -> Iterator[None]:
    command = "for i in 1 2 3 4 5; do echo line $i; done; printf 'raw \\\\377 bytes\\\\n' >&2; exit 3"
    FILE.write_text(f'[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=oneshot\nExecStart=/bin/sh -c "{command}"\n')
    systemctl("daemon-reload")
    yield
    systemctl("reset-failed", UNIT)
    FILE.unlink()
    systemctl("daemon-reload")


def fail() -> str:
    """Have the unit write its lines and fail; its invocation id."""
    subprocess.run(["systemctl", "start", UNIT], check=False, capture_output=True, timeout=60)
    return systemctl("show", "--property=InvocationID", "--value", UNIT).strip()


def test_an_entry_has_its_fields() -> None:
    model = f"test-{uuid.uuid4()}"
    send("two\nlines of «text»", priority=Priority.NOTICE, MODEL=model, REQUEST_ID="r1", UNSAID=None)
    journal.flush()
    (entry,) = found(f"MODEL={model}")
    assert entry["MESSAGE"] == "two\nlines of «text»"
    assert (entry["PRIORITY"], entry["REQUEST_ID"], entry["SYSLOG_IDENTIFIER"]) == ("5", "r1", "swapper")
    assert "UNSAID" not in entry


def test_a_log_record_becomes_an_entry_with_its_exception() -> None:
    model = f"test-{uuid.uuid4()}"
    log = logging.Logger("swapper.test")
    log.addHandler(Handler())
    try:
        int(model)
    except ValueError:
        log.exception("it broke: %s", "so", extra={"MODEL": model})
    journal.flush()
    (entry,) = found(f"MODEL={model}")
    assert entry["MESSAGE"].startswith("it broke: so\nTraceback")
    assert (entry["PRIORITY"], entry["LOGGER"]) == ("3", "swapper.test")
    assert entry["CODE_FILE"] == __file__


def test_the_tail_is_of_one_start_and_complete_as_soon_as_it_failed() -> None:
    starts = []
    for _ in range(10):
        starts.append(invocation := fail())
        assert tail(UNIT, invocation, 100, patience=10.0) == (*LINES, "raw \N{REPLACEMENT CHARACTER} bytes")
    assert len(set(starts)) == 10
    assert tail(UNIT, starts[-2], 100) == (*LINES, "raw \N{REPLACEMENT CHARACTER} bytes")
    assert tail(UNIT, starts[-1], 2, patience=10.0) == (LINES[-1], "raw \N{REPLACEMENT CHARACTER} bytes")


def test_the_tail_of_no_start_is_empty() -> None:
    assert tail(UNIT, "", 5) == ()
    assert tail(UNIT, uuid.uuid4().hex, 5) == ()


def test_lines_are_followed_from_the_last_ones_on() -> None:
    tail(UNIT, fail(), 1, patience=10.0)
    subprocess.run(["journalctl", "--sync"], check=True, timeout=60)  # systemd's last lines on it, too
    begins = f"Starting {UNIT}..."

    async def test() -> None:
        async with asyncio.timeout(60), aclosing(follow(UNIT, 3)) as lines:
            old = [await anext(lines) for _ in range(3)]
            assert len(set(old)) == 3
            process = await asyncio.create_subprocess_exec("systemctl", "start", UNIT, stderr=subprocess.DEVNULL)
            new = [await anext(lines)]
            while not {begins, LINES[-1]} <= set(new):  # systemd's lines come by another way, sooner or later
                new.append(await anext(lines))
            assert new.count(begins) == 1
            assert tuple(line for line in new if line.startswith("line ")) == LINES
            await process.wait()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(test())


def test_following_a_unit_without_lines_waits_for_the_first() -> None:
    async def test() -> None:
        async with aclosing(follow("llama@test-journal-silent.service", 10)) as lines:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await anext(lines)

    asyncio.run(test())


@pytest.mark.parametrize("lines", [0, 10])
def test_the_first_line_of_a_unit_is_followed_too(lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = f"test-journal-{uuid.uuid4().hex}.service"
    looked, last = threading.Event(), journal._last

    def look(*arguments: Any, **keywords: Any) -> tuple[str, ...]:  # noqa: ANN401 - whatever it takes
        found = last(*arguments, **keywords)
        looked.set()
        return found

    monkeypatch.setattr(journal, "_last", look)

    async def test() -> None:
        async with asyncio.timeout(60), aclosing(follow(fresh, lines)) as following:
            first = asyncio.ensure_future(anext(following))
            assert await asyncio.to_thread(looked.wait, 30), "it has looked for old lines; from here on it watches"
            await asyncio.wait({first}, timeout=0.3)
            assert not first.done()
            process = await asyncio.create_subprocess_exec(
                "systemd-run", "--quiet", "--collect", f"--unit={fresh}", "echo", "at last"
            )
            said = [await first]
            while "at last" not in said:
                said.append(await anext(following))
            await process.wait()

    asyncio.run(test())


def test_a_flood_is_followed_without_loss() -> None:
    """More lines than are read at a time, and more than one batch old."""
    flood = f"test-journal-{uuid.uuid4()}.service"
    command = [
        "systemd-run",
        f"--unit={flood}",
        "--property=Type=exec",
        "--collect",
        "--wait",
        "--quiet",
        "seq",
        "1",
        "1800",
    ]
    subprocess.run(command, check=True, timeout=60)

    async def test() -> None:
        async with asyncio.timeout(30), aclosing(follow(flood, 1790)) as lines:
            numbers: list[int] = []
            while 1800 not in numbers:
                line = await anext(lines)
                if line.isdecimal():
                    numbers.append(int(line))
            assert numbers == list(range(numbers[0], 1801))
            assert len(numbers) > 1700

    asyncio.run(test())
