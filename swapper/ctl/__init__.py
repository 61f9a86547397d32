"""swapperctl: what administrators do by hand, and how a command that cannot do it says so."""

FAILED, WRONG, UNREACHABLE = 1, 2, 3
"""Exit statuses: it could not be done; what was given cannot be used (argparse's own); the router cannot be asked."""


class Failure(Exception):  # noqa: N818 - it is how a command ends
    """A command cannot do what it was asked for.

    Attributes:
        hint: What to do about it; empty where that is not known.
        status: The exit status.
        details: Further lines, such as the end of an engine's journal.
    """

    def __init__(self, message: str, hint: str = "", status: int = FAILED, details: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.hint = hint
        self.status = status
        self.details = details
