"""What the chat and an agent say to each other. Neither knows more of the other than this."""

from asyncio import Future
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Medium:
    """Something other than typed text.

    Attributes:
        kind: "audio", "image" or "document".
        mime: What it is, such as `audio/ogg`.
        name: As the sender called it.
        path: The file, in the bot's state directory.
    """

    kind: str
    mime: str
    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Turn:
    """One side's word in a conversation.

    Attributes:
        role: "user" or "assistant".
        text: What was said.
        media: What came with it.
    """

    role: str
    text: str
    media: tuple[Medium, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What an agent is asked.

    Attributes:
        model: A name that the router knows.
        system: The system prompt; empty for none.
        turns: The conversation; the last turn is the user's.
        speak: Whether the answer is wanted as speech too.
        place: The chat's name, by which an agent that works on files has a directory for it.
    """

    model: str
    system: str
    turns: tuple[Turn, ...]
    speak: bool = False
    place: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """What is being done: the tool at work, or "loading devstral, 43 %". Replaces the one before."""

    text: str


@dataclass(frozen=True, slots=True)
class Thinking:
    """More of the model's reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """More of the answer, in Markdown."""

    text: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """The answer as an OGG/Opus file.

    Attributes:
        path: The file; whoever takes it removes it.
        seconds: How long it is.
    """

    path: Path
    seconds: float


@dataclass(frozen=True, slots=True)
class Ask:
    """A person has to decide before the answer goes on.

    Attributes:
        question: What about, in Markdown.
        options: What can be chosen; the last one is to refuse.
        reply: Takes one of the options; whoever cannot ask sets the last one.
    """

    question: str
    options: tuple[str, ...]
    reply: Future[str]


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is whole.

    Attributes:
        noted: What is to be remembered besides the answer's text, such as transcripts and descriptions.
    """

    noted: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """There will be no more of the answer.

    Attributes:
        code: One word, for the journal.
        message: What happened, in words for the chat.
        hint: What to do; empty where there is nothing.
    """

    code: str
    message: str
    hint: str = ""


type Event = Progress | Thinking | Text | Spoken | Ask | Finished | Failed
"""What an agent tells, in order; the last one is `Finished` or `Failed`."""


class Agent(Protocol):
    """Answers one request."""

    def answer(self, request: Request) -> AsyncIterator[Event]:
        """The answer's events. Closing the iterator gives it up, and whatever works for it."""
        ...


class UnforgottenError(Exception):
    """Something of a chat could not be deleted. The text says why."""


class Workplaces(Protocol):
    """The directories in which an agent works, one for each chat; they outlast a change of who answers."""

    async def forget(self, place: str) -> None:
        """Delete that of a chat, and all that is in it.

        Raises:
            UnforgottenError: It may still be there.
        """
        ...
