"""Loads a model for nobody in particular."""

import asyncio

from swapper.core.model import Failure
from swapper.router.runtime import Ticket


class Loading:
    """Asks for a lease only to have the model loaded, and lets it go at once."""

    def __init__(self) -> None:
        self.ticket: Ticket | None = None
        self.loaded: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()

    def admitted(self, socket: str, loading: float = 0.0) -> None:  # noqa: ARG002 — the contract's
        """The model is ready."""
        self._settle(None)

    def rejected(self, failure: Failure) -> None:
        """The model could not be loaded."""
        self._settle(failure)

    def aborted(self, failure: Failure) -> None:
        """The model went away in the same moment."""
        self._settle(failure)

    def _settle(self, failure: Failure | None) -> None:
        if not self.loaded.done():
            self.loaded.set_result(failure)
