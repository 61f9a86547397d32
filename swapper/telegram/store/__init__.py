"""What outlasts the process: one SQLite file in the state directory, and the files that people sent beside it."""

from swapper.telegram.store.conversations import Conversations
from swapper.telegram.store.database import Database
from swapper.telegram.store.inbox import Inbox, Item
from swapper.telegram.store.outbox import Outbox, Uncertain
from swapper.telegram.store.people import People

__all__ = ["Conversations", "Database", "Inbox", "Item", "Outbox", "People", "Uncertain"]
