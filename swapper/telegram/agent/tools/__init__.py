"""What a model may have done: look, listen, speak, read a page, ask for the models' states. There is no shell."""

from swapper.telegram.agent.tools.base import Bench, Result, Tool, ToolError
from swapper.telegram.agent.tools.listen import TranscribeAudio
from swapper.telegram.agent.tools.look import DescribeImage, ReadTextInImage
from swapper.telegram.agent.tools.page import FetchPage
from swapper.telegram.agent.tools.speak import Speak
from swapper.telegram.agent.tools.status import ModelsStatus

__all__ = ["TOOLS", "Bench", "Result", "Tool", "ToolError"]

TOOLS: tuple[Tool, ...] = (
    TranscribeAudio(),
    DescribeImage(),
    ReadTextInImage(),
    Speak(),
    FetchPage(),
    ModelsStatus(),
)
"""All of them."""
