"""Where things are in `models_dir`: what comes is kept in a hidden folder of it, so that a rename puts it in its place.

    .pull/parts/    swapper-pull's: files that are being fetched, and those that are whole
    .pull/ready/    whole files on their way to their place

A part is named after its repository, name and checksum: whoever pulls it the next time, by whatever words, finds it.
All of `.pull` may be deleted while nothing is being pulled; what was there of a file is fetched again then.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from swapper.pull.choose import File
from swapper.pull.source import Source

HIDDEN, PARTS, READY = ".pull", "parts", "ready"
VARIABLE = "SWAPPER_MODELS"
"""The unit's environment says what `models_dir` is."""


@dataclass(frozen=True, slots=True)
class Places:
    """Those of one pull.

    Attributes:
        models: `models_dir`.
        source: What is pulled.
    """

    models: Path
    source: Source

    @property
    def parts(self) -> Path:
        """Files that come."""
        return self.models / HIDDEN / PARTS

    @property
    def ready(self) -> Path:
        """Whole files on their way."""
        return self.models / HIDDEN / READY / self.source.instance

    @property
    def target(self) -> Path:
        """Where they go."""
        return self.models / self.source.organisation / self.source.repository


def key(source: Source, file: File) -> str:
    """How the part is called that becomes this file."""
    named = hashlib.blake2b(f"{source.repo}\0{file.name}\0{file.checksum}".encode(), digest_size=20)
    return named.hexdigest()
