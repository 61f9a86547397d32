"""Where in Telegram something is said."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Lane:
    """A chat, or one topic of it: what is said there is one conversation, and answered in its order.

    Attributes:
        chat: Telegram's number; below zero for groups.
        topic: `message_thread_id`; 0 where there are no topics.
    """

    chat: int
    topic: int = 0

    @property
    def private(self) -> bool:
        """Whether it is a person's own chat with the bot."""
        return self.chat > 0

    def __str__(self) -> str:
        return f"{self.chat}.{self.topic}" if self.topic else str(self.chat)
