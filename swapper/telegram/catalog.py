"""The models that the router offers: `GET /v1/models`."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

TIMEOUT = 10.0
"""Seconds; the router answers this without any engine."""

MOST_NAME = 60
"""Characters of a model's name on a button."""

SIGNS = {
    "ready": "🟢", "draining": "🟡", "starting": "🟡", "stopping": "🟡", "parked": "💤", "stopped": "⚪",
    "failed": "🔴", "incomplete": "🔴", "disabled": "🔴",
}  # fmt: skip
"""One for each state that a model can be in."""

_LOG = logging.getLogger(__name__)


class NoModels(Exception):  # noqa: N818 - the state of affairs
    """The router does not say what it has."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model.

    Attributes:
        name: Its configured name.
        names: That and its aliases.
        state: As the router calls it.
        capabilities: Such as "chat" and "vision".
        context: Tokens that it keeps in mind; None where nobody knows yet.
    """

    name: str
    names: frozenset[str]
    state: str
    capabilities: frozenset[str]
    context: int | None = None

    @property
    def token(self) -> str:
        """Names it in a button, whose data has 64 bytes at most ("InlineKeyboardButton")."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:16]

    @property
    def label(self) -> str:
        """Name and state; of a long name, its beginning and its end, where names tend to differ."""
        name = self.name if len(self.name) <= MOST_NAME else f"{self.name[:30]}…{self.name[31 - MOST_NAME :]}"
        return f"{SIGNS.get(self.state, '⚪')} {name}"


@dataclass(frozen=True, slots=True)
class Catalog:
    """Asks the router.

    Attributes:
        session: Makes the connections.
        router: Its address.
        key: The API key, or empty.
    """

    session: aiohttp.ClientSession
    router: str
    key: str = ""

    async def models(self) -> Sequence[Model]:
        """All models, in the order of the configuration.

        Raises:
            NoModels: The router cannot be asked. What went wrong is in the journal.
        """
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        url, timeout = f"{self.router}/v1/models", aiohttp.ClientTimeout(total=TIMEOUT)
        try:
            async with self.session.get(url, headers=headers, timeout=timeout) as response:
                response.raise_for_status()
                cards = (await response.json())["data"]
            return [_model(card) for card in cards]
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
            _LOG.error("%s: %r", url, error)
            raise NoModels from error

    async def chats(self) -> Sequence[Model]:
        """Those that one can talk to."""
        return [model for model in await self.models() if "chat" in model.capabilities]


def find(models: Sequence[Model], name: str) -> Model | None:
    """A model by any of its names, in whatever case."""
    exact = next((model for model in models if name in model.names), None)
    return exact or next((model for model in models if name.lower() in {one.lower() for one in model.names}), None)


def _model(card: dict[str, object]) -> Model:
    aliases, capabilities = card.get("aliases"), card.get("capabilities")
    names = [str(alias) for alias in aliases] if isinstance(aliases, list) else []
    name = str(card["id"])
    can = frozenset(map(str, capabilities)) if isinstance(capabilities, list) else frozenset({"chat"})
    context = card.get("context_length")
    kept = context if isinstance(context, int) else None
    return Model(name, frozenset([name, *names]), str(card.get("state", "")), can, kept)
