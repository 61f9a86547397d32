"""What a model can be sent: tools, and pictures; found out by what its engine refuses. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from swapper.client import Model, RouterError
from swapper.telegram.agent.choose import find, sees
from swapper.telegram.agent.tools.base import refused

_ABOUT_TOOLS = ("tool", "jinja", "template", "function")
_ABOUT_PICTURES = ("image", "multimodal", "multi-modal", "mmproj", "vision", "picture")


@dataclass(frozen=True, slots=True)
class Manner:
    """How a model is asked.

    Attributes:
        tools: It may call tools.
        sees: It is shown pictures.
    """

    tools: bool = True
    sees: bool = False

    def __str__(self) -> str:
        return f"{'with' if self.tools else 'without'} tools, {'with' if self.sees else 'without'} pictures"


def most(models: Sequence[Model], name: str) -> Manner:
    """The best that may be expected of a model."""
    return Manner(sees=sees(find(models, name)))


def less(manner: Manner, error: RouterError) -> Manner | None:
    """How to ask once more after an engine has refused; None where that would not help."""
    if not refused(error):
        return None
    words = error.message.lower()
    if manner.sees and any(word in words for word in _ABOUT_PICTURES):
        return replace(manner, sees=False)
    if manner.tools and any(word in words for word in _ABOUT_TOOLS):
        return replace(manner, tools=False)
    return None
