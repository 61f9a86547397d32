"""The SQLite file: its tables, and transactions.

Every transaction is on disk when it ends (`synchronous=FULL`): what we told Telegram that we have, and what we told
people, must survive a power cut as well as `kill -9`. What is deleted is overwritten (`secure_delete`).
See sqlite.org/pragma.html.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

DATABASE = "bot.sqlite3"
"""In the state directory."""

VERSION = 2

_TABLES = """
CREATE TABLE updates (             -- what Telegram told, by its number
    id INTEGER PRIMARY KEY,
    chat INTEGER NOT NULL,
    topic INTEGER NOT NULL,
    album TEXT NOT NULL,           -- media_group_id
    express INTEGER NOT NULL,      -- 1: does not wait for what came before it
    state TEXT NOT NULL,           -- waiting, begun, done
    head INTEGER NOT NULL,         -- the first of the updates that are answered together
    attempts INTEGER NOT NULL,
    arrived REAL NOT NULL,         -- seconds since 1970
    body TEXT NOT NULL             -- JSON; empty when done
);
CREATE INDEX open_updates ON updates (express, chat, topic, id) WHERE state != 'done';
CREATE INDEX done_updates ON updates (arrived) WHERE state = 'done';
CREATE TABLE sent (                -- messages of answers that are not done
    head INTEGER NOT NULL,
    part TEXT NOT NULL,
    message INTEGER,               -- Telegram's number; NULL: we do not know whether it arrived
    PRIMARY KEY (head, part)
) WITHOUT ROWID;
CREATE TABLE answers (             -- whole answers that are being delivered
    head INTEGER PRIMARY KEY,
    body TEXT NOT NULL
);
CREATE TABLE turns (
    id INTEGER PRIMARY KEY,
    chat INTEGER NOT NULL,
    topic INTEGER NOT NULL,
    head INTEGER NOT NULL,         -- which update's question it belongs to
    role TEXT NOT NULL,
    text TEXT NOT NULL,
    media TEXT NOT NULL            -- JSON
);
CREATE INDEX turns_by_lane ON turns (chat, topic, id);
CREATE INDEX turns_by_head ON turns (head, role);
CREATE TABLE settings (
    chat INTEGER NOT NULL,
    topic INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (chat, topic, name)
) WITHOUT ROWID;
CREATE TABLE people (              -- who was let in by a code: users above zero, groups below
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    head INTEGER NOT NULL,         -- the update that brought the code
    since REAL NOT NULL
);
"""

_SECOND = """
CREATE TABLE moves (               -- groups that Telegram gave another number
    old INTEGER PRIMARY KEY,
    new INTEGER NOT NULL
);
"""

_STEPS = (_TABLES, _SECOND)
"""What leads from each version to the next."""

type Row = tuple[object, ...]


class Database:
    """An open database. Belongs to the thread that opened it."""

    def __init__(self, path: Path) -> None:
        """Open it, and make it where it is not there.

        Raises:
            sqlite3.Error: It cannot be opened, or was made by a later version.
        """
        self._connection = sqlite3.connect(path, isolation_level=None)
        try:
            self._prepare(path)
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, path: Path) -> None:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON", "temp_store = MEMORY"):
            self._connection.execute(f"PRAGMA {pragma}")
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise sqlite3.DatabaseError(f"{path} was made by a later version of this program")
        if version < VERSION:
            with self.transaction():
                for statement in "".join(_STEPS[version:]).split(";\n"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {VERSION}")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is done within, or nothing."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def do(self, statement: str, *values: object) -> int:
        """Carry out a statement; how many rows it changed."""
        return self._connection.execute(statement, values).rowcount

    def rows(self, query: str, *values: object) -> Sequence[Row]:
        """What a query finds."""
        return self._connection.execute(query, values).fetchall()

    def value(self, query: str, *values: object) -> object | None:
        """The first column of the first row; None where there is none."""
        row = self._connection.execute(query, values).fetchone()
        return None if row is None else row[0]

    def forget(self) -> None:
        """Have what was deleted vanish from the write-ahead log too."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close it."""
        self._connection.close()
