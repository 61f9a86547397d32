"""Limits that clients meet."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FrontSettings:
    """Limits that clients meet. Times are seconds, sizes bytes.

    Attributes:
        max_body: Largest request body.
        header_timeout: Longest time from the first byte of a head to its last.
        body_timeout: Time in which a body must come to its end or bring 16 KiB.
        idle_timeout: How long a connection is kept between requests.
        stall_timeout: Time in which a client that is being answered must take at least one byte, once it is behind.
        linger: How long the rest of a refused body is read and thrown away.
        tick: Time between two rounds.
    """

    max_body: int = 512 * 1024 * 1024
    header_timeout: float = 10.0
    body_timeout: float = 30.0
    idle_timeout: float = 75.0
    stall_timeout: float = 120.0
    linger: float = 5.0
    tick: float = 1.0
