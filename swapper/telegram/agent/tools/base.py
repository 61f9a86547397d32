"""What tools are, and what they work with."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from swapper.client import Comment, Heard, Model, Router, RouterError
from swapper.outside.door import Door
from swapper.telegram.agent.base import Medium, Spoken
from swapper.telegram.agent.choose import Sense, Wished, who
from swapper.telegram.agent.shelf import Shelf
from swapper.telegram.agent.thinking import Thoughts

type Say = Callable[[str], None]
"""Takes what a tool is doing, in words for people."""

MOST_TEXT = 100_000
"""Characters of a transcript or a description: hours of speech. A model that comes to no end is cut off."""

type Arguments = Mapping[str, Any]

_NOBODY = {
    Sense.HEARS: "No model here can transcribe speech.",
    Sense.SEES: "No model here can see pictures.",
    Sense.SPEAKS: "No model here can speak.",
}


class ToolError(Exception):
    """A tool did not do what it was asked for. The text says why, as a sentence for the model and for people."""


class NobodyError(ToolError):
    """There is no model for it."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool has found.

    Attributes:
        text: Material, from wherever.
        about: Where it is from.
        noted: Whether it is to be remembered in the conversation.
        spoken: A recording that was made.
    """

    text: str
    about: str
    noted: bool = False
    spoken: Spoken | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """What tools work with; one for all answers.

    Attributes:
        router: Has the models.
        door: To web pages (`page_door`); is for whoever made it to close.
        folder: Where recordings are put.
        wished: Configured names of models.
        deaf: Models and the media types that they have refused: these are converted at once.
    """

    router: Router
    door: Door
    folder: Path
    wished: Wished = field(default_factory=Wished)
    deaf: set[tuple[str, str]] = field(default_factory=set)

    async def who(self, sense: Sense) -> str:
        """The model for something.

        Raises:
            NobodyError: There is none.
            RouterError: The router cannot be asked.
        """
        found = who(await self.router.models(), sense, self.wished.of(sense))
        if found is None:
            raise NobodyError(_NOBODY[sense])
        return found


class Tool(Protocol):
    """Something that a model may have done."""

    @property
    def name(self) -> str:
        """As the model calls it."""
        ...

    @property
    def description(self) -> str:
        """What it does, for the model."""
        ...

    @property
    def parameters(self) -> Mapping[str, object]:
        """Its arguments, as a JSON schema."""
        ...

    def useful(self, shelf: Shelf, models: Sequence[Model], wished: Wished) -> bool:
        """Whether there is anything that it could be used for."""
        ...

    async def run(self, bench: Bench, shelf: Shelf, arguments: Arguments, say: Say) -> Result:
        """Do it.

        Raises:
            ToolError: It cannot be done.
            RouterError: The router could not do its part.
            OSError: A file cannot be read.
        """
        ...


def schema(required: Sequence[str] = (), **properties: Mapping[str, object]) -> Mapping[str, object]:
    """A JSON schema of arguments."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def string(description: str) -> Mapping[str, object]:
    """The schema of a text."""
    return {"type": "string", "description": description}


def text(arguments: Arguments, name: str, usual: str | None = None, most: int = 4000) -> str:
    """An argument that is a text.

    Raises:
        ToolError: It is missing, and there is no usual one; or it is something else.
    """
    found = arguments.get(name)
    if found is None or found == "":
        found = usual
    if not isinstance(found, str):
        raise ToolError(f"{name!r} has to be a text.")
    return found[:most]


def medium(shelf: Shelf, arguments: Arguments, kind: str) -> Medium:
    """The medium that an argument names.

    Raises:
        ToolError: There is none of this id.
    """
    try:
        return shelf.find(text(arguments, "id", most=20), kind).medium
    except LookupError as error:
        raise ToolError(str(error)) from error


async def content(file: Medium) -> bytes:
    """The bytes of a medium.

    Raises:
        ToolError: It is not there any more.
    """
    try:
        return await asyncio.to_thread(file.path.read_bytes)
    except OSError as error:
        raise ToolError(f"{file.name} is not there any more.") from error


async def gather(stream: AsyncGenerator[Heard], doing: str, say: Say) -> str:
    """The text of an answer, without thoughts, up to `MOST_TEXT`, while it is said what one waits for.

    Raises:
        RouterError: It does not come.
    """
    found: list[str] = []
    room, thoughts = MOST_TEXT, Thoughts()
    async with contextlib.aclosing(stream) as heard:
        async for one in heard:
            if isinstance(one, Comment):
                say(f"{doing}: {one.text}")
                continue
            found.append(thoughts.sort(one.text)[1])
            room -= len(one.text) + len(one.thought)
            if room < 0:
                break
    return "".join([*found, thoughts.end()[1]]).strip()


def refused(error: RouterError) -> bool:
    """Whether an engine would not take what it was sent, rather than that it could not be asked."""
    return error.status in {400, 415, 422, 500} and error.code not in {"model_incapable", "internal_error"}
