"""vLLM: a directory in the layout of the Hugging Face hub."""

import json
from pathlib import Path
from typing import assert_never

from swapper.config import Config, Model
from swapper.core.model import WHOLE
from swapper.engines.base import UNFINISHED, Kind, Launch, Parking, Question, Told, faults, look, program
from swapper.engines.programs import USUAL_PATH, located
from swapper.engines.wheels import libraries

INDEX = "model.safetensors.index.json"
DEVELOPER_MODE = ("VLLM_SERVER_DEV_MODE", "1")
"""What opens the paths of its sleep mode, with others that change the engine: the socket is the router's alone."""

IMPORTS = ("vllm.entrypoints.cli.main", "vllm.entrypoints.cli.serve")
"""What its command imports before it reads its arguments, the server with all it needs among it."""

PATH = f"/opt/vllm/bin:{USUAL_PATH}"
"""As in vllm@.service."""

WEIGHTS = (".safetensors", ".bin", ".pt", ".gguf")


class Vllm:
    """`vllm serve`. It answers only to names that it was told, so that bodies reach it unchanged: all of them are."""

    name = "vllm"
    context = Told("/v1/models", ("data", 0, "max_model_len"))

    def launch(self, model: Model, config: Config) -> Launch:
        """`vllm serve DIRECTORY --uds …/http.sock …`."""
        argv = [program(config, self.name, "vllm"), "serve", str(model.model), "--uds", str(model.socket)]
        argv += ["--served-model-name", model.name, *model.aliases]
        if model.context is not None:
            argv += ["--max-model-len", str(model.context)]
        if model.gpus and model.gpu_memory is not None:
            parts = max(config.parts(model, gpu) for gpu in model.gpus)
            argv += ["--gpu-memory-utilization", f"{parts / WHOLE:.4g}"]
        if len(model.gpus) > 1:
            argv += ["--tensor-parallel-size", str(len(model.gpus))]
        if model.images is not None:
            argv += ["--limit-mm-per-prompt", json.dumps({"image": model.images})]
        if not model.park:
            return Launch((*argv, *model.args), model.env, "/health", imports=IMPORTS)
        argv.append("--enable-sleep-mode")
        return Launch((*argv, *model.args), (DEVELOPER_MODE, *model.env), "/health", imports=IMPORTS)

    def parking(self, model: Model) -> Parking:
        """Sleep mode (docs.vllm.ai, "Sleep Mode"): level 1 keeps the weights in host memory, 2 reads them again."""
        wake: tuple[Question, ...] = (Question("POST", "/wake_up"),)
        if model.park_level == 2:
            # In this order, so that the memory of the cache is free for what loading takes beside the weights.
            reload = Question("POST", "/collective_rpc", json.dumps({"method": "reload_weights"}).encode())
            wake = (Question("POST", "/wake_up?tags=weights"), reload, Question("POST", "/wake_up?tags=kv_cache"))
        sleep = Question("POST", f"/sleep?level={model.park_level}")
        return Parking((sleep,), wake, Told("/is_sleeping", ("is_sleeping",)))

    def roots(self, model: Model) -> tuple[Path, ...]:
        """The directory."""
        return (model.model,)

    def files(self, model: Model) -> tuple[Path, ...]:
        """The directory, which changes when a file comes or goes, and everything in it."""
        return (model.model, *(inside_of(model.model) or ()))

    def cached(self, model: Model) -> tuple[Path, ...]:
        """The weights; where they are there in several formats, those that it prefers."""
        inside = inside_of(model.model) or ()
        kinds = ([path for path in inside if path.name.endswith(kind)] for kind in WEIGHTS)
        return tuple(next((files for files in kinds if files), ()))

    def programs(self, model: Model, config: Config) -> tuple[Path, ...]:
        """The native libraries of its Python environment: torch, CUDA's, its own."""
        found = located(model, config, "vllm", PATH)
        return () if found is None else libraries(found, "torch")

    def missing(self, model: Model) -> tuple[str, ...]:
        """The directory, its config.json, its weights; shards that the index names; downloads that have not ended."""
        folder = model.model
        match look(folder):
            case Kind.HIDDEN:
                return ()
            case Kind.ABSENT:
                return (f"directory {folder} is not there",)
            case Kind.FILE:
                return (f"{folder} is not a directory",)
            case Kind.DIRECTORY:
                inside = inside_of(folder)
            case other:
                assert_never(other)
        if inside is None:
            return ()
        downloads = [f"still downloading: {path}" for path in inside if path.name.endswith(UNFINISHED)]
        return (*downloads, *faults([folder / "config.json"]), *_weights(folder, inside))


def _weights(folder: Path, inside: tuple[Path, ...]) -> tuple[str, ...]:
    """What is missing of the weights."""
    index = folder / INDEX
    if index in inside:
        shards = _shards(index)
        if shards is None:
            return (f"{index} is not an index of shards: broken, or not whole yet",)
        numbered = enumerate(shards, start=1)
        return tuple(
            f"shard {number} of {len(shards)} named by {INDEX}: {fault}"
            for number, shard in numbered
            for fault in faults([folder / shard])
        )
    weights = [path for path in inside if path.name.endswith(WEIGHTS)]
    return faults(weights) if weights else (f"there are no weights in {folder}",)


def _shards(index: Path) -> list[str] | None:
    """The files that an index names; None if it cannot be understood, and none if it may not be read."""
    try:
        return sorted(set(map(str, json.loads(index.read_bytes())["weight_map"].values())))
    except OSError:
        return []
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def inside_of(folder: Path) -> tuple[Path, ...] | None:
    """The files of a directory; None if it is not there or may not be read."""
    try:
        return tuple(sorted(folder.iterdir()))
    except OSError:
        return None
