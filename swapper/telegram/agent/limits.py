"""How much an answer may take, and what remains. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one answer may take at most.

    Attributes:
        steps: Completions, each of which may call tools.
        seconds: All in all, loading of models included.
        tokens: That the model writes in all of them.
        result: Characters of a tool's result that the model is shown.
    """

    steps: int = 8
    seconds: float = 1200.0
    tokens: int = 32_000
    result: int = 12_000


@dataclass(slots=True)
class Budget:
    """What is left of it.

    Attributes:
        limits: What there was.
        steps: Completions that were made.
        tokens: That were written.
        stuck: Whether a step asked for nothing that was not refused.
    """

    limits: Limits
    steps: int = 0
    tokens: int = 0
    stuck: bool = False

    @property
    def last(self) -> bool:
        """Whether the next step has to be the answer."""
        return self.stuck or self.steps >= self.limits.steps - 1

    @property
    def left(self) -> int:
        """Tokens that may still be written."""
        return max(0, self.limits.tokens - self.tokens)

    def spend(self, tokens: int, *, refused: int, called: int) -> None:
        """A step is over.

        Args:
            tokens: That it wrote.
            refused: Calls of tools that were not carried out.
            called: All its calls.
        """
        self.steps += 1
        self.tokens += tokens
        self.stuck = called > 0 and refused == called


def context_share(limits: Limits, context: int | None) -> int:
    """Characters of a tool's result for a model of this context: a quarter of it at most."""
    return limits.result if context is None else max(500, min(limits.result, context // 4 * 2))
