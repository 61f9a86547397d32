"""What is stored outlasts its process, and what is deleted is gone."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swapper.telegram.agent.base import Medium, Turn
from swapper.telegram.places import Lane
from swapper.telegram.store import Conversations, Database, Inbox, Moves, Outbox, People, Uncertain
from swapper.telegram.store.inbox import KEPT, STOPPED

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
    return Conversations(database, tmp_path / "files", Moves(database, tmp_path / "files"))


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


def test_what_is_stopped_is_not_begun_once_more(inbox: Inbox) -> None:
    for number in (1, 2, 3):
        inbox.take_in(update(number), ADA)
    assert not inbox.stop(ADA, 9), "nothing is begun"
    inbox.begin([inbox.item(1)])
    inbox.begin([inbox.item(3)])
    assert not inbox.stop(BOB, 9)
    assert inbox.stop(ADA, 2)
    assert [inbox.item(number).attempts >= STOPPED for number in (1, 2, 3)] == [True, False, False]


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


# ---- groups that move ------------------------------------------------------------------------------------------------

OLD, NEW = Lane(-7), Lane(-1007)


def test_what_is_stored_of_a_group_goes_along_when_it_moves(database: Database, tmp_path: Path, opened: Open) -> None:
    moves = Moves(database, tmp_path / "files")
    conversations, inbox, people = Conversations(database, tmp_path / "files", moves), Inbox(database), Paired(database)
    file = conversations.folder(OLD) / "u1"
    file.write_text("seen")
    conversations.ask(OLD, 1, Turn("user", "q1", (Medium("image", "image/png", "a.png", file),)))
    conversations.answer(OLD, 1, [Turn("assistant", "a1")])
    conversations.set(OLD, "model", "beta")
    for number in (2, 3):
        inbox.take_in(update(number), OLD)
    inbox.begin([inbox.item(2)])
    assert moves.move(OLD.chat, NEW.chat)
    assert not moves.move(OLD.chat, NEW.chat), "it is told twice, once by each chat"
    for lane in (OLD, NEW):
        assert texts(conversations.turns(lane, 9, 40)) == ["q1", "a1"]
        assert conversations.setting(lane, "model") == "beta"
    assert conversations.turns(NEW, 9, 40)[0].media[0].path.read_text() == "seen"
    assert (inbox.item(2).lane, inbox.item(3).lane) == (OLD, NEW), "who works on it goes on"
    assert (OLD.chat in people, NEW.chat in people) == (False, True)
    again = Moves(opened(), tmp_path / "files")
    assert again.lane(OLD) == NEW
    assert (again.origin(OLD), again.origin(NEW)) == (OLD, OLD), "what others call by its name, they go on to"
    assert inbox.item(2).lane == NEW, "the next process takes it up there"
    conversations.forget(NEW)
    assert not file.exists()
    conversations.folder(NEW).joinpath("u2").write_text("new")


def test_a_group_that_moves_where_something_is_already(database: Database, tmp_path: Path) -> None:
    moves = Moves(database, tmp_path / "files")
    conversations = Conversations(database, tmp_path / "files", moves)
    for lane in (OLD, NEW):
        (conversations.folder(lane) / f"u{lane}").write_text("seen")
        conversations.set(lane, "model", str(lane))
    assert moves.move(OLD.chat, NEW.chat)
    assert {file.name for file in conversations.folder(NEW).iterdir()} == {f"u{OLD}", f"u{NEW}"}
    assert conversations.setting(NEW, "model") == str(OLD), "a chat that is new has nothing of its own"
    assert not moves.move(NEW.chat, OLD.chat), "nothing goes round in circles"


def test_a_preview_in_the_old_chat_is_no_message_of_the_new_one(database: Database, tmp_path: Path) -> None:
    outbox, inbox = Outbox(database), Inbox(database)
    inbox.take_in(update(1), OLD)
    inbox.begin([inbox.item(1)])
    for part in ("live", "0"):
        outbox.intend(1, part)
        outbox.confirm(1, part, 77)
    Moves(database, tmp_path / "files").move(OLD.chat, NEW.chat)
    assert (outbox.message(1, "live"), outbox.message(1, "0")) == (None, 77)


class Paired(People):
    """With a group that is let in."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, Path())
        database.do("INSERT INTO people VALUES (?, 'Group', 1, 0)", OLD.chat)


def test_who_was_let_in_is_listed_and_let_out_again(database: Database) -> None:
    database.do("INSERT INTO people VALUES (42, 'A\x1b[2Jda', 2, 5)")
    people = Paired(database)
    assert [(person.number, person.shown) for person in people.all()] == [(OLD.chat, "Group"), (42, "A [2Jda")]
    assert people.remove(42)
    assert not people.remove(42)
    assert 42 not in people


def test_a_file_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "bot.sqlite3"
    with contextlib.closing(Database(path)) as database:
        database.do("DROP TABLE moves")
        database.do("PRAGMA user_version = 1")
        database.do("INSERT INTO people VALUES (42, 'Ada', 1, 0)")
    with contextlib.closing(Database(path)) as database:
        assert 42 in People(database, tmp_path)
        assert Moves(database, tmp_path).now(-7) == -7
