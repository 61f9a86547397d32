"""Which units are masked, told from the file system: cheap enough to ask for every model at every listing."""

from pathlib import Path

_DIRECTORIES = (Path("/etc/systemd/system"), Path("/run/systemd/system"))


def masked(unit: str) -> bool:
    """Whether an administrator masked a unit: linked it to /dev/null, or left it empty (systemd.unit(5))."""
    return any(_masks(directory / unit) for directory in _DIRECTORIES)


def _masks(path: Path) -> bool:
    try:
        if path.is_symlink():
            return str(path.readlink()) == "/dev/null"
        return path.is_file() and path.stat().st_size == 0
    except OSError:
        return False
