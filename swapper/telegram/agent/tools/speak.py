"""speak: a text as a voice message."""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from swapper.client import Model
from swapper.telegram.agent import speech
from swapper.telegram.agent.base import Spoken
from swapper.telegram.agent.choose import Sense, Wished, who
from swapper.telegram.agent.shelf import Shelf
from swapper.telegram.agent.tools.base import Arguments, Bench, Result, Say, ToolError, schema, string, text


class Speak:
    """The tool."""

    name = "speak"
    description = (
        "Send a voice message that says a text. Only where something is to be heard; the answer itself is sent anyway."
    )
    parameters: Mapping[str, object] = schema(["text"], text=string("What is to be said."))

    def useful(self, shelf: Shelf, models: Sequence[Model], wished: Wished) -> bool:
        """Where somebody speaks."""
        del shelf
        return who(models, Sense.SPEAKS, wished.speaks) is not None

    async def run(self, bench: Bench, shelf: Shelf, arguments: Arguments, say: Say) -> Result:
        """See `Tool`."""
        del shelf
        made = await speak(bench, text(arguments, "text"), say)
        return Result(f"The voice message was made; it is {made.seconds:.0f} s long.", "speak", spoken=made)


async def speak(bench: Bench, markdown: str, say: Say) -> Spoken:
    """A text as an OGG/Opus file, which is the caller's to remove.

    Raises:
        ToolError: There is nothing to say in it, or nobody who speaks.
        RouterError: The router could not do its part.
        OSError: It cannot be written.
    """
    words = speech.spoken(markdown)
    if not any(map(str.isalnum, words)):
        raise ToolError("There is nothing in it that could be said.")
    model = await bench.who(Sense.SPEAKS)
    say(f"speaking with {model}")
    ogg = await bench.router.speech(model, words, voice=bench.wished.voice)
    length = speech.seconds(ogg)
    if length is None:
        raise ToolError(f"{model} made something else than OGG/Opus.")
    return Spoken(await asyncio.to_thread(_kept, ogg, bench.folder), length)


def _kept(ogg: bytes, folder: Path) -> Path:
    with tempfile.NamedTemporaryFile(prefix="spoken-", suffix=".ogg", dir=folder, delete=False) as file:
        file.write(ogg)
    return Path(file.name)
