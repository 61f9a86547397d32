"""How far a load is, as people and programs are told, beside what the kernel says of it.

The engine is the real one, on files that are large enough for a load of seconds.
"""

import contextlib
import ctypes
import json
import mmap
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.job import house
from tests.job.house import MODELS, ask, chat, configure, connect, run, sentence, show, until

READ_MB, MAPPED_MB = 3000, 6000
SLOW = """
models:
  read: {engine: llama, model: read.gguf, context: 2048, args: [-lm, none]}
  direct: {engine: llama, model: direct.gguf, context: 2048, args: [-lm, dio]}
  mapped: {engine: llama, model: mapped.gguf, context: 2048}
"""
SIDECAR_KIB = 12 * 1024


@pytest.fixture
def model(request: pytest.FixtureRequest) -> Iterator[str]:
    """A large model of which nothing is in memory; no disk is needed for it."""
    name: str = request.param
    path = house.write_gguf(name, size_mb=MAPPED_MB if name == "mapped" else READ_MB)
    os.sync()
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    configure(SLOW)
    yield name
    house.reset()
    path.unlink()


@contextlib.contextmanager
def events() -> Iterator[Iterator[tuple[str, dict[str, Any]]]]:
    """What `/api/events` says from now on."""
    with contextlib.closing(connect()) as connection:
        connection.request("GET", "/api/events")
        with contextlib.closing(connection.getresponse()) as response:

            def read() -> Iterator[tuple[str, dict[str, Any]]]:
                kind = ""
                while line := response.readline().decode():
                    if line.startswith("event: "):
                        kind = line.split()[1]
                    elif line.startswith("data: "):
                        yield kind, json.loads(line[6:])

            yield read()


@contextlib.contextmanager
def loading(model: str) -> Iterator[None]:
    """Somebody asks the model something, and gets an answer in the end."""
    said: list[str] = []
    client = threading.Thread(target=lambda: said.append(chat(model).content))
    client.start()
    yield
    client.join(house.PATIENCE)
    assert said == [sentence(model)]


def detail(model: str, name: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    """What the API says of a model."""
    return ask("GET", f"/api/models/{model}").json[name]


def reported(unit: str) -> int | None:
    """The percentage in `systemctl status`."""
    words = [line for line in run("systemctl", "status", unit, check=False).splitlines() if " % of " in line]
    return int(words[0].partition(" % of ")[0].rpartition(" ")[2]) if words else None


def by_system_calls(unit: str, model: str) -> float:
    """How many percent of the file's size the engine has read by read(2), as the kernel counts."""
    main = show(unit, "MainPID")
    counters = dict(line.split(": ") for line in Path("/proc", main, "io").read_text().splitlines())
    return int(counters["rchar"]) * 100 / size(model)


def in_memory(model: str) -> float:
    """How many percent of the file are in the kernel's memory, while nobody else reads it: mincore(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    pages = ctypes.create_string_buffer(-(-size(model) // mmap.PAGESIZE))
    with (MODELS / f"{model}.gguf").open("rb") as file:
        length = ctypes.c_size_t(size(model))
        asked = (mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), ctypes.c_long())
        address = ctypes.c_void_p(libc.mmap(None, length, *asked))
        assert libc.mincore(address, length, pages) == 0, os.strerror(ctypes.get_errno())
        libc.munmap(address, length)
    return (len(pages) - pages.raw.count(b"\0")) * 100 / len(pages)


def size(model: str) -> int:
    """Bytes of the file."""
    return (MODELS / f"{model}.gguf").stat().st_size


def sidecar(unit: str) -> int:
    """Resident memory of the sidecar, in KiB."""
    group = Path("/sys/fs/cgroup" + show(unit, "ControlGroup"), "cgroup.procs")
    (process,) = (pid for pid in group.read_text().split() if "sidecar" in Path("/proc", pid, "comm").read_text())
    (line,) = (line for line in Path("/proc", process, "status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1])


@pytest.mark.parametrize(
    ("model", "measure"),
    [("read", in_memory), ("read", lambda model: by_system_calls(f"llama@{model}.service", model)),
     ("direct", lambda model: by_system_calls(f"llama@{model}.service", model))],
    indirect=["model"], ids=["read, by memory", "read, by system calls", "direct, by system calls"],
)  # fmt: skip
def test_a_load_that_stands_still_is_as_far_as_the_kernel_says(model: str, measure: Callable[[str], float]) -> None:
    unit = f"llama@{model}.service"
    seen: list[float] = []
    with events() as news, loading(model):
        # Known beforehand, so that it is stopped in the same moment in which it is heard of, with most of it to come.
        until(lambda: house.main_pid(unit) > 0, "the engine's process is there")
        main = house.main_pid(unit)
        for kind, event in news:
            if kind == "progress":
                assert event["model"] == model
                seen.append(event["percent"])
                if seen[-1] >= 10:
                    break
        os.kill(main, signal.SIGSTOP)
        try:
            # A system call goes on to its end first.
            until(lambda: abs((reported(unit) or 0) - measure(model)) < 1.5, "the truth")
            until(lambda: abs(detail(model, "progress") - measure(model)) < 1.5, "the router has heard it")
            print(f"{model}: {detail(model, 'progress')} % reported, {measure(model):.2f} % measured")
        finally:
            os.kill(main, signal.SIGCONT)
        for kind, event in news:
            if kind == "progress":
                seen.append(event["percent"])
            elif event.get("new") == "ready":
                break
    assert seen == sorted(set(seen)), "it never goes back"
    assert seen[0] < seen[-1] <= 100
    assert detail(model, "progress") is None
    assert sidecar(unit) <= SIDECAR_KIB
    print(f"{model}: {seen}; the sidecar has {sidecar(unit)} KiB")


@pytest.mark.parametrize("model", ["mapped"], indirect=True)
def test_a_load_by_mapping_never_says_more_than_the_kernel(model: str) -> None:
    seen: list[tuple[float, float]] = []
    with events() as news, loading(model):
        for kind, event in news:
            if kind == "progress":
                seen.append((event["percent"], in_memory(model)))
            elif event.get("new") == "ready":
                break
    print(f"{model}: {[(told, round(truth, 1)) for told, truth in seen]}; {sidecar(f'llama@{model}.service')} KiB")
    assert [told for told, _ in seen] == sorted({told for told, _ in seen})
    assert 0 < seen[0][0] < 100
    assert all(told <= truth + 0.5 for told, truth in seen)
    assert sidecar(f"llama@{model}.service") <= SIDECAR_KIB


@pytest.mark.parametrize(
    ("settings", "slots"),
    [("", ", 4 slots"), ("concurrency: 3", ", 3 slots"), ("concurrency: 1", ", 1 slot"), ("args: [--no-slots]", ""),
     ("env: {LLAMA_ARG_N_PARALLEL: '2'}", ", 2 slots")],
)  # fmt: skip
def test_an_engine_says_how_many_requests_it_works_on(settings: str, slots: str) -> None:
    configure(f"models: {{alpha: {{engine: llama, model: alpha.gguf, context: 2048, {settings}}}}}")
    run("systemctl", "start", "llama@alpha")
    status = show("llama@alpha", "StatusText")
    assert status.endswith(f" s (llama-server{slots})"), status
