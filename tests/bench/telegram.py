"""What the Telegram bot costs: its start, its memory, and an answer of its own beside the same one from port 8000.

    tests/run --command python3 -m tests.bench.telegram [--messages 10000] [--rounds 5]

Once with nothing stored, and once with so many messages stored in a thousand chats.
"""

import argparse
import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

from swapper.telegram.agent.base import Turn
from swapper.telegram.places import Lane
from swapper.telegram.store import DATABASE, FILES, Conversations, Database, Inbox, Moves
from tests.bench import figures
from tests.bench.memory import Held
from tests.job import house
from tests.lab.bot_api import BotApi
from tests.telegram.installed import rig

CHATS = 1000


def fill(messages: int) -> None:
    """Store questions and answers, each as an update that is done and a turn."""
    with contextlib.closing(Database(rig.STATE / DATABASE)) as database:
        files = rig.STATE / FILES
        inbox, conversations = Inbox(database), Conversations(database, files, Moves(database, files))
        with database.transaction():
            for number in range(messages // 2):
                lane = Lane(10_000 + number % CHATS)
                inbox.take_in({"update_id": number + 1_000_000, "message": {"text": "x" * 200}}, lane)
                for role in ("user", "assistant"):
                    conversations.answer(lane, number + 1_000_000, [Turn(role, "word " * 100)])
            database.do("UPDATE updates SET state = 'done', body = '' WHERE id >= 1000000")
    house.run("chown", "-R", "swapper-telegram:", str(rig.STATE))


@dataclass(frozen=True, slots=True)
class Once:
    """One run: seconds until READY, for an answer, and for the same from port 8000; and what is held then."""

    start: float
    answer: float
    asked: float
    held: Held


def once(telegram: BotApi) -> Once:
    """Start it, ask, and stop it."""
    began = time.perf_counter()
    rig.start()
    started = time.perf_counter() - began
    count = len(telegram.chats.all(rig.ADA))
    began = time.perf_counter()
    telegram.chats.text(rig.ADA, "Hello!")
    telegram.chats.wait(lambda: len(telegram.chats.all(rig.ADA)) > count, "an answer")
    answered = time.perf_counter() - began
    began = time.perf_counter()
    assert house.chat("alpha").status == 200
    asked = time.perf_counter() - began
    held = Held.by(house.main_pid(rig.SERVICE))
    house.run("systemctl", "stop", rig.SERVICE)
    return Once(started, answered, asked, held)


def show(name: str, rounds: int, telegram: BotApi) -> None:
    """Measure so often, and print."""
    once(telegram)
    found = [once(telegram) for _ in range(rounds)]
    start, answer = figures.Series.of(one.start for one in found), figures.Series.of(one.answer for one in found)
    asked = figures.Series.of(one.asked for one in found)
    held = figures.Series.of(one.held.rss for one in found)
    private = figures.Series.of(one.held.private for one in found)
    print(f"{name}:")
    print(f"  start until READY   {start.text(1000, 0)} ms")
    print(f"  an answer           {answer.text(1000, 0)} ms; from port 8000 {asked.text(1000, 0)} ms")
    print(f"  memory, idle        {held.text(1 / 2**20)} MiB resident, {private.text(1 / 2**20)} MiB of them its own")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="What the Telegram bot costs.")
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    house.write_gguf("alpha")
    house.reset()
    house.configure("models: {alpha: {engine: llama, model: alpha.gguf, context: 2048}}")
    rig.clean()
    with BotApi().serving() as telegram:
        rig.configure(telegram)
        show("nothing stored", options.rounds, telegram)
        fill(options.messages)
        size = sum(file.stat().st_size for file in Path(rig.STATE).iterdir() if file.is_file())
        show(f"{options.messages:,} messages stored ({size / 2**20:.1f} MiB)", options.rounds, telegram)
    rig.clean()


if __name__ == "__main__":
    main()
