"""What an agent asks in the chat, where nobody answers, or too late; against the Bot API double."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from swapper.telegram.agent.base import Ask
from swapper.telegram.api import Api
from swapper.telegram.asking import CLOSED, LATE, OVER, PRESS, Asking, Questions
from swapper.telegram.delivery import Delivery
from swapper.telegram.incoming import Press
from swapper.telegram.places import Lane
from swapper.telegram.store import Database, Moves, Outbox
from tests.lab.bot_api import TOKEN, BotApi

ADA = 42
HEAD = 501


@pytest.fixture
def telegram() -> Iterator[BotApi]:
    with BotApi().serving() as telegram:
        yield telegram


@asynccontextmanager
async def asking(telegram: BotApi, folder: Path, questions: Questions, patience: float) -> AsyncIterator[Asking]:
    """The questions of one answer."""
    with closing(Database(folder / "bot.sqlite3")) as database:
        api = Api(TOKEN, telegram.url, Moves(database, folder))
        await api.open()
        delivery = Delivery(api, Outbox(database))
        yield Asking(delivery, questions, Lane(ADA), HEAD, reply_to=0, sender=ADA, patience=patience)
        await api.close()


def ask(text: str = "May I?") -> Ask:
    return Ask(text, ("Allow", "Refuse"), asyncio.get_running_loop().create_future())


def press(data: str) -> Press:
    return Press(Lane(ADA), ADA, "Q1", data, 1)


def test_nobody_answers_in_time(telegram: BotApi, tmp_path: Path) -> None:
    async def story() -> None:
        questions, asked = Questions(), ask()
        async with asking(telegram, tmp_path, questions, 0.2) as one:
            one.take(asked)
            assert await asked.reply == "Refuse"
            await one.end()
        (said,) = telegram.chats.all(ADA)
        assert said.text.endswith(LATE)
        assert said.buttons == ()

    asyncio.run(story())


def test_the_answer_ends_before(telegram: BotApi, tmp_path: Path) -> None:
    async def story() -> None:
        questions, asked, gone = Questions(), ask(), ask("Or this?")
        async with asking(telegram, tmp_path, questions, 60) as one:
            one.take(asked)
            one.take(gone)
            await asyncio.to_thread(telegram.chats.wait, lambda: len(telegram.chats.said) == 2, "both are asked")
            gone.reply.cancel()  # whoever asked does not wait any more
            await one.end()
        assert await asked.reply == "Refuse"
        first, second = telegram.chats.all(ADA)
        assert first.text.endswith(OVER)
        assert second.text.endswith(OVER)

    asyncio.run(story())


@pytest.mark.parametrize("data", ["ask:", "ask:x", "ask:x:0", "ask:x:y", "ask:::"])
def test_a_button_of_nothing_is_answered(data: str) -> None:
    assert Questions().press(press(data)) == CLOSED


@pytest.mark.parametrize("number", ["2", "-1", "x", ""])
def test_a_choice_that_there_is_not_decides_nothing(number: str) -> None:
    async def story() -> None:
        questions, asked = Questions(), ask()
        token = questions.open(asked, ADA)
        assert questions.press(press(f"{PRESS}{token}:{number}")) == CLOSED
        assert not asked.reply.done()

    asyncio.run(story())


@pytest.mark.parametrize("text", ["```\n" + "x" * 4090 + "\n```", "long " * 900, ""])
def test_what_does_not_fit_is_refused_unasked(telegram: BotApi, tmp_path: Path, text: str) -> None:
    async def story() -> None:
        questions, asked = Questions(), ask(text)
        async with asking(telegram, tmp_path, questions, 60) as one:
            one.take(asked)
            assert await asked.reply == "Refuse"
            await one.end()
        assert telegram.chats.all(ADA) == []

    asyncio.run(story())
