"""The hub, by its own library: what a repository has, and ranges of its files. Nothing else imports that library.

Of huggingface_hub (1.23 in Debian 14; 2.4 was tried, too) two things are used: `HfApi.model_info`, and `http_get`,
which asks for a range, goes on within it when a connection breaks, and knows the hub's errors. Not `hf_hub_download`
and `snapshot_download`: in these versions they begin a file anew in each process, compare no checksums, and refuse
files beyond 50 GB. Not Xet either (`HF_HUB_DISABLE_XET` in the unit): its library is not in Debian, keeps what it has
in a cache of its own, and plain HTTP, which the hub serves for every file, goes on after a kill at any byte.

Protocol: https://huggingface.co/docs/hub/api.
"""

import importlib
import re
import site
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from swapper.pull import PullError
from swapper.pull.choose import File
from swapper.pull.parts import DiskError, OverflowedError, Piece

if TYPE_CHECKING:
    from types import ModuleType

VENV = Path("/opt/huggingface-hub")
"""Where the library is looked for first: Debian 13 has none."""

TOKEN = "swapper-pull.token"  # noqa: S105 - the name of a credential, not one

_CHUNK = 256 << 10
"""Bytes that `http_get` hands over at a time: what a connection that breaks loses of what has come."""

_PATIENCE = 30.0
"""Seconds that the list of files may take."""

_PASSING = frozenset({408, 409, 416, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
"""Statuses after which another try may go well (RFC 9110, 15.5 and 15.6; 52x are those of CDNs)."""


class PassingError(Exception):
    """Something went wrong on the way, and may go well the next time."""


class Hub:
    """A hub, as whoever has this token sees it."""

    def __init__(self, token: str | None) -> None:
        """Find the library.

        Raises:
            PullError: It is not installed.
        """
        self._token = token or False
        self._library = _library()
        self._download = self._library.file_download
        self._download.constants.DOWNLOAD_CHUNK_SIZE = _CHUNK

    @property
    def endpoint(self) -> str:
        """Where it is: `HF_ENDPOINT`, or the library's own idea."""
        return str(self._library.constants.ENDPOINT)

    def files(self, repo: str) -> tuple[str, Sequence[File]]:
        """The commit that is there now, and what it has.

        Raises:
            PullError: There is no such repository, or it is not for everybody.
            PassingError: It could not be asked.
        """
        try:
            api = self._library.HfApi(token=self._token)
            info = api.model_info(repo, files_metadata=True, timeout=_PATIENCE)
            return str(info.sha), [_file(sibling) for sibling in info.siblings or ()]
        except Exception as error:  # noqa: BLE001 - see _explained
            self._explained(error, repo)

    def fetch(self, repo: str, commit: str, file: File, piece: Piece) -> None:
        """Get what is missing of a piece.

        Raises:
            PullError: It cannot be had.
            PassingError: It broke off; what came before is in the piece.
            DiskError: It could not be written.
            OverflowedError: The server does not know of ranges.
        """
        headers = self._library.utils.build_hf_headers(token=self._token)
        # A part of what is compressed is no part of the file.
        headers["Accept-Encoding"] = "identity"
        if piece.length < file.size:
            headers["Range"] = f"bytes={piece.start}-{piece.start + piece.length - 1}"
        url = self._library.hf_hub_url(repo, file.name, revision=commit)
        try:
            self._download.http_get(url, piece, resume_size=piece.done, headers=headers, expected_size=piece.length)
        except (DiskError, OverflowedError):
            raise
        except Exception as error:  # noqa: BLE001 - see _explained
            self._explained(error, repo)

    def _explained(self, error: Exception, repo: str) -> NoReturn:
        """What an exception of the library means.

        What is no answer of the hub counts as trouble on the way: such exceptions are those of the library's HTTP
        client, which is another one from version to version.
        """
        errors = self._library.errors
        if isinstance(error, errors.GatedRepoError):
            hint = f"ask for access at {self.endpoint}/{repo}, and keep a token of yours: /etc/credstore/{TOKEN}"
            raise PullError("gated", f"{repo} is not for everybody", hint) from error
        if isinstance(error, errors.RepositoryNotFoundError):
            hint = f"is it private? Then keep a token in /etc/credstore/{TOKEN}"
            raise PullError("no_such_repository", f"there is no {repo} at {self.endpoint}", hint) from error
        response = getattr(error, "response", None)
        status = int(getattr(response, "status_code", 0))
        if isinstance(error, errors.HfHubHTTPError) and status not in _PASSING:
            message = f"{self.endpoint} refuses {repo}: {_first_line(error)}"
            hint = f"is the token in /etc/credstore/{TOKEN} a good one?" if status in {401, 403} else ""
            raise PullError("refused", message, hint) from error
        raise PassingError(f"{type(error).__name__}: {_first_line(error)}") from error


def _file(sibling: Any) -> File:  # noqa: ANN401 - a RepoSibling
    if sibling.lfs is not None:
        return File(sibling.rfilename, int(sibling.lfs.size), f"sha256:{sibling.lfs.sha256}")
    return File(sibling.rfilename, int(sibling.size or 0), f"git-sha1:{sibling.blob_id}")


def _first_line(error: Exception) -> str:
    """What it says, without queries of addresses: those that a hub leads to have signatures in them."""
    return re.sub(r"\?[^\s'\"]+", "", str(error).strip().partition("\n")[0])[:300]


def _library() -> "ModuleType":
    """The library: in a virtual environment of the administrator's, or Debian's."""
    ours = VENV / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    if ours.is_dir():
        before = list(sys.path)
        site.addsitedir(str(ours))
        sys.path[:] = [path for path in sys.path if path not in before] + before
    try:
        importlib.import_module("huggingface_hub.file_download")
        return sys.modules["huggingface_hub"]
    except ImportError as error:
        hint = f"apt install python3-huggingface-hub (Debian 14), or: python3 -m venv {VENV} && {VENV}/bin/pip install "
        raise PullError("no_library", "huggingface_hub is not installed", f"{hint}huggingface_hub") from error
