"""What is asked of `/v1/audio/speech`: read and checked before anything is started.

Fields and limits are those of OpenAI's API reference, "Create speech". `model` is the router's affair; `instructions`
mean nothing to espeak-ng and are ignored, as OpenAI's tts-1 does; so is what is not known here.
"""

import json
import re
from dataclasses import dataclass

from swapper.speech.formats import FORMATS, Format
from swapper.speech.refusal import Refusal
from swapper.speech.voices import USUAL, Voices

MOST_CHARACTERS = 4096
SLOWEST, FASTEST = 0.25, 4.0

# Ctrl-A begins a command to espeak-ng within the text, NUL ends it, and "[[" begins phonemes (docs/markup.md and
# docs/phonemes.md in its source): a text is to be read out, whatever is in it.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_PHONEMES = re.compile(r"\[(?=\[)")


@dataclass(frozen=True, slots=True)
class Wish:
    """What to say, and how.

    Attributes:
        text: As espeak-ng gets it.
        voice: As espeak-ng calls it.
        format: What comes back.
        speed: 1 is as fast as usual.
    """

    text: bytes
    voice: str
    format: Format
    speed: float = 1.0


def read_wish(body: bytes, voices: Voices) -> Wish:
    """A request's body.

    Raises:
        Refusal: Which field is wrong, and what it may be.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal("invalid_json", f"The body is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise Refusal("invalid_json", "The body is not a JSON object.")
    if fields.get("stream_format") not in (None, "audio"):
        hint = "The sound itself is streamed, as it is made."
        raise Refusal("invalid_request", "`stream_format` can only be audio here.", hint, param="stream_format")
    return Wish(
        _text(fields.get("input")), _voice(fields.get("voice"), voices), _format(fields), _speed(fields.get("speed"))
    )


def _text(value: object) -> bytes:
    if not isinstance(value, str) or not value.strip():
        raise Refusal("invalid_request", "`input` has to be the text that is to be spoken.", param="input")
    if len(value) > MOST_CHARACTERS:
        message = f"`input` has {len(value)} characters, and may have {MOST_CHARACTERS}."
        raise Refusal("invalid_request", message, "Send it in parts, sentence by sentence.", param="input")
    return _PHONEMES.sub("[ ", _CONTROL.sub(" ", value)).encode(errors="replace")


def _voice(value: object, voices: Voices) -> str:
    if value is not None and not isinstance(value, str):
        raise Refusal("voice_unknown", "`voice` has to be a name.", param="voice")
    return voices.resolve(USUAL if value is None else value)


def _format(fields: dict[str, object]) -> Format:
    name = fields.get("response_format")
    name = "mp3" if name is None else name
    if not isinstance(name, str) or name not in FORMATS:
        message = f"`response_format` can be {', '.join(FORMATS)}; not {str(name)[:80]!r}."
        raise Refusal("format_unknown", message, param="response_format")
    return FORMATS[name]


def _speed(value: object) -> float:
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not SLOWEST <= value <= FASTEST:
        message = f"`speed` has to be a number from {SLOWEST} to {FASTEST}."
        raise Refusal("invalid_request", message, "1 is the usual speed.", param="speed")
    return float(value)
