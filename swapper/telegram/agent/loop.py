"""The agent with tools: chat completions, between which tools are called, as far as `limits.py` allows.

    media of the question that the model does not take itself ─> text ─┐
    completion ─> calls? ─> tools, side by side ─> results as material ─┴─> completion … ─> answer ─> spoken, if wished

Recordings and pictures of the question become text first, and not when the model asks for it: what hears and sees is a
model of its own, so asking back and forth would be a swap more for each of them. Tools are for all else: another look,
something sent earlier, a page. A model that knows no tools so lacks little, and one whose engine refuses tools or
pictures is asked once more without.
"""

import contextlib
import logging
from collections.abc import AsyncGenerator, Collection

from swapper.client import RouterError
from swapper.telegram.agent.answering import Answering, Asked
from swapper.telegram.agent.base import Event, Finished, Request
from swapper.telegram.agent.limits import Limits
from swapper.telegram.agent.manners import Manner, less, most
from swapper.telegram.agent.telling import Tell, events_of
from swapper.telegram.agent.tools import TOOLS, Bench

_LOG = logging.getLogger(__name__)


class ToolAgent:
    """Answers by a bounded loop of completions and tools."""

    def __init__(
        self,
        bench: Bench,
        limits: Limits | None = None,
        without: Collection[str] = (),
    ) -> None:
        """Know whom to ask.

        Args:
            bench: What tools work with.
            limits: Of one answer.
            without: Names of tools that are not offered.
        """
        self._bench = bench
        self._limits = limits or Limits()
        self._tools = tuple(tool for tool in TOOLS if tool.name not in without)
        self._manners: dict[str, Manner] = {}

    async def answer(self, request: Request) -> AsyncGenerator[Event]:
        """The answer's events, as `agent.base` says."""

        async def work(tell: Tell) -> Finished:
            return await self._attempts(request, tell)

        async with contextlib.aclosing(events_of(work, request.model, self._limits.seconds)) as events:
            async for event in events:
                yield event

    async def _attempts(self, request: Request, tell: Tell) -> Finished:
        """Answer in the manner that this model is known to take, or in a simpler one."""
        models = await self._bench.router.models()
        manner = self._manners.get(request.model) or most(models, request.model)
        answering = Answering(self._bench, self._limits, Asked(request, models, self._tools), tell)
        while True:
            try:
                return await answering.answer(manner)
            except RouterError as error:
                simpler = None if answering.begun else less(manner, error)
                if simpler is None:
                    raise
                _LOG.info("%s is asked once more, %s: %s", request.model, simpler, error)
                manner = self._manners[request.model] = simpler
