"""What is stored outlasts its process, and what is deleted is gone."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swapper.telegram.agent.base import Medium, Turn
from swapper.telegram.places import Lane
from swapper.telegram.store import Conversations, Database, Inbox, Outbox, People, Uncertain
from swapper.telegram.store.inbox import KEPT

ADA, BOB = Lane(42), Lane(43)


type Open = Callable[[], Database]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens the database, as each process does."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(contextlib.closing(Database(tmp_path / "bot.sqlite3")))


@pytest.fixture
def database(opened: Open) -> Database:
    return opened()


@pytest.fixture
def inbox(database: Database) -> Inbox:
    return Inbox(database)


@pytest.fixture
def conversations(database: Database, tmp_path: Path) -> Conversations:
    return Conversations(database, tmp_path / "files")


def update(number: int, text: str = "Hello!") -> dict[str, object]:
    return {"update_id": number, "message": {"text": text}}


# ---- updates ---------------------------------------------------------------------------------------------------------


def test_an_update_is_taken_in_once(inbox: Inbox) -> None:
    assert inbox.take_in(update(1), ADA)
    assert not inbox.take_in(update(1), ADA)
    item = inbox.next(ADA)
    assert item is not None
    inbox.begin([item])
    inbox.done([item])
    assert not inbox.take_in(update(1), ADA), "not even when it is done"
    assert inbox.next(ADA) is None


def test_lanes_keep_their_order_and_are_apart(inbox: Inbox) -> None:
    for number, lane in ((3, ADA), (1, ADA), (2, BOB)):
        inbox.take_in(update(number), lane)
    assert set(inbox.open_lanes()) == {ADA, BOB}
    first, other = inbox.next(ADA), inbox.next(BOB)
    assert first is not None
    assert other is not None
    assert (first.id, other.id) == (1, 2)


def test_what_was_begun_comes_first_after_a_restart(inbox: Inbox, opened: Open) -> None:
    inbox.take_in(update(2), ADA)
    begun = inbox.next(ADA)
    assert begun is not None
    inbox.begin([begun])
    inbox.take_in(update(1), ADA)
    again = Inbox(opened()).next(ADA)
    assert again is not None
    assert (again.id, again.begun, again.attempts) == (2, True, 1)


def test_an_end_in_good_order_does_not_count_as_an_attempt(inbox: Inbox) -> None:
    inbox.take_in(update(1), ADA)
    for _ in range(2):
        inbox.begin([inbox.item(1)])
    inbox.leave([inbox.item(1)])
    assert inbox.item(1).attempts == 1


def test_what_was_given_up_is_not_begun(inbox: Inbox) -> None:
    inbox.take_in(update(1), ADA)
    item = inbox.item(1)
    inbox.done(inbox.earlier(ADA, 2))
    assert not inbox.begin([item])
    assert inbox.waiting() == 0


def test_an_album_that_was_begun_is_the_same_after_a_restart(inbox: Inbox) -> None:
    for number in (1, 2):
        inbox.take_in(update(number), ADA, album="A")
    first = inbox.next(ADA)
    assert first is not None
    inbox.begin(inbox.album(first))
    inbox.take_in(update(3), ADA, album="A")
    again = inbox.next(ADA)
    assert again is not None
    assert [item.id for item in inbox.album(again)] == [1, 2]


def test_what_is_done_says_nothing_any_more(inbox: Inbox, tmp_path: Path, database: Database) -> None:
    inbox.take_in(update(1, "a precious secret"), ADA)
    item = inbox.item(1)
    inbox.begin([item])
    inbox.done([item])
    database.forget()
    assert all(b"a precious secret" not in file.read_bytes() for file in tmp_path.iterdir())


def test_what_was_done_long_ago_is_forgotten(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox.take_in(update(1), ADA)
    inbox.take_in(update(2), ADA)
    inbox.done([inbox.item(1)])
    now = inbox.item(2).arrived
    monkeypatch.setattr("time.time", lambda: now + KEPT + 1)
    inbox.tidy()
    assert inbox.waiting() == 1, "what is not done is kept"
    assert inbox.take_in(update(1), ADA)


def test_a_batch_is_stored_whole_or_not_at_all(inbox: Inbox, database: Database) -> None:
    def batch() -> None:
        with database.transaction():
            inbox.take_in(update(1), ADA)
            inbox.take_in({}, ADA)

    with pytest.raises(KeyError):
        batch()
    assert inbox.waiting() == 0


# ---- messages --------------------------------------------------------------------------------------------------------


def test_a_message_is_sent_once(database: Database) -> None:
    outbox = Outbox(database)
    assert outbox.intend(1, "0") is None
    outbox.confirm(1, "0", 77)
    assert outbox.intend(1, "0") == 77


def test_a_message_that_may_have_been_sent_is_not_sent_again(database: Database) -> None:
    outbox = Outbox(database)
    outbox.intend(1, "0")
    with pytest.raises(Uncertain):
        outbox.intend(1, "0")
    assert outbox.message(1, "0") is None


def test_one_that_certainly_was_not_may_be(database: Database) -> None:
    outbox = Outbox(database)
    outbox.intend(1, "0")
    outbox.retract(1, "0")
    assert outbox.intend(1, "0") is None


def test_an_answer_that_is_kept_ends_with_its_update(database: Database, inbox: Inbox) -> None:
    outbox = Outbox(database)
    inbox.take_in(update(1), ADA)
    outbox.keep(1, {"pieces": ["ü"]})
    assert outbox.kept(1) == {"pieces": ["ü"]}
    inbox.done([inbox.item(1)])
    assert outbox.kept(1) is None


# ---- conversations ---------------------------------------------------------------------------------------------------


def say(conversations: Conversations, lane: Lane, head: int, question: str, answer: str | None = None) -> None:
    conversations.ask(lane, head, Turn("user", question))
    if answer is not None:
        conversations.answer(lane, head, [Turn("assistant", answer)])


def texts(turns: tuple[Turn, ...]) -> list[str]:
    return [turn.text for turn in turns]


def test_a_question_is_noted_once(conversations: Conversations) -> None:
    say(conversations, ADA, 1, "q1")
    say(conversations, ADA, 1, "q1")
    assert texts(conversations.turns(ADA, 1, 40)) == ["q1"]


def test_questions_without_an_answer_are_left_out(conversations: Conversations) -> None:
    say(conversations, ADA, 1, "q1", "a1")
    say(conversations, ADA, 2, "q2")
    say(conversations, ADA, 3, "q3")
    assert texts(conversations.turns(ADA, 3, 40)) == ["q1", "a1", "q3"]


def test_a_conversation_begins_with_a_question_however_much_is_remembered(conversations: Conversations) -> None:
    for number in range(1, 6):
        say(conversations, ADA, number, f"q{number}", f"a{number}")
    say(conversations, ADA, 6, "q6")
    assert texts(conversations.turns(ADA, 6, 4)) == ["q5", "a5", "q6"]
    assert texts(conversations.turns(ADA, 6, 5)) == ["q4", "a4", "q5", "a5", "q6"]


def test_lanes_know_nothing_of_each_other(conversations: Conversations) -> None:
    say(conversations, ADA, 1, "q1", "a1")
    say(conversations, BOB, 2, "q2")
    say(conversations, Lane(ADA.chat, 7), 3, "q3")
    assert texts(conversations.turns(BOB, 2, 40)) == ["q2"]
    assert texts(conversations.turns(Lane(ADA.chat, 7), 3, 40)) == ["q3"]


def test_a_question_that_is_asked_again(conversations: Conversations) -> None:
    say(conversations, ADA, 1, "q1", "a1")
    say(conversations, ADA, 2, "q2", "a2")
    found = conversations.question(ADA)
    assert found == (2, Turn("user", "q2"))
    conversations.move(ADA, 2, 5, found[1])
    assert conversations.question(ADA) == (5, Turn("user", "q2"))
    assert texts(conversations.turns(ADA, 5, 40)) == ["q1", "a1", "q2"]


def test_media_come_back_as_they_were(conversations: Conversations) -> None:
    turn = Turn("user", "look", (Medium("image", "image/png", "ä.png", conversations.folder(ADA) / "u1"),))
    conversations.ask(ADA, 1, turn)
    assert conversations.turns(ADA, 1, 40) == (turn,)


def test_what_is_forgotten_is_nowhere_on_disk(conversations: Conversations, tmp_path: Path) -> None:
    for lane in (ADA, BOB):
        say(conversations, lane, lane.chat, f"the secret of {lane}", f"the answer to {lane}")
        conversations.set(lane, "system", f"the prompt of {lane}")
        (conversations.folder(lane) / "u1").write_text(f"the file of {lane}")
    conversations.forget(ADA)
    left = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert all(f"the {what} {ADA}".encode() not in left for what in ("secret of", "answer to", "prompt of", "file of"))
    assert all(f"the {what} {BOB}".encode() in left for what in ("secret of", "answer to", "prompt of", "file of"))


def test_a_new_conversation_keeps_what_was_set(conversations: Conversations) -> None:
    say(conversations, ADA, 1, "q1", "a1")
    conversations.set(ADA, "model", "beta")
    conversations.begin_anew(ADA)
    assert (conversations.count(ADA), conversations.setting(ADA, "model")) == (0, "beta")


# ---- the rest --------------------------------------------------------------------------------------------------------


def test_who_was_let_in_is_known_to_the_next_process(
    tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    from swapper.telegram import pairing

    monkeypatch.setattr("time.time", lambda: 1000.0)
    pairing.leave(tmp_path, "ABCD-EFGH", 1000.0)
    people = People(opened(), tmp_path)
    assert not people.let_in(42, "Ada", 1, "hello")
    assert people.let_in(42, "Ada", 2, "abcd-efgh")
    again = People(opened(), tmp_path)
    assert 42 in again
    assert 43 not in again
    assert (again.let_in_by(1), again.let_in_by(2)) == (False, True)


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "bot.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(sqlite3.DatabaseError, match="later version"):
        Database(path)
