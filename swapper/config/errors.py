"""What is wrong with a configuration: every mistake at once, each with its place and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass

from swapper.config.settings import Location


@dataclass(frozen=True, slots=True)
class ConfigError:
    """One mistake. `hint` says what to write instead, where that is known."""

    file: str
    line: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{Location(self.file, self.line)}: {self.message}"
        return f"{text} ({self.hint})" if self.hint else text


class ConfigErrors(Exception):  # noqa: N818 — the plural says what it is: all of them
    """The configuration cannot be used. `errors` has every mistake, by file and line."""

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        super().__init__()
        self.errors = tuple(sorted(set(errors), key=lambda error: (error.file, error.line, error.message)))

    def __str__(self) -> str:
        return "\n".join(map(str, self.errors))
