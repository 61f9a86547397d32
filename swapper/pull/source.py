"""What is to be pulled, as people write it: `hf:org/repo`, or `hf:org/repo:what`, and as the name of a unit."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from swapper.core.model import instance_name
from swapper.pull import PullError

SCHEME = "hf:"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
"""Of organisations and repositories (huggingface_hub's `validate_repo_id`)."""

_ESCAPED = re.compile(r"@([0-9a-f]{2})")
_UNIT_BYTES = 255
"""Longest name of a unit (systemd.unit(5))."""


@dataclass(frozen=True, slots=True)
class Source:
    """A repository of a hub, or a part of it.

    Attributes:
        organisation: Who has it there.
        repository: Its name.
        what: A file in it or a quantisation; empty for what is usual.
    """

    organisation: str
    repository: str
    what: str = ""

    def __str__(self) -> str:
        return f"{SCHEME}{self.repo}" + (f":{self.what}" if self.what else "")

    @property
    def repo(self) -> str:
        """As the hub calls it; below `models_dir` its folder is called so, too."""
        return f"{self.organisation}/{self.repository}"

    @property
    def instance(self) -> str:
        """Its name in units and files, escaped as names of models are."""
        return instance_name(str(self))

    @property
    def unit(self) -> str:
        """The unit that pulls it."""
        return f"swapper-pull@{self.instance}.service"


def parse(text: str) -> Source:
    """Understand what was written.

    Raises:
        PullError: It is not of that form.
    """
    repo, _, what = text.removeprefix(SCHEME).partition(":")
    organisation, _, repository = repo.partition("/")
    if not text.startswith(SCHEME) or not all(map(_plain, (organisation, repository))) or not _inside(what):
        hint = "hf:org/repo, hf:org/repo:Q4_K_M or hf:org/repo:file.gguf"
        raise PullError("no_such_source", f"{text[:200]!r} is nothing to pull", hint)
    source = Source(organisation, repository, what)
    if len(source.unit) > _UNIT_BYTES:
        hint = "name the quantisation instead of the file"
        raise PullError("no_such_source", f"{text!r} is too long for the name of a unit", hint)
    return source


def of_instance(instance: str) -> Source:
    """The way back from `Source.instance`.

    Raises:
        PullError: It is no such name.
    """
    try:
        text = _ESCAPED.sub(lambda found: bytes.fromhex(found[1]).decode("latin-1"), instance)
        return parse(text.encode("latin-1").decode())
    except UnicodeError as error:
        raise PullError("no_such_source", f"{instance!r} is no escaped name") from error


def _plain(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and ".." not in name and "--" not in name and not name.endswith((".", "-"))


def _inside(what: str) -> bool:
    """Whether it can be a file's path in a repository: relative, without steps out of it, printable."""
    path = PurePosixPath(what)
    return what.isprintable() and not path.is_absolute() and ".." not in path.parts and not what.startswith("-")
