"""Amounts as people write them: `24GiB`, `30%`, `10min`.

Each function raises ValueError with what it wanted; where that stood in which file is the reader's business.
"""

import re
from decimal import Decimal

from swapper.config.settings import Bytes, Memory, Share
from swapper.core.model import WHOLE

AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]i?B)")
_UNITS = {"B": 1} | {
    f"{prefix}{binary}B": (1024 if binary else 1000) ** (power + 1)
    for power, prefixes in enumerate(("kK", "M", "G", "T"))
    for prefix in prefixes
    for binary in ("", "i")
}
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")
NUMBER = re.compile(r"\d+(?:\.\d+)?")
SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|sec|min|m|h|d)(?![a-z])")
_SECONDS = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "sec": Decimal(1),
    "m": Decimal(60),
    "min": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}


def size(text: str) -> int:
    """Bytes of `24GiB` (powers of 1024) or `24GB` (powers of 1000)."""
    match = AMOUNT.fullmatch(text.strip())
    if match is None or not (count := int(Decimal(match[1]) * _UNITS[match[2]])):
        raise ValueError("a size, such as 24GiB or 500MB")
    return count


def memory(text: str) -> Memory:
    """GPU memory: a size, or a share such as `30%`."""
    match = _SHARE.fullmatch(text.strip())
    if match is None:
        try:
            return Bytes(size(text))
        except ValueError:
            raise ValueError("a share or a size, such as 30% or 8GiB") from None
    parts = int(Decimal(match[1]) * WHOLE / 100)
    if not 0 < parts <= WHOLE:
        raise ValueError("a share between 0% and 100%")
    return Share(parts)


def share(text: str) -> float:
    """A part of something, above 0 and at most 1: `20%` is 0.2."""
    match = _SHARE.fullmatch(text.strip())
    part = Decimal(match[1]) / 100 if match is not None else Decimal(0)
    if not 0 < part <= 1:
        raise ValueError("a share above 0% and up to 100%, such as 20%")
    return float(part)


def duration(text: str) -> float:
    """Seconds of `90`, `90s`, `10min` or `1h 30min`; never zero."""
    text = text.strip()
    if NUMBER.fullmatch(text):
        seconds = Decimal(text)
    else:
        spans = list(SPAN.finditer(text))
        if not spans or "".join(span[0] for span in spans) != text:
            raise ValueError("a time, such as 90s, 10min or 1h 30min")
        seconds = sum((Decimal(span[1]) * _SECONDS[span[2]] for span in spans), Decimal(0))
    if not seconds:
        raise ValueError("a time that is longer than 0")
    return float(seconds)
