"""What a stream says while its request waits."""

import json
import time

CHAT = "/v1/chat/completions"
"""The one route whose clients know what reasoning is."""


def comment(sentence: str) -> bytes:
    """A comment in a stream of events, which no client shows (HTML Standard, "Server-sent events")."""
    return b": %b\n\n" % sentence.replace("\n", " ").encode()


def reasoning(sentence: str, model: str, request_id: bytes) -> bytes:
    """A chunk of a chat whose model thinks aloud, with llama-server's and vLLM's `reasoning_content`."""
    chunk = {
        "id": f"chatcmpl-{request_id.decode()}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {"index": 0, "delta": {"role": "assistant", "reasoning_content": f"{sentence}\n"}, "finish_reason": None}
        ],
    }
    return b"data: %b\n\n" % json.dumps(chunk, ensure_ascii=False).encode()
