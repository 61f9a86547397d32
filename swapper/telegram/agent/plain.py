"""The plainest agent: one chat completion, streamed. No tools; the model sees and hears what it can by itself."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Iterator

from swapper.client import Comment, Router, RouterError
from swapper.telegram.agent.base import Event, Failed, Finished, Progress, Request, Text, Thinking
from swapper.telegram.agent.failures import FILE_GONE, told
from swapper.telegram.agent.messages import messages
from swapper.telegram.agent.thinking import Thoughts

_LOG = logging.getLogger(__name__)


class PlainAgent:
    """Answers by one chat completion of the router."""

    def __init__(self, router: Router) -> None:
        """Know whom to ask."""
        self._router = router

    async def answer(self, request: Request) -> AsyncGenerator[Event]:
        """The answer's events, as `agent.base` says."""
        try:
            thoughts = Thoughts()
            body = {"model": request.model, "messages": await asyncio.to_thread(messages, request)}
            async with contextlib.aclosing(self._router.chat(body)) as stream:
                async for heard in stream:
                    if isinstance(heard, Comment):
                        yield Progress(heard.text)
                        continue
                    for event in _events(heard.thought, *thoughts.sort(heard.text)):
                        yield event
                for event in _events("", *thoughts.end()):
                    yield event
        except RouterError as error:
            yield told(error, request.model)
        except OSError as error:
            _LOG.error("a file of the conversation cannot be read: %s", error)
            yield Failed(*FILE_GONE)
        else:
            yield Finished()


def _events(told: str, thought: str, text: str) -> Iterator[Event]:
    if told or thought:
        yield Thinking(told + thought)
    if text:
        yield Text(text)
