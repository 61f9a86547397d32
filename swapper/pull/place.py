"""The steps of a pull that root takes: a folder for what comes, and the way of what is whole to its place.

What lies in `.pull/parts` was written by a user whom a hub may have fooled, and `models_dir` may be somebody's own. So
root follows no symbolic link there and takes nothing but plain files of that user, into a folder that nobody else's is;
and the rest, which goes by paths, is done as whoever `models_dir` belongs to.
"""

import contextlib
import os
import pwd
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from swapper.pull import PullError
from swapper.pull.places import HIDDEN, PARTS, READY, Places
from swapper.pull.told import Report

USER = "swapper-pull"

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FURTHER = re.compile(r"-(?!00001)\d{5}-of-\d{5}\.gguf$")


def prepare(places: Places) -> None:
    """Make the folder that what comes is written to. What a run before was putting in place is put there.

    Raises:
        PullError: That cannot be.
    """
    user = pwd.getpwnam(USER)
    with _told(places.models), _opened(places.models) as models, _within(models, HIDDEN) as hidden:
        with _within(hidden, PARTS) as parts:
            os.fchown(parts, user.pw_uid, user.pw_gid)
        owner = os.fstat(models)
        with _within(hidden, READY) as ready:
            os.fchown(ready, owner.st_uid, owner.st_gid)
        with _as(owner):
            _settle(places)


def place(places: Places, keys: Mapping[str, str]) -> None:
    """Put what is whole where it belongs.

    Args:
        places: Where that is.
        keys: By the name that each file gets, how its part is called.

    Raises:
        PullError: That cannot be.
    """
    with _told(places.models), _opened(places.models) as models:
        owner = os.fstat(models)
        with _within(models, HIDDEN) as hidden, _within(hidden, PARTS) as parts, _within(hidden, READY) as ready:
            for name, key in keys.items():
                path = PurePosixPath(places.source.instance, _inside(name))
                if not (places.target / name).exists():
                    _take(parts, key, owner)
                    with _folder(ready, path.parent, owner) as folder:
                        os.rename(key, path.name, src_dir_fd=parts, dst_dir_fd=folder)
        with _as(owner):
            _settle(places)


def keys(report: Report) -> Mapping[str, str]:
    """What the unprivileged step said is whole."""
    return dict(zip(report.files, report.parts, strict=True))


def _settle(places: Places) -> None:
    """To the place: the whole folder by one rename, or file by file into what is there already."""
    if not places.ready.is_dir():
        return
    places.target.parent.mkdir(exist_ok=True)
    if not places.target.exists():
        places.ready.rename(places.target)
        return
    files = [folder / name for folder, _, names in places.ready.walk() for name in names]
    for file in sorted(files, key=_begins):
        goal = places.target / file.relative_to(places.ready)
        if not goal.exists():
            goal.parent.mkdir(parents=True, exist_ok=True)
            file.rename(goal)
    shutil.rmtree(places.ready)


def _begins(file: Path) -> bool:
    """Whether a start of the model begins with this file, so that it is put there last."""
    if file.suffix == ".gguf":
        return "mmproj" not in file.name and not _FURTHER.search(file.name)
    return file.name == "config.json"


def _take(parts: int, key: str, owner: os.stat_result) -> None:
    """Make a part the owner's."""
    opened = os.open(_name(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parts)
    try:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_uid != pwd.getpwnam(USER).pw_uid:
            hint = f"delete {HIDDEN} there, and pull again"
            raise PullError("disk", f"{key} in {HIDDEN}/{PARTS} is no plain file of {USER}", hint)
        os.fchown(opened, owner.st_uid, owner.st_gid)
        os.fchmod(opened, 0o644)
    finally:
        os.close(opened)


@contextlib.contextmanager
def _as(owner: os.stat_result) -> Iterator[None]:
    """Do something as somebody else."""
    groups = os.getgroups()
    os.setgroups([owner.st_gid])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _within(above: int, name: str) -> Iterator[int]:
    """A folder in a folder, made if it is not there."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=above)
    descriptor = os.open(name, _FOLDER, dir_fd=above)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _folder(above: int, path: PurePosixPath, owner: os.stat_result) -> Iterator[int]:
    """The same for several, one in the other, all of them the owner's."""
    with contextlib.ExitStack() as stack:
        for name in path.parts:
            above = stack.enter_context(_within(above, name))
            os.fchown(above, owner.st_uid, owner.st_gid)
        yield above


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise PullError("disk", f"{name!r} is no name below a folder")
    return name


def _name(key: str) -> str:
    if not re.fullmatch(r"[0-9a-f]+", key):
        raise PullError("disk", f"{key!r} is no part of a pull")
    return key


@contextlib.contextmanager
def _told(models: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = f"is {models} there, on a disk that can be written?"
        raise PullError("disk", f"{error.filename or models}: {error.strerror}", hint) from error
