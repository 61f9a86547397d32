"""How an agent's work becomes the events of an answer: it is a task of its own, and tells; so are its failures."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable

from swapper.client import RouterError
from swapper.telegram.agent.base import Event, Failed, Finished
from swapper.telegram.agent.failures import DEFECT, FILE_GONE, TOO_LONG, told

_LOG = logging.getLogger(__name__)

type Tell = Callable[[Event], None]


class GaveUpError(Exception):
    """There is no answer, for a reason of ours.

    Attributes:
        failed: What the chat is told.
    """

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.code)
        self.failed = failed


def no_answer(model: str) -> GaveUpError:
    """A model that had nothing to say."""
    return GaveUpError(Failed("no_answer", f"{model} had no answer.", "Try /retry, or choose another with /model."))


async def events_of(work: Callable[[Tell], Awaitable[Finished]], model: str, seconds: float) -> AsyncGenerator[Event]:
    """The events of an answer.

    Args:
        work: Makes the answer and tells of it. Is cancelled where the iterator is closed, and after the time.
        model: The model's name, for messages.
        seconds: The time.
    """
    events: asyncio.Queue[Event] = asyncio.Queue()
    task = asyncio.create_task(_whole(work, events.put_nowait, model, seconds), name=f"answer of {model}")
    try:
        ended = False
        while not ended:
            event = await events.get()
            ended = isinstance(event, Finished | Failed)
            yield event
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _whole(work: Callable[[Tell], Awaitable[Finished]], tell: Tell, model: str, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            finished = await work(tell)
    except TimeoutError:
        _LOG.error("%s was not ready within %g s", model, seconds)
        tell(Failed(*TOO_LONG))
    except RouterError as error:
        tell(told(error, model))
    except GaveUpError as error:
        _LOG.warning("%s gave up: %s", model, error)
        tell(error.failed)
    except OSError as error:
        _LOG.error("a file of the conversation cannot be used: %s", error)
        tell(Failed(*FILE_GONE))
    except Exception:  # noqa: BLE001 - the chat is told, whatever it was
        _LOG.exception("a defect, while %s answered", model)
        tell(Failed(*DEFECT))
    else:
        tell(finished)
