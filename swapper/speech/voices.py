"""Which voices there are: espeak-ng's languages, its variants of them, and OpenAI's names for some of these.

A voice is `LANGUAGE`, `LANGUAGE+VARIANT` or, in the language of the engine, `VARIANT` or one of OpenAI's names. What is
not on the lists is refused: so nothing that a client writes can be an option or a path.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from swapper.speech.refusal import Refusal

OPENAI: Mapping[str, str] = {
    "alloy": "f4", "ash": "m1", "ballad": "m4", "cedar": "m6", "coral": "f2", "echo": "m2", "fable": "m3",
    "marin": "Annie", "nova": "f3", "onyx": "m7", "sage": "f1", "shimmer": "f5", "verse": "m5",
}  # fmt: skip
"""OpenAI's voices ("Text to speech" in its manual), each a variant of its own: a client that offers a choice of them
offers one here too. Nothing is promised but that no two sound the same."""

USUAL = "alloy"
"""Who speaks where nobody is named. OpenAI's API wants a name; its clones do without."""

_LINE = re.compile(r" *\d+ +(?P<language>\S+) +\S+ +\S+ +(?P<file>\S(?:.*?\S)?) *(?P<others>(?:\(\S+ \d+\))*)")
_OTHER = re.compile(r"\((\S+) \d+\)")
_FEW = 12


def read_languages(listing: str) -> frozenset[str]:
    """Languages in what `espeak-ng --voices` prints: a line of columns for each, the last has further names of it."""
    found = [match for line in listing.splitlines()[1:] if (match := _LINE.fullmatch(line)) is not None]
    others = {name for match in found for name in _OTHER.findall(match["others"])}
    return frozenset(others | {match["language"] for match in found})


def read_variants(listing: str) -> frozenset[str]:
    """Variants in what `espeak-ng --voices=variant` prints: by the name of their file, which is what `-v` takes."""
    found = [match for line in listing.splitlines()[1:] if (match := _LINE.fullmatch(line)) is not None]
    return frozenset(match["file"].removeprefix("!v/") for match in found)


@dataclass(frozen=True, slots=True)
class Voices:
    """What is installed.

    Attributes:
        languages: espeak-ng's names of languages, such as `de` and `en-us`.
        variants: Its names of variants, such as `f3`.
        language: What is spoken by a voice that names no language.
    """

    languages: frozenset[str]
    variants: frozenset[str]
    language: str

    @property
    def named(self) -> tuple[str, ...]:
        """OpenAI's names, as far as their variants are installed."""
        return tuple(name for name, variant in OPENAI.items() if variant in self.variants)

    def resolve(self, wanted: str) -> str:
        """What espeak-ng calls this voice (its option `-v`).

        Raises:
            Refusal: There is none, with some that there are.
        """
        name = wanted.strip().lower()
        if name in self.named:
            return f"{self.language}+{OPENAI[name]}"
        variants = {variant.lower(): variant for variant in self.variants}
        if name in variants:
            return f"{self.language}+{variants[name]}"
        languages = {language.lower(): language for language in self.languages}
        language, plus, variant = name.partition("+")
        if language in languages and (variant in variants or not plus):
            return languages[language] + (f"+{variants[variant]}" if plus else "")
        some = ", ".join(self.named[:_FEW])
        raise Refusal(
            "voice_unknown",
            f"There is no voice {wanted[:80]!r}. There are: {some}; languages, such as de or en-us; variants of these,"
            " such as de+f3.",
            "GET /v1/audio/voices of this model lists them all (/upstream/MODEL/v1/audio/voices on the router's port).",
            param="voice",
        )
