"""What a program shows at a terminal, as it comes: a real pseudo-terminal (pty(7)), read by a thread."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Shown:
    """All that has been shown so far.

    Attributes:
        data: As it came.
    """

    data: bytearray = field(default_factory=bytearray)
    _more: threading.Condition = field(default_factory=threading.Condition)
    _reader: threading.Thread | None = None

    def read(self, terminal: int) -> None:
        """Read from our side of a terminal from now on, until the other side is closed."""
        def work() -> None:
            while True:
                try:
                    data = os.read(terminal, 4096)
                except OSError:  # the other side is closed
                    return
                with self._more:
                    self.data.extend(data)
                    self._more.notify_all()

        self._reader = threading.Thread(target=work, daemon=True)
        self._reader.start()

    def wait(self, condition: Callable[[], bool], patience: float) -> None:
        """Wait until a condition on what has been shown is true."""
        with self._more:
            assert self._more.wait_for(condition, patience), bytes(self.data)

    def end(self, patience: float) -> None:
        """Wait until nothing more comes."""
        if self._reader is not None:
            self._reader.join(patience)
