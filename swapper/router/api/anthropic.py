"""The models as Anthropic's API lists them ("Models" in its reference), for clients that send `anthropic-version`.

Its list has the path of OpenAI's, and so only that header, which all of its clients send, tells who asks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from swapper.core.model import State
from swapper.router.api.shapes import Card
from swapper.router.errors import ApiError

HEADER = "anthropic-version"
"""Sent by all of Anthropic's clients."""

MOST = 1000
"""Most models of one page, as Anthropic has it; without `limit` a page has all of them."""


@dataclass(frozen=True, slots=True)
class Support:
    """Whether a model can do something.

    Attributes:
        supported: Whether it can.
    """

    supported: bool


@dataclass(frozen=True, slots=True)
class Effort(Support):
    """Whether a model can be told how hard to think, and how hard.

    Attributes:
        low: Little.
        medium: Somewhat.
        high: Hard.
        max: As hard as it can.
    """

    low: Support
    medium: Support
    high: Support
    max: Support


@dataclass(frozen=True, slots=True)
class ThinkingKinds:
    """Ways of thinking.

    Attributes:
        adaptive: As it sees fit.
        enabled: With a budget.
    """

    adaptive: Support
    enabled: Support


@dataclass(frozen=True, slots=True)
class Thinking(Support):
    """Whether a model's thinking can be asked for.

    Attributes:
        types: In which ways.
    """

    types: ThinkingKinds


@dataclass(frozen=True, slots=True)
class ServerTools(Support):
    """Tools that the server itself would call.

    Attributes:
        code_execution: Programs.
        web_search: A search engine.
    """

    code_execution: Support
    web_search: Support


@dataclass(frozen=True, slots=True)
class Abilities:
    """What can be relied on. What depends on the model, and is not known here, counts as not supported.

    Attributes:
        batch: Batches of requests.
        citations: Citations.
        code_execution: Tools called by programs.
        context_management: Editing of the context.
        effort: Effort.
        image_input: Pictures.
        pdf_input: Documents.
        server_tools: Tools of the server.
        structured_outputs: Output by a schema.
        thinking: Thinking.
    """

    batch: Support
    citations: Support
    code_execution: Support
    context_management: Support
    effort: Effort
    image_input: Support
    pdf_input: Support
    server_tools: ServerTools
    structured_outputs: Support
    thinking: Thinking


@dataclass(frozen=True, slots=True)
class AnthropicModel:
    """A model, as Anthropic's API describes one, with further fields.

    Attributes:
        type: Always `model`.
        id: Its name: what a request calls `model`.
        display_name: The same.
        created_at: Since when the router knows it (RFC 3339).
        lifecycle: Always `active`.
        max_input_tokens: Tokens that it can keep in mind; null where that is not known.
        max_tokens: The same: an answer may take all of them.
        capabilities: What it can do.
        aliases: Further names that it answers to.
        state: What it is doing.
    """

    type: Literal["model"]
    id: str
    display_name: str
    created_at: str
    lifecycle: Literal["active"]
    max_input_tokens: int | None
    max_tokens: int | None
    capabilities: Abilities
    aliases: tuple[str, ...]
    state: State


@dataclass(frozen=True, slots=True)
class AnthropicModels:
    """A page of models, as Anthropic's API lists them.

    Attributes:
        data: The models, in the order of the configuration.
        has_more: Whether there are more after these (or before them, where `before_id` was given).
        first_id: The first of these; null where there is none.
        last_id: The last of these; null where there is none.
    """

    data: tuple[AnthropicModel, ...]
    has_more: bool
    first_id: str | None
    last_id: str | None


def model(card: Card) -> AnthropicModel:
    """One model."""
    return AnthropicModel(
        type="model",
        id=card.id,
        display_name=card.name,
        created_at=datetime.fromtimestamp(card.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        lifecycle="active",
        max_input_tokens=card.context_length,
        max_tokens=card.context_length,
        capabilities=_abilities(sees="vision" in card.capabilities),
        aliases=card.aliases,
        state=card.state,
    )


def page(cards: Sequence[Card], limit: int | None, after: str | None, before: str | None) -> AnthropicModels:
    """Some of the models.

    Args:
        cards: All of them.
        limit: How many at most; None for all.
        after: Those after this one.
        before: Those before this one, the nearest ones where there are more than `limit`.

    Raises:
        ApiError: `model_not_found`, where there is no such model.
    """
    names = [card.id for card in cards]
    first = 0 if after is None else _place(names, after, "after_id") + 1
    end = len(cards) if before is None else _place(names, before, "before_id")
    all_of_them = cards[first:end]
    shown = all_of_them if limit is None else all_of_them[:limit] if before is None else all_of_them[-limit:]
    ids = [card.id for card in shown]
    return AnthropicModels(
        data=tuple(model(card) for card in shown),
        has_more=len(shown) < len(all_of_them),
        first_id=ids[0] if ids else None,
        last_id=ids[-1] if ids else None,
    )


def _place(names: Sequence[str], name: str, param: str) -> int:
    try:
        return names.index(name)
    except ValueError:
        raise ApiError("model_not_found", f"`{param}` is not the id of a model.", param=param) from None


def _abilities(*, sees: bool) -> Abilities:
    no = Support(supported=False)
    return Abilities(
        batch=no,
        citations=no,
        code_execution=no,
        context_management=no,
        effort=Effort(supported=False, low=no, medium=no, high=no, max=no),
        image_input=Support(supported=sees),
        pdf_input=no,
        server_tools=ServerTools(supported=False, code_execution=no, web_search=no),
        structured_outputs=no,
        thinking=Thinking(supported=False, types=ThinkingKinds(adaptive=no, enabled=no)),
    )
