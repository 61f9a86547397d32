"""Apt repositories on loopback: ours as `packaging/repository` makes it, and one of Debian's packages that are at hand.

A machine of the tests reaches no mirror. What apt would fetch there lies in its cache, so that a signed repository made
of that is, to apt, the mirror: `apt update` and `apt install` go the whole way, by HTTP and signatures.
"""

import contextlib
import functools
import http.server
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(os.environ.get("SWAPPER_TEST_SOURCE", Path(__file__).parents[2]))
SCRIPT = SOURCE / "packaging" / "repository"
DEBS = Path(os.environ.get("SWAPPER_TEST_DEBS", "/opt/swapper-debs"))
CACHE = Path("/var/cache/apt/archives")
SOURCES = Path("/etc/apt/sources.list.d")


def run(*argv: str, env: dict[str, str] | None = None, text: str | None = None, status: int = 0) -> str:
    """Run a command that has to end with this status; its output, both streams together."""
    done = subprocess.run(
        argv, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, input=text,
        env=os.environ | {"LC_ALL": "C.UTF-8"} | (env or {}), stdin=None if text is not None else subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == status, f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


@dataclass(frozen=True, slots=True)
class Signer:
    """Somebody with a key of its own.

    Attributes:
        home: Where gpg keeps it.
        address: Whose it is.
    """

    home: Path
    address: str

    @property
    def env(self) -> dict[str, str]:
        """For gpg to know it."""
        return {"GNUPGHOME": str(self.home)}

    def publish(self, folder: Path, debs: Iterable[Path], *options: str, status: int = 0) -> str:
        """Make or enlarge a repository; what that says."""
        argv = (str(SCRIPT), str(folder), "--key", self.address, *options, *map(str, debs))
        return run(*argv, env=self.env, status=status)

    def sign(self, text: str) -> str:
        """As in an `InRelease`."""
        return run("gpg", "--quiet", "--local-user", self.address, "--armor", "--clearsign", env=self.env, text=text)


@contextlib.contextmanager
def signer(home: Path, address: str) -> Iterator[Signer]:
    """Make a key, without a passphrase."""
    home.mkdir(mode=0o700)
    made = Signer(home, address)
    user = f"Packages of the tests <{address}>"
    quietly = ("gpg", "--batch", "--quiet", "--passphrase", "")
    run(*quietly, "--quick-generate-key", user, "ed25519", "sign", "2y", env=made.env)
    yield made
    run("gpgconf", "--kill", "all", env=made.env)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's word
        """Says nothing."""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Offer a folder by HTTP on loopback; its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@contextlib.contextmanager
def debian(work: Path, key: Signer) -> Iterator[str]:
    """Have apt take Debian's packages from a repository of those in its cache, and from nowhere else; its address."""
    folder = work / "debian"
    folder.mkdir()
    others, fetched = work / "sources", work / "archives"
    with served(folder) as url:
        key.publish(folder, sorted(CACHE.glob("*.deb")), "--url", url, "--suite", "debian")
        shutil.move(SOURCES, others)
        elsewhere = Path("/etc/apt/sources.list")
        if elsewhere.exists():
            shutil.move(elsewhere, work / "sources.list")
        SOURCES.mkdir()
        shutil.copy(folder / "swapper.sources", SOURCES / "debian.sources")
        shutil.move(CACHE, fetched)
        CACHE.mkdir()
        try:
            run("apt-get", "update")
            yield url
        finally:
            shutil.rmtree(SOURCES)
            shutil.move(others, SOURCES)
            shutil.rmtree(CACHE)
            shutil.move(fetched, CACHE)
            if (work / "sources.list").exists():
                shutil.move(work / "sources.list", elsewhere)


def open_to_apt(folder: Path) -> None:
    """Let apt's own user read a folder of pytest's, which is closed to others."""
    for each in (folder, *folder.parents[: len(folder.parents) - 2]):
        each.chmod(0o755)


def debs(*, upgrade: bool = False) -> list[Path]:
    """The packages under test, or the same of a later version."""
    return sorted(path for path in DEBS.glob("*.deb") if ("+upgrade" in path.name) == upgrade)


def later(deb: Path, folder: Path, suffix: str, conffile: str = "", text: str = "") -> Path:
    """The same package under a later version.

    Args:
        deb: Which.
        folder: Where the new one shall be.
        suffix: What its version has at the end.
        conffile: A file of the package that is changed.
        text: What that has at the end.
    """
    tree = folder / "tree"
    run("dpkg-deb", "--raw-extract", str(deb), str(tree))
    control = tree / "DEBIAN" / "control"
    changed = re.sub(r"(?m)^Version: .*", rf"\g<0>{suffix}", control.read_text())
    control.write_text(re.sub(r"swapper \(= [^)]*", rf"\g<0>{suffix}", changed))
    if conffile:
        with (tree / conffile.lstrip("/")).open("a") as file:
            file.write(text)
    made = folder / f"{deb.stem.removesuffix('_all')}{suffix}_all.deb"
    run("dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(made))
    shutil.rmtree(tree)
    return made
