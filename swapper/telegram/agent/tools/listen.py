"""transcribe_audio: what is said in a recording.

Telegram's voice messages are Opus in OGG. vLLM takes them as they are, llama-server does not: what an engine refuses is
converted with ffmpeg, where that is installed, and the next recording of that kind at once.
"""

import asyncio
import io
import re
import shutil
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path

from swapper.client import Model, RouterError
from swapper.telegram.agent.base import Medium
from swapper.telegram.agent.choose import Sense, Wished, who
from swapper.telegram.agent.shelf import Shelf
from swapper.telegram.agent.tools.base import (
    Arguments,
    Bench,
    Result,
    Say,
    ToolError,
    content,
    gather,
    medium,
    refused,
    schema,
    string,
)

RATE = 16_000
"""Samples a second: what models of speech work with."""

LONGEST = 3600
"""Seconds of a recording that are converted; the rest is left out."""

CONVERSION_SECONDS = 120.0

_WAV = "audio/wav"
_RAW = re.compile(r"\A\s*language\s+[^\s<]+\s*<asr_text>")


class TranscribeAudio:
    """The tool."""

    name = "transcribe_audio"
    description = "Write down what is said in a recording of this conversation."
    parameters: Mapping[str, object] = schema(["id"], id=string("The recording's id, such as a1."))

    def useful(self, shelf: Shelf, models: Sequence[Model], wished: Wished) -> bool:
        """Where something was recorded, and somebody hears."""
        return bool(shelf.ids("audio")) and who(models, Sense.HEARS, wished.hears) is not None

    async def run(self, bench: Bench, shelf: Shelf, arguments: Arguments, say: Say) -> Result:
        """See `Tool`."""
        recording = medium(shelf, arguments, "audio")
        return Result(await hear(bench, recording, say), f"recording {recording.name}", noted=True)


async def hear(bench: Bench, recording: Medium, say: Say) -> str:
    """What is said in a recording.

    Raises:
        ToolError: It cannot be heard.
        RouterError: The router could not do its part.
    """
    model = await bench.who(Sense.HEARS)
    doing = f"listening to {recording.name} with {model}"
    say(doing)
    sound = await content(recording)
    if (model, recording.mime) not in bench.deaf:
        try:
            stream = bench.router.transcribe(model, sound, name=_named(recording), mime=recording.mime)
            return clean(await gather(stream, doing, say))
        except RouterError as error:
            if recording.mime == _WAV or not refused(error):
                raise
            converted = await to_wav(recording, instead_of=error)
            bench.deaf.add((model, recording.mime))
    else:
        converted = await to_wav(recording)
    stream = bench.router.transcribe(model, converted, name="voice.wav", mime=_WAV)
    return clean(await gather(stream, doing, say))


def clean(text: str) -> str:
    """A transcript without what Qwen3-ASR puts before it and llama-server leaves there."""
    return _RAW.sub("", text).strip()


def _named(recording: Medium) -> str:
    """A file name with the ending that engines look at."""
    endings = {"audio/ogg": ".ogg", "audio/mpeg": ".mp3", "audio/mp4": ".m4a", "video/mp4": ".mp4", _WAV: ".wav"}
    return f"voice{endings.get(recording.mime) or Path(recording.name).suffix[:8] or '.ogg'}"


async def to_wav(recording: Medium, instead_of: RouterError | None = None) -> bytes:
    """A recording as WAV, by ffmpeg.

    Args:
        recording: A file of whatever kind.
        instead_of: Why; is raised where there is no ffmpeg.

    Raises:
        ToolError: It cannot be read.
        RouterError: `instead_of`.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        if instead_of is not None:
            raise instead_of
        raise ToolError("There is no program here that converts recordings (ffmpeg).")
    # A file may name others, as playlists do: by this protocol only standard input is read (ffmpeg-protocols(1)).
    words = (program, "-nostdin", "-v", "error", "-protocol_whitelist", "fd", "-i", "fd:", "-vn", "-t", str(LONGEST),
             "-ac", "1", "-ar", str(RATE), "-f", "s16le", "pipe:1")  # fmt: skip
    with recording.path.open("rb") as file:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=file, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    try:
        async with asyncio.timeout(CONVERSION_SECONDS):
            samples, complaint = await process.communicate()
    except TimeoutError as error:
        raise ToolError(f"{recording.name} takes too long to convert.") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode or not samples:
        why = complaint.decode(errors="replace").strip().rpartition("\n")[2].rpartition(": ")[2]
        raise ToolError(f"{recording.name} is no recording that can be read: {why[:100]}.")
    return _wav(samples)


def _wav(samples: bytes) -> bytes:
    """Samples of 16 bits as a WAV file, which ffmpeg could not write into a pipe with its length in it."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(samples)
    return file.getvalue()
