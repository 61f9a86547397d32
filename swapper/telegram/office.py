"""What everything that answers works with."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from swapper.telegram.access import Access
from swapper.telegram.agent.base import Agent, Workplaces
from swapper.telegram.api import Api
from swapper.telegram.asking import Questions
from swapper.telegram.catalog import Catalog, NoModels, find
from swapper.telegram.delivery import Delivery
from swapper.telegram.documents import room
from swapper.telegram.incoming import Me, Message, Moving, Press, understand
from swapper.telegram.media import Collector
from swapper.telegram.metrics import Metrics
from swapper.telegram.places import Lane
from swapper.telegram.settings import Settings
from swapper.telegram.store import Conversations, Database, Inbox, Moves, Outbox, People


@dataclass(frozen=True, slots=True)
class Office:
    """The parts of the bot."""

    settings: Settings
    me: Me
    api: Api
    agent: Agent
    workplaces: Workplaces
    catalog: Catalog
    collector: Collector
    delivery: Delivery
    database: Database
    inbox: Inbox
    outbox: Outbox
    conversations: Conversations
    people: People
    moves: Moves
    access: Access
    metrics: Metrics
    questions: Questions = field(default_factory=Questions)

    def understand(self, update: Mapping[str, Any]) -> Message | Press | Moving | None:
        """What an update means today: what was said in a group that has moved since is said where it is now."""
        meaning = understand(update, self.me)
        if not isinstance(meaning, Message) or (lane := self.moves.lane(meaning.lane)) == meaning.lane:
            return meaning
        return replace(meaning, lane=lane, number=0)  # which message it is there is not known

    async def model(self, lane: Lane) -> str:
        """The model that answers here: chosen by /model, or by the configuration, or the first that chats.

        Raises:
            NoModels: None was chosen, and the router does not say what it has.
        """
        if chosen := self.conversations.setting(lane, "model") or self.settings.model:
            return chosen
        models = await self.catalog.chats()
        if not models:
            raise NoModels
        return models[0].name

    async def room(self, lane: Lane) -> int:
        """Characters of documents for the model that answers here."""
        try:
            found = find(await self.catalog.models(), await self.model(lane))
        except NoModels:
            found = None
        return room(None if found is None else found.context)

    async def known(self, name: str) -> str | None:
        """A model's own name, by any of its names; None where there is no such model that chats."""
        found = find(await self.catalog.chats(), name)
        return None if found is None else found.name


@dataclass(slots=True, eq=False)
class Running:
    """A question that is being answered.

    Attributes:
        number: The update.
        stop: Set where somebody says /stop.
    """

    number: int
    stop: asyncio.Event = field(default_factory=asyncio.Event)
