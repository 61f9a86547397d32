"""Models that see and hear, with the real llama-server, and requests with pictures in them."""

from pathlib import Path

from tests.job.house import MODELS, Answer, chat, write_gguf
from tests.lab.mmproj import write_projector

EYE = "{engine: llama, model: eye.gguf, mmproj: vision.mmproj.gguf, context: 4096, aliases: [vision]}"
EAR = "{engine: llama, model: ear.gguf, mmproj: audio.mmproj.gguf, context: 4096, aliases: [asr]}"


def write_models() -> None:
    """The files that `EYE` and `EAR` name."""
    for name, kind in (("eye", "vision"), ("ear", "audio")):
        write_gguf(name)
        path = Path(MODELS, f"{kind}.mmproj.gguf")
        if not path.exists():
            write_projector(path, kind)


def picture(url: str) -> dict[str, object]:
    """A part of a message: a picture by its URL."""
    return {"type": "image_url", "image_url": {"url": url}}


def look(url: str, model: str = "vision") -> Answer:
    """Ask what is in a picture."""
    return chat(model, [{"type": "text", "text": "What is in this image?"}, picture(url)])
