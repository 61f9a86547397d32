"""Recordings as people's devices make them, and what a player takes a file for. Needs espeak-ng and ffmpeg."""

import json
import subprocess
import tempfile
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recording:
    """What a file is.

    Attributes:
        format: Of the container, such as `ogg`.
        codec: Of the sound, such as `opus`.
        channels: How many.
        seconds: How long it is.
    """

    format: str
    codec: str
    channels: int
    seconds: float


def note(words: str) -> bytes:
    """Somebody says that in a voice message: mono Opus in OGG, as Telegram's clients record it."""
    espeak = subprocess.run(("espeak-ng", "--stdout", words), capture_output=True, check=True)
    opus = ("-c:a", "libopus", "-b:a", "24k", "-ac", "1", "-f", "ogg")
    encode = ("ffmpeg", "-v", "error", "-i", "pipe:0", *opus, "pipe:1")
    return subprocess.run(encode, input=espeak.stdout, capture_output=True, check=True).stdout


def probe(data: bytes) -> Recording:
    """What ffprobe(1) takes a file for; the test fails where it complains."""
    fields = "stream=codec_name,channels:format=format_name,duration"
    with tempfile.NamedTemporaryFile() as file:  # a pipe has no length
        file.write(data)
        file.flush()
        command = ("ffprobe", "-v", "error", "-show_entries", fields, "-of", "json", file.name)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    found = json.loads(done.stdout)
    (stream,) = found["streams"]
    about = found["format"]
    return Recording(about["format_name"], stream["codec_name"], stream["channels"], float(about["duration"]))
