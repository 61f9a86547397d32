"""Runs an engine's imports before its GPU is free, waits at the gate, then becomes the engine: early starts.

    early.py GATE MODULES SCRIPT ARGUMENT…    (by the interpreter that SCRIPT names: imports MODULES, with commas)
    early.py GATE "" PROGRAM ARGUMENT…        (nothing to import: executes PROGRAM once the gate is open)

The gate is a file of the router's, below /run/swapper-gates. Whatever happens to the router, it says one thing:

    GATE         wait here; in it stands the invocation id of whom that is meant for, once that is known
    GATE.open    go on (the router renames the file, so it is never both)
    neither      the router was stopped for good, and its runtime directory is gone: nobody says whose the GPU is

A start that nobody asked to wait, such as `systemctl start vllm@NAME`, finds no such file and never comes here.

Why importing is safe while another model has the GPU, as read in vLLM 0.32: its modules find out by NVML which platform
they are on, which makes no CUDA context ("it should not initialize cuda context", vllm/platforms/cuda.py), and have
torch do so too (PYTORCH_NVML_BASED_CUDA_CHECK in vllm/env_override.py). Its API server, the process that this becomes,
leaves CUDA to the engine processes that it spawns after the gate; those import all of it once more, which cannot be had
earlier. Nothing is set that changes what vLLM does: `sys.argv`, `sys.path` and `__main__` are what they are for SCRIPT
alone, so spawned processes run SCRIPT as their main module (multiprocessing, "spawn").

Rule of this file: the standard library as of Python 3.9, for it runs in the engine's environment, and no more of it
than is needed, for the launcher's sidecar knows gates from here.
"""

import os
import sys
import time

PAUSE = 0.02
"""Seconds between two looks at the gate."""

EX_TEMPFAIL = 75
"""It may work another time (sysexits.h(3))."""

GONE = "the router that asked for an early start is gone, so nobody says when the GPU is free: start the model again"


def waits(gate: str, invocation: str) -> bool:
    """Whether a process of this invocation has to wait there."""
    try:
        with open(gate) as file:  # noqa: PTH123 — pathlib is an import too many
            return file.read() in {"", invocation}
    except FileNotFoundError:
        return False


def opened(gate: str) -> bool:
    """Whether the gate that one waited at is open; else it is gone."""
    return os.path.exists(gate + ".open")  # noqa: PTH110 — likewise


def command(gate: str, modules: str, argv: "list[str]") -> "list[str]":
    """What the launcher becomes instead of the engine, which becomes the engine in its turn."""
    program = argv[0]
    folders = [""] if "/" in program else [folder + "/" for folder in os.environ.get("PATH", os.defpath).split(":")]
    script = next((folder + program for folder in folders if os.access(folder + program, os.X_OK)), None)
    if script is None:
        return argv
    interpreter = interpreter_of(script)
    if interpreter and modules:
        return [*interpreter, __file__, gate, modules, script, *argv[1:]]
    return [sys.executable, "-IS", __file__, gate, "", *argv]


def interpreter_of(script: str) -> "list[str]":
    """Whom a Python script names in its first line, with the option there; nothing for other programs.

    Where that line would be too long, installers write a script for the shell (as in `swapper.engines.wheels`).
    """
    try:
        with open(script, "rb") as file:  # noqa: PTH123 — likewise
            first, second = file.readline(1024), file.readline(1024)
    except OSError:
        return []
    if first.startswith(b"#!/bin/sh") and second.startswith(b"'''exec' "):
        words = [second.removeprefix(b"'''exec' ").partition(b' "$0"')[0].strip(b"\"'")]
    else:
        words = first.strip().removeprefix(b"#!").split(None, 1) if first.startswith(b"#!/") else []
    python = bool(words) and words[0].rpartition(b"/")[2].startswith(b"python")
    return [os.fsdecode(word) for word in words] if python else []


def warm(modules: str, script: str) -> None:
    """Import what the script will import. A name that this version does not have saves nothing, and does no harm.

    Raises:
        Exception: Whatever keeps the engine from being imported, which would keep it from starting.
    """
    import importlib  # noqa: PLC0415 — not for the sidecar

    own = os.path.dirname(__file__)  # noqa: PTH120 — likewise
    if sys.path and sys.path[0] == own:
        sys.path[0] = os.path.dirname(os.path.realpath(script))  # noqa: PTH120
    for name in modules.split(","):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or f"{name}.".find(f"{error.name}.") != 0:
                raise


def main(words: "list[str]") -> int:
    """Do so; returns only where it does not become the engine."""
    gate, modules, *argv = words
    with open("/proc/self/comm", "w") as name:  # noqa: PTH123 — likewise
        name.write(os.path.basename(argv[0]))  # noqa: PTH119 — likewise; what the kernel calls who runs a script
    if modules:
        sys.argv = list(argv)
        warm(modules, argv[0])
    invocation = os.environ.get("INVOCATION_ID", "")
    while waits(gate, invocation):
        time.sleep(PAUSE)
    if not opened(gate):
        print(f"<3>{GONE}", file=sys.stderr, flush=True)
        return EX_TEMPFAIL
    if not modules:
        os.execvp(argv[0], argv)  # noqa: S606 — becoming the engine is the purpose; no shell wanted
    import runpy  # noqa: PLC0415 — likewise

    runpy.run_path(argv[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
