"""`python3 -m swapper.documents PAGES FOLDER`: writes all documents into a folder; debian/rules calls it.

For each file that people configure there is a page PAGES/NAME.5.in; NAME.5 and the schema are what becomes of it.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from swapper.config.keywords import TopKeys
from swapper.config.table import Table
from swapper.documents.roff import page
from swapper.documents.schema import dumped
from swapper.telegram.settings import TopKeys as BotKeys

FILES: Mapping[str, tuple[type[Table], str]] = {
    "swapper.yaml": (TopKeys, "swapper"),
    "swapper-telegram.yaml": (BotKeys, "telegram"),
}
"""By page: the table of keys, and the name of the schema."""


def main(words: list[str]) -> int:
    """Write them."""
    pages, folder = map(Path, words)
    folder.mkdir(parents=True, exist_ok=True)
    for name, (table, short) in FILES.items():
        text = (pages / f"{name}.5.in").read_text()
        (folder / f"{name}.5").write_text(page(text, table))
        (folder / f"{short}.schema.json").write_text(dumped(table, short))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
