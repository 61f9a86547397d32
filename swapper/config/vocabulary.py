"""What a configuration may say of each engine, besides what is true of all: data for the reader's messages.

Arguments and variables that swapper itself sets are refused with the key that says the same: given twice, engines would
take one of the two without a word.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

CAPABILITIES = frozenset({
    "chat", "completions", "embeddings", "rerank", "score", "vision", "audio", "transcription", "translation", "speech",
    "images",
})  # fmt: skip
"""What a model can do, as `/v1/models` says it."""


PRIORITIES: Mapping[str, int] = {"low": -1, "normal": 0, "high": 1}
"""What may be said of a model's or a key's importance, and the steps that it means."""

ON_SWAP = ("stop", "park")
"""What becomes of a model when another one needs its place."""

NEVER_BY_LLAMA = frozenset({"speech", "images"})
"""What llama-server has no route for."""

NOT_FILTERED: Mapping[str, str] = {
    "model": "it chooses the model",
    "stream": "it decides what kind of answer the client waits for",
}
"""Keys of a request that filters leave alone, and why."""


@dataclass(frozen=True, slots=True)
class Words:
    """One engine's own words.

    Attributes:
        refused: Keys that mean nothing to it, and why.
        weights: What `model:` names; empty where there is nothing to name.
        only: What its models can do, where that is the same for all of them; empty where it differs.
        on_gpu: Whether its models run on a GPU.
        arguments: Arguments that are not for `args:`, and what says the same.
        slots: The argument that says how many requests it works on at once, where it does not tell that itself.
        not_parked: Why its models cannot be parked; empty where they can.
        most_requests: Requests at once beyond which it stops answering even its health check; None for no such number.
    """

    refused: Mapping[str, str] = field(default_factory=dict)
    weights: str = ""
    only: frozenset[str] = frozenset()
    on_gpu: bool = True
    arguments: Mapping[str, str] = field(default_factory=dict)
    slots: str | None = None
    not_parked: str = ""
    most_requests: int | None = None


_SOCKET = "swapper gives it a unix socket"
_KEY = "the socket's group is the guard, and the router has no key"

ENGINES: Mapping[str, Words] = {
    "llama": Words(
        weights="the GGUF file",
        refused={"images": "llama-server has no such limit", "park_level": "llama-server is not parked"},
        not_parked="it reads its file again when it wakes, which takes as long as a start",
        arguments={
            **dict.fromkeys(("--host", "--port", "--reuse-port"), _SOCKET),
            **dict.fromkeys(("--api-key", "--api-key-file"), _KEY),
            **dict.fromkeys(("-m", "--model"), "use 'model:'"),
            **dict.fromkeys(("-a", "--alias"), "use 'aliases:'"),
            **dict.fromkeys(("-c", "--ctx-size"), "use 'context:'"),
            **dict.fromkeys(("-mm", "--mmproj"), "use 'mmproj:'"),
            **dict.fromkeys(("-np", "--parallel"), "use 'concurrency:'"),
            "--slot-save-path": "use 'keep_conversations:'",
        },
        # Each request holds a thread. With 500 of them llama-server has none left for /health (seen with 0.7.0), and
        # the watchdog would take a busy engine for a hung one.
        most_requests=256,
    ),
    "vllm": Words(
        weights="the directory",
        slots="--max-num-seqs",
        refused={
            "mmproj": "vLLM finds it in the model's directory",
            "keep_conversations": "vLLM cannot write down what it has in mind",
        },
        arguments={
            **dict.fromkeys(("--uds", "--host", "--port"), _SOCKET),
            "--api-key": _KEY,
            "--model": "use 'model:'",
            "--served-model-name": "use 'aliases:'",
            "--max-model-len": "use 'context:'",
            "--gpu-memory-utilization": "use 'gpu_memory:'",
            "--limit-mm-per-prompt": "use 'images:'",
            "--enable-sleep-mode": "use 'on_swap: park'",
            **dict.fromkeys(("--tensor-parallel-size", "-tp"), "use 'gpu: [0, 1]'"),
        },
    ),
    "speech": Words(
        only=frozenset({"speech"}),
        on_gpu=False,
        not_parked="it holds no GPU memory, and starts at once",
        refused={
            **dict.fromkeys(("model", "mmproj"), "espeak-ng brings its voices along"),
            **dict.fromkeys(("gpu_memory", "park_level"), "espeak-ng runs on the CPU"),
            **dict.fromkeys(("context", "images"), "it takes 4096 characters, as OpenAI's does"),
            **dict.fromkeys(("keep_conversations", "loading_message"), "there are no conversations with it"),
            "network": "it needs none",
            "capabilities": "it speaks, and does nothing else",
        },
        arguments={
            "--socket": _SOCKET,
            "--name": "the model's name is that",
            "--slots": "use 'concurrency:'",
            "--espeak": "use 'engines: {speech: {path: …}}'",
        },
    ),
}

VARIABLE = "[A-Za-z_][A-Za-z0-9_]*"
"""What the name of an environment variable looks like."""

VARIABLES: Mapping[str, str] = {
    **dict.fromkeys(("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"), "use 'gpu:'"),
    "VLLM_SERVER_DEV_MODE": "use 'on_swap: park'",
    **dict.fromkeys(("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"), "systemd sets it"),
}
"""Environment that is not for `env:`, and why."""
