"""Many clients of many models, and what became of each of their requests: nothing is left out of the account."""

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from swapper.router.errors import STATUSES
from tests.job.house import PATIENCE, connect, question, rest_of, sentence

LEAVES = "left"
BROKE = "the connection broke"
ANSWERED = "answered"
TELLING = frozenset(STATUSES) - {"internal_error"}
"""Codes by which a client may be told why it is not answered: all but the one that a defect has."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request.

    Attributes:
        model: Whom it was for.
        kind: What kind of request it was.
        result: `ANSWERED`, `LEAVES`, `BROKE`, an error's code, or what was wrong with it.
        began: When, on the monotonic clock.
        ended: Until when.
        fair: Whether a client may have to put up with it.
    """

    model: str
    kind: str
    result: str
    began: float
    ended: float
    fair: bool = True


class Crowd:
    """Clients that ask without pause until they are told to stop."""

    def __init__(self, models: tuple[str, ...], clients: int, seed: int) -> None:
        self.outcomes: list[Outcome] = []
        self._models = models
        self._stop = threading.Event()
        self._over = threading.Semaphore(0)
        self._threads = [
            threading.Thread(target=self._ask, args=(random.Random(seed + number),), daemon=True)  # noqa: S311
            for number in range(clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE)

    @property
    def counts(self) -> Counter[str]:
        """How many had which result."""
        return Counter(outcome.result for outcome in self.outcomes)

    def unfair(self, kills: list[tuple[float, float]]) -> list[Outcome]:
        """Those that no client should have met: wrong, hung, or broken off while nobody killed the router.

        Args:
            kills: When that was done, from and to, on the monotonic clock.
        """
        return [outcome for outcome in self.outcomes if not outcome.fair or (outcome.result == BROKE
                and not any(outcome.began <= until and since <= outcome.ended for since, until in kills))]  # fmt: skip

    def wait(self, count: int) -> None:
        """Until so many further requests are over."""
        for _ in range(count):
            assert self._over.acquire(timeout=PATIENCE), f"nothing comes to an end any more: {self.counts}"

    def _ask(self, choice: random.Random) -> None:
        kinds: tuple[Callable[[str], tuple[str, bool]], ...] = (_chat, _chat, _stream, _leave)
        while not self._stop.is_set():
            model, kind = choice.choice(self._models), choice.choice(kinds)
            began = time.monotonic()
            try:
                result, fair = kind(model)
            except TimeoutError:
                result, fair = "it hung", False
            except (OSError, http.client.HTTPException):
                result, fair = BROKE, True
            except Exception as error:  # noqa: BLE001 - an answer that is no answer
                result, fair = f"not understood: {error!r}", False
            self.outcomes.append(Outcome(model, kind.__name__, result, began, time.monotonic(), fair))
            self._over.release()


def _post(connection: http.client.HTTPConnection, body: object) -> http.client.HTTPResponse:
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    return connection.getresponse()


def _told(status: int, body: bytes) -> tuple[str, bool]:
    """What an error says."""
    code = json.loads(body)["error"]["code"]
    return str(code), code in TELLING and STATUSES[code] == status


def _chat(model: str) -> tuple[str, bool]:
    connection = connect()
    try:
        response = _post(connection, question(model))
        body = response.read()
    finally:
        connection.close()
    if response.status != 200:
        return _told(response.status, body)
    said = json.loads(body)["choices"][0]["message"]["content"]
    return (ANSWERED, True) if said == sentence(model) else (f"{said!r}", False)


def _stream(model: str) -> tuple[str, bool]:
    """To its end; one that does not come to its end must not look as if it had."""
    connection = connect()
    try:
        response = _post(connection, question(model, stream=True))
        body, whole = rest_of(response)
    finally:
        connection.close()
    if response.status != 200:
        return _told(response.status, body)
    events = [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {") and line.endswith(b"}")]
    said = "".join(
        choice.get("delta", {}).get("content") or "" for event in events for choice in event.get("choices", ())
    )
    errors = [event["error"]["code"] for event in events if "error" in event]
    if not sentence(model).startswith(said):
        return f"{said!r}", False
    if errors:
        return f"{errors[0]} in its stream", errors[0] in TELLING
    if not whole:
        return "broken off in its stream", True
    done = body.rstrip().endswith(b"data: [DONE]")
    return (ANSWERED, True) if done and said == sentence(model) else (f"an end after {said!r}", False)


def _leave(model: str) -> tuple[str, bool]:
    """A client that goes away in the middle of an endless answer."""
    connection = connect()
    try:
        response = _post(connection, question(model, "LOOP", stream=True, max_tokens=2_000_000))
        if response.status != 200:
            return _told(response.status, response.read())
        for _ in range(20):
            if not response.readline():
                return "broken off in its stream", True
        return LEAVES, True
    finally:
        connection.close()
