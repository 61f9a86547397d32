"""What the sound may come as, and ffmpeg's words for it: all of one channel, and all but one sent as it is made.

OpenAI's formats ("Supported output formats" in its manual). `opus` is an Ogg file at 48 kHz, which messengers take as a
voice message (RFC 7845); `pcm` is 16-bit little-endian at 24 kHz, as OpenAI has it. A stream cannot go back and write
its length at the beginning: `wav` says "unknown" there (0xFFFFFFFF, as OpenAI's does), and is read all the same. `flac`
of unknown length is not (llama-server's decoder takes it for empty), so it is sent once it is whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Format:
    """One of them.

    Attributes:
        media_type: For `Content-Type`.
        encoder: Options of ffmpeg for what it writes (ffmpeg(1), ffmpeg-codecs(1), ffmpeg-formats(1)).
        whole: Whether its beginning is only known at its end.
    """

    media_type: str
    encoder: tuple[str, ...]
    whole: bool = False


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FORMATS: Mapping[str, Format] = {
    "mp3": Format("audio/mpeg", _words("-ar 24000 -c:a libmp3lame -b:a 64k -write_xing 0 -id3v2_version 0 -f mp3")),
    # A page every 200 ms, where the muxer would wait for a second of sound. At level 5 of 10 it takes half the time.
    "opus": Format(
        "audio/ogg",
        _words("-ar 48000 -c:a libopus -application voip -b:a 32k -compression_level 5 -page_duration 200000 -f ogg"),
    ),
    "aac": Format("audio/aac", _words("-ar 24000 -c:a aac -aac_coder fast -b:a 64k -f adts")),
    "flac": Format("audio/flac", _words("-ar 24000 -c:a flac -f flac"), whole=True),
    "wav": Format("audio/wav", _words("-ar 24000 -c:a pcm_s16le -f wav")),
    "pcm": Format("audio/pcm", _words("-ar 24000 -c:a pcm_s16le -f s16le")),
}
