"""What the GPUs have in use, asked of swapper-gpus.socket: the router itself reaches no device.

systemd starts `nvidia.py` for each connection, in a unit that reaches the driver and nothing else, and hands it the
connection as its standard output. Where there is no nvidia-smi, the connection ends without an answer.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

SOCKET = Path("/run/swapper/gpus.sock")

PATIENCE = 10.0
"""Seconds for an answer; more than `nvidia.py` gives nvidia-smi."""

MOST = 1 << 20
"""Bytes of the longest answer that is read; a GPU takes some hundred."""


class Unreadable(Exception):  # noqa: N818 — it names what happened
    """The GPUs cannot be asked, although something is there to ask; the sentence is for people."""


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU at one moment; None stands for what it does not tell.

    Attributes:
        index: In PCI bus order, as nvidia-smi counts.
        name: Such as `NVIDIA GeForce RTX 3090`.
        total: Bytes of memory.
        used: Bytes of it that are in use, by whomever.
        utilization: Per cent of the last moments in which it computed.
    """

    index: int
    name: str
    total: int | None
    used: int | None
    utilization: int | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What the GPUs have in use.

    Attributes:
        cards: The GPUs, by index.
        shares: Bytes by unit and GPU; empty name: processes that are in no unit. None where the driver does not tell.
    """

    cards: Mapping[int, Card]
    shares: Mapping[tuple[str, int], int | None]


async def read(socket: Path = SOCKET, patience: float = PATIENCE) -> Reading | None:
    """Ask; None where there is nothing to ask, or no NVIDIA GPU.

    Raises:
        Unreadable: There is, and it says what is wrong, makes no sense or takes too long.
    """
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_unix_connection(str(socket))
            try:
                answer = await reader.read(MOST)
                while block := await reader.read(MOST):
                    if len(answer) > MOST:
                        raise Unreadable(f"{socket} answers without end")
                    answer += block
            finally:
                writer.close()
    except TimeoutError:
        raise Unreadable(f"{socket} did not answer within {patience:g} s") from None
    except OSError:
        return None
    return parse(answer)


def parse(answer: bytes) -> Reading | None:
    """What `nvidia.py` wrote; None for nothing.

    Raises:
        Unreadable: It tells what is wrong, or makes no sense.
    """
    if not answer:
        return None
    try:
        said = json.loads(answer)
        if "error" in said:
            raise Unreadable(str(said["error"]))
        return Reading(_cards(said["gpus"]), {(one["unit"], one["gpu"]): one["used"] for one in said["shares"]})
    except (ValueError, KeyError, TypeError):
        raise Unreadable(f"what the GPUs have in use makes no sense: {answer[:200]!r}") from None


def _cards(rows: Iterable[Mapping[str, object]]) -> Mapping[int, Card]:
    cards = [Card(**{name: row[name] for name in Card.__dataclass_fields__}) for row in rows]  # type: ignore[arg-type]
    return {card.index: card for card in cards if isinstance(card.index, int)}
