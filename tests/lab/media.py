"""Small recordings and pictures for the engines: valid files, made without a codec.

Needs the standard library and Python 3.11::

    python3 tests/lab/media.py DIR      # writes voice.wav, voice.ogg, red.png
"""

import argparse
import base64
import io
import math
import struct
import wave
import zlib
from pathlib import Path

# One second of mono Opus in OGG, as a messenger's voice note has it (libsndfile 1.2.2, 16 kHz of silence).
_OPUS = (
    "c-r$%PY-5bVt|5@{Znm0w0{-LY(`=Kg3@A-)Wj4<MhnIUJFo(Oka7lO<%~euV(&yfmjD0%OM!HRB&HX00|j$3lk$OF1w%a(hEXsIMlb;98kQY<5V;1F"
    "<1XJYe`(B2I@t05-ylRA{{I62aR;i("
)


def ogg() -> bytes:
    """One second of Opus in OGG, mono."""
    return zlib.decompress(base64.b85decode(_OPUS))


def wav(seconds: float = 1.0, pitch: int = 440) -> bytes:
    """A sine of that pitch in Hz: 16 kHz, 16 bits, mono."""
    rate = 16000
    count = round(seconds * rate)
    samples = (round(8000 * math.sin(math.tau * pitch * number / rate)) for number in range(count))
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(struct.pack(f"<{count}h", *samples))
    return buffer.getvalue()


def png(width: int = 64, height: int = 64, colour: tuple[int, int, int] = (255, 0, 0)) -> bytes:
    """A rectangle of one colour (red, green, blue)."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = (b"\0" + bytes(colour) * width) * height
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def data_url(media_type: str, data: bytes) -> str:
    """The data as a URL for a chat's ``image_url`` or ``audio_url``."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write a WAV, an OGG/Opus and a PNG file.")
    parser.add_argument("dir", type=Path)
    folder: Path = parser.parse_args().dir
    for name, content in {"voice.wav": wav(), "voice.ogg": ogg(), "red.png": png()}.items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
