"""Pulling models from a hub: `swapperctl pull` starts swapper-pull@.service, and this is what runs in it.

Three steps, each a command of that unit (`__main__.py`), since nobody who reads what a network sends should be root,
and model files should belong to nobody who does:

- `prepare`, as root: a folder for what comes, inside of `models_dir`, so that it is on the same disk.
- `fetch`, as swapper-pull, which may write there and nowhere else: what is asked for, piece by piece, until each file
  has the checksum that the hub has for it.
- `place`, as root: what is whole goes to its place by rename, and belongs to whom `models_dir` belongs.

What it is doing is told in a file below /run (`told.py`), which outlives it; the router and `swapperctl` read that.
"""

from collections.abc import Sequence

WRONG = frozenset({"ambiguous", "no_such_file", "nothing_to_pull"})
"""Codes of what was asked for in a way that cannot be meant: whoever asks again as before gets the same answer."""


class PullError(Exception):
    """A pull cannot go on.

    Attributes:
        code: What kind of trouble, in one word, for programs.
        hint: What to do about it.
        details: Further lines, such as what there is to choose from.
    """

    def __init__(self, code: str, message: str, hint: str = "", details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint
        self.details = tuple(details)
