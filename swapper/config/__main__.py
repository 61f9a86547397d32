"""`python3 -m swapper.config check [FILE…]`: says every mistake in the configuration; exit status 78 if there is one.

`systemctl reload swapper` runs it first, so that a bad file changes nothing.
"""

import os
import sys
from pathlib import Path

from swapper.config import ConfigErrors, load

EX_USAGE, EX_CONFIG = 64, 78
"""See sysexits.h(3); systemd shows the second as 78/CONFIG."""


def main(words: list[str]) -> int:
    """Check the files named, or the default ones."""
    if words[:1] != ["check"]:
        print("usage: python3 -m swapper.config check [FILE…]", file=sys.stderr)
        return EX_USAGE
    try:
        config = load(*map(Path, words[1:]))
    except ConfigErrors as errors:
        level = "<3>" if "JOURNAL_STREAM" in os.environ else ""
        for error in errors.errors:
            print(f"{level}{error}", file=sys.stderr)
        return EX_CONFIG
    groups = f" in {len(config.groups)} groups" if config.groups else ""
    print(f"{len(config.models)} models{groups} on {len(config.gpus)} GPUs, no mistakes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
