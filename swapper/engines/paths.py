"""Which of an engine's paths clients may reach through `/upstream/MODEL/…`.

These are the ones that ask the model something, and that tell how the engine is. What changes the engine (sleep,
adapters, profiling, cache, weights) is not among them: that is for systemd, and for the router.

Paths are those of llama-server 0.7.0 ("LLaMA.cpp HTTP Server"), vLLM 0.32.0 ("OpenAI-Compatible Server") with vLLM-Omni
("Speech API"), and our own `swapper.speech`.
"""

from collections.abc import Mapping

_BOTH = frozenset({
    "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages",
    "/v1/messages/count_tokens", "/v1/rerank", "/rerank", "/v1/audio/transcriptions", "/v1/audio/translations",
    "/tokenize", "/detokenize",
})  # fmt: skip
_LLAMA = frozenset({
    "/completion", "/completions", "/chat/completions", "/embedding", "/embeddings", "/reranking", "/v1/reranking",
    "/infill", "/apply-template",
})  # fmt: skip
_VLLM = frozenset({
    "/v1/chat/completions/render", "/v1/completions/render", "/v2/rerank", "/score", "/v1/score", "/pooling",
    "/classify", "/v1/audio/speech", "/v1/images/generations", "/v1/images/edits",
})  # fmt: skip

ASKED: Mapping[str, frozenset[str]] = {
    "llama": _BOTH | _LLAMA, "vllm": _BOTH | _VLLM, "speech": frozenset({"/v1/audio/speech"}),
}  # fmt: skip
"""By engine, what may be asked with POST."""

LOOKED_AT: Mapping[str, frozenset[str]] = {
    "llama": frozenset({"/health", "/v1/health", "/v1/models", "/models", "/props", "/slots", "/metrics",
                        "/lora-adapters"}),
    "vllm": frozenset({"/health", "/ping", "/version", "/v1/models", "/metrics", "/load", "/v1/audio/voices"}),
    "speech": frozenset({"/health", "/v1/models", "/v1/audio/voices"}),
}  # fmt: skip
"""By engine, what may be looked at with GET."""
