"""The mission's own three calls, and the host that they name."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.job.house import run
from tests.lab import media
from tests.media.web import Web, addresses, certificate, file, names

HEAR = """curl http://localhost:8000/v1/chat/completions -H "Content-Type: application/json" -d '{"model": "qwen3-asr-0.6b", "messages": [{"role": "user", "content": [{"type": "audio_url", "audio_url": {"url": "https://example.com/audio.wav"}}]}]}'"""  # noqa: E501 - word for word
SEE = """curl http://localhost:8000/v1/chat/completions -H "Content-Type: application/json" -d '{"model": "qwen3-vl-4b-vllm", "messages": [{"role": "user", "content": [{"type": "text", "text": "What is in this image?"}, {"type": "image_url", "image_url": {"url": "https://example.com/image.png"}}]}]}'"""  # noqa: E501
WRITE = """curl http://localhost:8000/v1/chat/completions -H "Content-Type: application/json" -d '{"model": "glm-47-flash", "messages": [{"role": "user", "content": "Hello!"}]}'"""  # noqa: E501


@contextlib.contextmanager
def example_com(address: str, folder: Path, *, named: str = "example.com", trusted: bool = True) -> Iterator[Web]:
    """https://example.com at an address of this machine, with a recording and a picture.

    Args:
        address: One of those that `addresses` gives the machine.
        folder: For its key.
        named: Who its certificate is for.
        trusted: Whether the machine trusts that.
    """
    pages = {"/audio.wav": file("audio/wav", media.wav()), "/image.png": file("image/png", media.png())}
    tls = certificate(folder, named, trusted=trusted)
    with addresses(), names(example_com=address), tls as context, Web(pages).serving(443, context) as web:
        yield web


def say(call: str) -> str:
    """Run a call in a shell, as a person does; what comes back."""
    return run("bash", "-c", call.replace("curl ", "curl --silent --show-error ", 1))
