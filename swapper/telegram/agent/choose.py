"""Which of the router's models hears, sees and speaks.

`/v1/models` tells capabilities as far as the configuration does, and a model's vision is a guess where it has a
projector, which may also be for sound. So a name or alias that an administrator chose counts most, then a capability,
then a name that speaks for itself. Among equals one that is ready spares a swap.
"""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from swapper.client import Model


class Sense(enum.Enum):
    """What a model is wanted for."""

    HEARS = "hears"
    SEES = "sees"
    SPEAKS = "speaks"


@dataclass(frozen=True, slots=True)
class Wished:
    """What is configured.

    Attributes:
        hears: The model that transcribes; empty to choose.
        sees: The model that looks at pictures; empty to choose.
        speaks: The model that speaks; empty to choose.
        voice: By which it speaks.
    """

    hears: str = ""
    sees: str = ""
    speaks: str = ""
    voice: str = "alloy"

    def of(self, sense: Sense) -> str:
        """The configured name; empty for none."""
        name: str = getattr(self, sense.value)
        return name


@dataclass(frozen=True, slots=True)
class _Signs:
    """How a model for something is known."""

    names: frozenset[str]
    capability: str
    parts: tuple[str, ...] = ()


_SIGNS = {
    Sense.HEARS: _Signs(frozenset({"asr", "transcription", "stt", "whisper"}), "transcription", ("asr", "whisper")),
    Sense.SEES: _Signs(frozenset({"vision", "vl", "ocr"}), "vision", ("-vl", "vision")),
    Sense.SPEAKS: _Signs(frozenset({"tts", "speech", "voice"}), "speech", ("tts",)),
}
_AWAY = frozenset({"disabled", "incomplete"})
_NEVER = 9


def who(models: Iterable[Model], sense: Sense, wished: str = "") -> str | None:
    """The model for something; None where there is none."""
    here = [model for model in models if model.state not in _AWAY or _called(model, wished)]
    if wished:
        return next((model.name for model in here if _called(model, wished)), None)
    ranked = [(_rank(model, _SIGNS[sense]), model.state != "ready", number) for number, model in enumerate(here)]
    best = min(ranked, default=(_NEVER, True, 0))
    return here[best[2]].name if best[0] < _NEVER else None


def find(models: Sequence[Model], name: str) -> Model | None:
    """A model by any of its names."""
    return next((model for model in models if _called(model, name)), None)


def sees(model: Model | None) -> bool:
    """Whether a model that is talked to looks at pictures itself."""
    return model is not None and "vision" in model.capabilities and _rank(model, _SIGNS[Sense.HEARS]) == _NEVER


def _called(model: Model, name: str) -> bool:
    return bool(name) and name in {model.name, *model.aliases}


def _rank(model: Model, signs: _Signs) -> int:
    names = {name.lower() for name in (model.name, *model.aliases)}
    if names & signs.names:
        return 0
    if signs.capability in model.capabilities and (signs.capability != "vision" or sees(model)):
        return 1
    return 2 if any(part in name for name in names for part in signs.parts) else _NEVER
