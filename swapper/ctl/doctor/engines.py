"""Engines' programs: found, and of which version."""

from collections.abc import Iterator
from pathlib import Path

from swapper.config import Config
from swapper.ctl.doctor.finding import Finding, Grade, said
from swapper.engines import vllm
from swapper.engines.programs import USUAL_PATH, located

_WAYS = {
    "llama": ("llama-server", USUAL_PATH, "apt install llama.cpp-tools (Debian 14), or a build in /usr/local/bin"),
    "vllm": ("vllm", vllm.PATH, "python3 -m venv /opt/vllm && /opt/vllm/bin/pip install vllm"),
    "speech": ("espeak-ng", USUAL_PATH, "apt install espeak-ng ffmpeg"),
}
"""What each engine's program is called, where it is looked for, and how one comes by it."""


def programs(config: Config) -> Iterator[Finding]:
    """One finding for each engine that some model wants."""
    for engine, (name, path, mend) in _WAYS.items():
        model = next((model for model in config.models if model.engine == engine), None)
        if model is None:
            continue
        program = located(model, config, name, path)
        if program is None:
            yield Finding(Grade.WRONG, f"{name} is not found, which {_count(config, engine)}", mend)
            continue
        version = _version(engine, program)
        yield Finding(Grade.GOOD, f"{program}: {version or 'of a version that it does not tell'}")
        if engine == "speech" and located(model, config, "ffmpeg") is None:
            yield Finding(Grade.WRONG, "ffmpeg is not found, which speech needs beside espeak-ng", "apt install ffmpeg")


def _count(config: Config, engine: str) -> str:
    names = [model.name for model in config.models if model.engine == engine]
    return f"{names[0]} wants" if len(names) == 1 else f"{len(names)} models want"


def _version(engine: str, program: Path) -> str:
    """What it says of itself. vLLM takes half a minute to say it, so its package is looked at."""
    if engine == "vllm":
        folders = program.resolve().parent.parent.glob("lib/python*/site-packages/vllm-*.dist-info")
        return next((f"vllm {folder.name.split('-')[1].removesuffix('.dist')}" for folder in folders), "")
    lines = said(str(program), "--version").text.splitlines()
    return next((line.strip() for line in lines if "version" in line.lower() or "espeak" in line.lower()), "")
