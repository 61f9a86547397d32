"""What a key is: a name, what may stand behind it, what holds where it is not written, and what it is for.

Tables of keys (`keywords.py`, and the bot's) are the one description that there is: the reader takes nothing else,
proposes their names to whoever mistypes one, and the schema for editors and the manual are made of them (`documents/`).

Plain classes: a dataclass is built anew at each import, and every daemon-reload waits for that.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from swapper.config.nodes import Reader, Value

type Schema = Mapping[str, object]
"""A part of a JSON schema, draft 7 (json-schema.org/draft-07)."""


class Table:
    """The keys of one section: attributes of a subclass, each of which is `Known`."""


class Kind[T]:
    """What may stand behind a key."""

    __slots__ = ("plain", "read", "schema", "words")

    def __init__(
        self,
        words: str,
        schema: Schema,
        read: Callable[[Reader, Value, str], T | None],
        plain: Callable[[T], object] = str,
    ) -> None:
        """What it is.

        Args:
            words: What the manual calls it.
            schema: The same for editors. It refuses nothing that `read` takes.
            read: Makes a value of what is written, which the third argument names; notes what is wrong with it, and
                returns None then.
            plain: A value as it is written, as JSON has it.
        """
        self.words: Final = words
        self.schema: Final = schema
        self.read: Final = read
        self.plain: Final = plain


class _Named:
    """Has the name of the attribute that it is assigned to."""

    __slots__ = ("name",)

    def __set_name__(self, _: type[Table], name: str) -> None:
        self.name = name


class Key[T, D = None](_Named):
    """A key with a value."""

    __slots__ = ("kind", "text", "usual")

    def __init__(self, kind: Kind[T], usual: D, text: str) -> None:
        """What it is.

        Args:
            kind: What may stand there.
            usual: What holds where nothing does. None, and what is empty, is told in `text`.
            text: What it is for: sentences, with `marks` around what is written as it stands.
        """
        self.kind: Final = kind
        self.usual: Final = usual
        self.text: Final = text


class Part(_Named):
    """A key with keys below it."""

    __slots__ = ("table", "text")

    def __init__(self, table: type[Table], text: str) -> None:
        """What it is: those keys, and a text as that of a key."""
        self.table: Final = table
        self.text: Final = text


class Several(_Named):
    """A key with names below it that people choose, and the same below each of them."""

    __slots__ = ("called", "inside", "text")

    def __init__(self, called: Kind[Any], inside: type[Table] | Kind[Any], text: str) -> None:
        """What it is: what the names are, what is below each of them, and a text as that of a key."""
        self.called: Final = called
        self.inside: Final = inside
        self.text: Final = text


type Known = Key[Any, Any] | Part | Several


def keys_of(table: type[Table]) -> Mapping[str, Known]:
    """All keys of a table, in the order in which they stand there."""
    return {name: key for name, key in vars(table).items() if isinstance(key, Key | Part | Several)}
