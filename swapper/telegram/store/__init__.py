"""What outlasts the process: one SQLite file in the state directory, and the files that people sent beside it."""

from swapper.telegram.store.conversations import FILES, Conversations
from swapper.telegram.store.database import DATABASE, Database
from swapper.telegram.store.inbox import Inbox, Item
from swapper.telegram.store.moves import Moves
from swapper.telegram.store.outbox import Outbox, Uncertain
from swapper.telegram.store.people import People, Person

__all__ = [
    "DATABASE", "FILES", "Conversations", "Database", "Inbox", "Item", "Moves", "Outbox", "People", "Person",
    "Uncertain",
]  # fmt: skip
