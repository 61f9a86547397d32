"""The answer, spoken, where that is wished for and somebody can."""

import logging
from collections.abc import Sequence

from swapper.client import Model, RouterError
from swapper.telegram.agent.base import Text
from swapper.telegram.agent.board import Board
from swapper.telegram.agent.choose import Sense, who
from swapper.telegram.agent.telling import Tell
from swapper.telegram.agent.tools import Bench, ToolError
from swapper.telegram.agent.tools.speak import speak

_LOG = logging.getLogger(__name__)


async def aloud(bench: Bench, models: Sequence[Model], text: str, board: Board, tell: Tell) -> None:
    """Speak an answer. It stands there already, so it does not fail for that."""
    if who(models, Sense.SPEAKS, bench.wished.speaks) is None:
        _LOG.info("no model speaks, so answers are not spoken")
        return
    try:
        tell(await speak(bench, text, board.line("speak")))
    except ToolError as error:
        _LOG.info("an answer is not spoken: %s", error)
    except (RouterError, OSError) as error:
        _LOG.warning("an answer could not be spoken: %s", error)
        tell(Text("\n\n_(This could not be spoken.)_"))
