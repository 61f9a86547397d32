"""What can be spoken of an answer, and how long it takes. Pure.

Sources: RFC 3533 (OGG's pages), RFC 7845 (Opus in OGG: 48,000 samples a second, and the pre-skip); CommonMark, as far
as answers use it.
"""

import re

MOST_SPOKEN = 4000
"""Characters: OpenAI's API takes 4,096, and five minutes are enough."""

_BLOCK = re.compile(r"^ {0,3}(```|~~~)[^\n]*\n.*?(?:^ {0,3}\1[^\n]*$|\Z)", re.DOTALL | re.MULTILINE)
_IMAGE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_URL = re.compile(r"https?://([^\s/)>\]]+)[^\s)>\]]*")
_LINE = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]?|[-*+][ \t]+|\|?[ \t]*:?-{3,}[-:| \t]*$)", re.MULTILINE)
_STRESS = re.compile(r"(\*\*\*|\*\*|\*|___|__|~~|\|\||`+)(?=\S)(.+?)(?<=\S)\1", re.DOTALL)
_UNDERLINE = re.compile(r"(?<!\w)_(?=\S)(.+?)(?<=\S)_(?!\w)", re.DOTALL)
_SENTENCE = re.compile(r"[.!?…。！？](?=\s|\Z)|\n")  # noqa: RUF001 - those of other scripts


def spoken(markdown: str, limit: int = MOST_SPOKEN) -> str:
    """An answer as it is read out: no code, no addresses, no signs; what is too long ends with a sentence."""
    text = _BLOCK.sub("\n", markdown)
    text = _LINK.sub(r"\1", _IMAGE.sub(r"\1", text))
    text = _URL.sub(r"\1", text)
    text = _LINE.sub("", text).replace("|", " ")
    for _ in range(3):  # stress within stress
        text = _UNDERLINE.sub(r"\1", _STRESS.sub(r"\2", text))
    text = re.sub(r"[ \t]+", " ", text)
    text = re.sub(r" *\n\s*", "\n", text).strip()
    if len(text) <= limit:
        return text
    ends = [match.end() for match in _SENTENCE.finditer(text, 0, limit)]
    return text[: ends[-1] if ends else limit].rstrip()


def seconds(ogg: bytes) -> float | None:
    """How long an OGG/Opus file is; None where it is none.

    The last page's granule position counts samples from the beginning, of which the pre-skip is never heard.
    """
    head = ogg.find(b"OpusHead", 0, 512)
    last = ogg.rfind(b"OggS")
    if not ogg.startswith(b"OggS") or head < 0 or head + 12 > len(ogg) or last + 14 > len(ogg):
        return None
    skipped = int.from_bytes(ogg[head + 10 : head + 12], "little")
    position = int.from_bytes(ogg[last + 6 : last + 14], "little", signed=True)
    return max(0.0, (position - skipped) / 48_000)
