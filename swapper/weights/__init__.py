"""What files of weights say of themselves: GGUF files (`gguf.py`) and folders of the Hugging Face hub (`folder.py`)."""

from dataclasses import dataclass


class UnreadableError(Exception):
    """A file is not what it should be. The text says why."""


@dataclass(frozen=True, slots=True)
class Cache:
    """What one token in mind takes, and so what a context does.

    Attributes:
        token: Bytes for each token, of all layers that keep all tokens.
    """

    token: int = 0

    def of(self, context: int) -> int:
        """Bytes for so many tokens."""
        return self.token * context


@dataclass(frozen=True, slots=True)
class Weights:
    """What a model's files tell.

    Attributes:
        engine: What runs it.
        architecture: As the file calls it.
        size: Bytes of weights.
        context: Tokens that it was trained for; None where that is not told.
        cache: What tokens in mind take.
        capabilities: What it can do, as far as that is seen; empty where it is what models usually can.
        width: Values for each token, by which a projector is known to fit; 0 where that is not told.
    """

    engine: str
    architecture: str
    size: int
    context: int | None
    cache: Cache
    capabilities: tuple[str, ...] = ()
    width: int = 0
