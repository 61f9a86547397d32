"""llama.cpp's llama-server: one GGUF file, in one or several parts, and a projector for pictures or sound."""

import re
from functools import lru_cache
from pathlib import Path

from swapper.config import Config, Model
from swapper.engines.base import Kind, Launch, Parking, Told, faults, look, program
from swapper.engines.elf import closure
from swapper.engines.programs import changed, large, located

METRICS = "LLAMA_ARG_ENDPOINT_METRICS"
CACHE_IDLE = "LLAMA_ARG_CACHE_IDLE_SLOTS"
LOAD_MODE, DIRECT = "LLAMA_ARG_LOAD_MODE", "dio"

BACKENDS = ("libggml-*.so", "ggml/backends*/libggml-*.so")
"""What it loads without being linked with it: beside the program and its libraries, and as Debian has them."""

_SPLIT = re.compile(r"(?P<stem>.*-)(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")


class Llama:
    """llama-server. It answers to any model's name, so aliases need not be told; it says the name in its replies."""

    name = "llama"
    context = Told("/props", ("default_generation_settings", "n_ctx"))  # of one slot

    def launch(self, model: Model, config: Config) -> Launch:
        """`llama-server --model … --host …/http.sock …`."""
        argv = [program(config, self.name, "llama-server"), "--model", str(model.model), "--host", str(model.socket)]
        argv += ["--alias", model.name]
        if model.context is not None:
            argv += ["--ctx-size", str(model.context)]
        if model.mmproj is not None:
            argv += ["--mmproj", str(model.mmproj)]
        if model.concurrency is not None:
            # One pool of context for all: with a fixed number of slots, each would have only its part of it.
            argv += ["--parallel", str(model.concurrency), "--kv-unified"]
        if "--metrics" not in model.args and METRICS not in dict(model.env):
            argv.append("--metrics")
        environment = model.env
        if model.keep_conversations:
            argv += ["--slot-save-path", str(model.conversations)]
            # A slot goes to another conversation only if half of the new prompt is like it. At the usual tenth, what
            # each prompt begins with is enough: a short one takes the slot of a long one, with other slots free.
            argv += ["--slot-prompt-similarity", "0.5"]
            # With one pool of context for all, it would empty a slot into its memory when the next one gets something
            # to do, and only the last conversation could be kept. What is too much for the pool is paid again instead.
            # As a variable, since versions that do not know it take no notice.
            environment = ((CACHE_IDLE, "0"), *environment)
        # Its health is good a moment before its loop for requests begins, and a SIGTERM in that moment is lost for good
        # (seen: one stop of 180, under load, hung until its timeout). /slots is answered by the loop.
        return Launch((*argv, *model.args), environment, "/health", "/slots")

    def files(self, model: Model) -> tuple[Path, ...]:
        """All of them are named."""
        return self.roots(model)

    def cached(self, model: Model) -> tuple[Path, ...]:
        """All of them, unless it was told to read past the cache (`--load-mode dio`)."""
        told = {word for argument in model.args for word in argument.split("=")}
        return () if DIRECT in told or dict(model.env).get(LOAD_MODE) == DIRECT else self.roots(model)

    def programs(self, model: Model, config: Config) -> tuple[Path, ...]:
        """The program, its backends, and what these are linked with: CUDA's libraries are the large ones."""
        found = located(model, config, "llama-server")
        folders = tuple(map(Path, filter(None, dict(model.env).get("LD_LIBRARY_PATH", "").split(":"))))
        return () if found is None else _linked(found, changed(found), folders)

    def roots(self, model: Model) -> tuple[Path, ...]:
        """The parts of the GGUF file as its name numbers them, and the projector."""
        return (*parts(model.model), *(() if model.mmproj is None else (model.mmproj,)))

    def parking(self, model: Model) -> Parking | None:
        """Never: its own sleep (`--sleep-idle-seconds`) spares the start of a process and no more.

        It frees the weights and reads them again, as a start does: of 2.5 GB, waking takes 0.95 of the time of a start
        (`tests/bench/sleeping.py`), and a sleeping process keeps its context on the GPU.
        """
        del model
        return None

    def missing(self, model: Model) -> tuple[str, ...]:
        """Files that are not there or not whole. A file that is cut short is left to llama-server, which says so."""
        if look(model.model) is not Kind.DIRECTORY:
            return faults(self.files(model))
        inside = sorted(model.model.glob("*.gguf"))
        hint = f"name the file, such as {inside[0]}" if inside else "there is no .gguf file in it either"
        return (f"{model.model} is a directory: {hint}",)


@lru_cache(maxsize=8)
def _linked(program: Path, changed: int, folders: tuple[Path, ...]) -> tuple[Path, ...]:
    """Found once for as long as the program is the same."""
    del changed
    first = closure([program], folders)
    beside = dict.fromkeys(file.parent for file in first)
    backends = [file for folder in beside for pattern in BACKENDS for file in sorted(folder.glob(pattern))]
    return large(closure([program, *backends], folders))


def parts(path: Path) -> tuple[Path, ...]:
    """All parts of a model that is split as `NAME-00001-of-00003.gguf`; the file itself where it is not."""
    match = _SPLIT.fullmatch(path.name)
    if match is None:
        return (path,)
    count = int(match["count"])
    return tuple(path.with_name(f"{match['stem']}{number:05}-of-{count:05}.gguf") for number in range(1, count + 1))
