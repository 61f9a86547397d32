"""Tells engines to give their GPU memory back and to take it again, and asks those whom nobody here has started.

Only the router speaks to engines like this: their sockets are its own, and `/upstream/…` leaves these paths out
(`engines.paths`).
"""

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path

from swapper.core.model import Failure
from swapper.engines.base import Question, Told

MOST = 1 << 16
"""Bytes of an answer that are read."""

PATIENCE = 600.0
"""Seconds for one question. The scheduler is less patient; this only keeps tasks from being for ever."""

LOOK = 10.0
"""Seconds in which an engine says whether it is parked: it does so after what it is just doing."""


async def tell(model: str, socket: Path, questions: Iterable[Question], unit: str) -> Failure | None:
    """Ask one thing after the other; the first that is not done is the failure."""
    for question in questions:
        try:
            async with asyncio.timeout(PATIENCE):
                status, answer = await _ask(socket, question)
        except (OSError, ValueError, TimeoutError) as error:
            status, answer = 0, str(error) or type(error).__name__
        if status != 200:
            said = " ".join(answer.split())[:200] or "nothing"
            what = f"{question.method} {question.path} of {model} was answered with {status or 'nothing'}: {said}"
            return Failure("model_failed", f"{what}.", f"journalctl -u {unit.removesuffix('.service')}")
    return None


async def parked(socket: Path, told: Told) -> bool | None:
    """Whether an engine is parked; None where it does not say so in time. One without that path never is."""
    try:
        async with asyncio.timeout(LOOK):
            status, answer = await _ask(socket, Question("GET", told.path))
        value = json.loads(answer) if status == 200 else {}
    except (OSError, ValueError, TimeoutError):
        return None
    if status in {404, 405}:
        return False
    for key in told.keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, bool) else None


async def _ask(socket: Path, question: Question) -> tuple[int, str]:
    """Status and body of one answer (RFC 9112), on a connection of its own.

    Raises:
        OSError: There is no connection.
        ValueError: What comes is no answer.
    """
    head = f"{question.method} {question.path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(question.body)}\r\n\r\n"
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        writer.write(head.encode() + question.body)
        data = bytearray()
        while len(data) < MOST and (block := await reader.read(MOST)):
            data += block
    finally:
        writer.close()
    first, _, rest = bytes(data).partition(b"\r\n")
    version, _, status = first.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not status[:3].isdigit():
        raise ValueError("no answer of HTTP" if data else "the connection ended without an answer")
    return int(status[:3]), rest.partition(b"\r\n\r\n")[2].decode(errors="replace")
