"""Updates as they come: stored, all of a batch or none, and then handed to whoever works on them.

What does not concern the bot is not stored at all: the most of what is said in groups.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from swapper.telegram import commands
from swapper.telegram.desk import Desk
from swapper.telegram.incoming import Message, Moving, Press
from swapper.telegram.office import Office
from swapper.telegram.places import Lane

_LOG = logging.getLogger(__name__)


class Intake:
    """Takes updates in."""

    def __init__(self, office: Office, desk: Desk) -> None:
        self._office = office
        self._desk = desk

    def take(self, updates: Iterable[Mapping[str, Any]]) -> None:
        """Store updates; when this returns, Telegram may forget them."""
        new: list[tuple[int, Lane, Message | Press, bool]] = []
        updates = list(updates)
        self._move(updates)
        with self._office.database.transaction():
            for body in updates:
                meaning = self._understand(body)
                kind = "ignored" if meaning is None else type(meaning).__name__.lower()
                self._office.metrics.updates.labels(kind).inc()
                if meaning is None or isinstance(meaning, Moving):
                    continue
                express = self._express(meaning)
                album = meaning.album if isinstance(meaning, Message) else ""
                if self._office.inbox.take_in(body, meaning.lane, album=album, express=express):
                    new.append((int(body["update_id"]), meaning.lane, meaning, express))
        for number, lane, meaning, express in new:
            if express:
                self._desk.express(self._office.inbox.item(number))
                continue
            if isinstance(meaning, Message) and meaning.command in commands.CLEARING:
                self._desk.clear(lane, number)
            self._desk.wake(lane)

    def _move(self, updates: Iterable[Mapping[str, Any]]) -> None:
        """Groups that have become others, before anything that is said in them."""
        for meaning in map(self._understand, updates):
            if isinstance(meaning, Moving) and self._office.moves.move(meaning.old, meaning.new):
                _LOG.info("the group %d is %d from now on", meaning.old, meaning.new)
                self._desk.wake(Lane(meaning.new))

    def _understand(self, body: Mapping[str, Any]) -> Message | Press | Moving | None:
        """What an update means; None where it is of no concern."""
        try:
            meaning = self._office.understand(body)
        except (KeyError, TypeError, AttributeError, ValueError):  # an update of tomorrow must not hold up all others
            _LOG.exception("update %s is not understood", body.get("update_id"))
            return None
        if isinstance(meaning, Message) and not meaning.addressed:
            known = self._office.access.open_to(meaning.sender, meaning.lane)
            return meaning if meaning.album and known else None
        return meaning

    def _express(self, meaning: Message | Press) -> bool:
        if isinstance(meaning, Press) or not self._office.access.open_to(meaning.sender, meaning.lane):
            return True
        return meaning.command in commands.EXPRESS
