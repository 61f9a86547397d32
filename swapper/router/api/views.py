"""What the dashboard is answered: one frozen type for each, as in `shapes`."""

from dataclasses import dataclass
from typing import Literal

from swapper.router.api.shapes import Changed

type Source = Literal["configuration", "default", "unit", "engine"]


@dataclass(frozen=True, slots=True)
class Whoever:
    """Who asks.

    Attributes:
        keys: Whether requests need keys.
        name: The name of the key; empty where there are no keys.
        admin: Whether it may operate.
    """

    keys: bool
    name: str
    admin: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a model, as it is in force.

    Attributes:
        name: The key of the configuration.
        value: Its value, for people.
        source: Who said so: the configuration, nobody (`default`), systemd's unit, or the engine, when it ran last.
        place: Where that is: file and line, or the variable of the unit; empty for defaults.
    """

    name: str
    value: str
    source: Source
    place: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a model.

    Attributes:
        model: Its name.
        settings: All of them.
    """

    model: str
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class UnitFile:
    """A file of a unit's definition.

    Attributes:
        path: Where it is.
        text: What is in it.
        problem: Why it cannot be read; empty where it can.
    """

    path: str
    text: str
    problem: str


@dataclass(frozen=True, slots=True)
class UnitText:
    """A unit, as `systemctl cat` prints it.

    Attributes:
        unit: Its name.
        files: The unit file, then drop-ins, in the order in which they count.
        stale: Some of them have changed since systemd read them: `systemctl daemon-reload`.
    """

    unit: str
    files: tuple[UnitFile, ...]
    stale: bool


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """A request that is under way. Times are seconds since its body was there.

    Attributes:
        id: Its id: the `X-Request-Id` of its answer.
        model: The model.
        method: Such as `POST`.
        path: Without the query.
        key: The name of the client's key; empty where there are no keys.
        phase: `preparing` (media are fetched), `waiting` (for the model), `sending` (the engine has said nothing yet),
            `answering`, `explaining` (why it failed), or `over`.
        age: Until now.
        queued: Until it had its lease; null while it waits.
        first: Until the first byte of the engine's answer; null before that.
        sent: Bytes of the answer so far.
    """

    id: str
    model: str
    method: str
    path: str
    key: str
    phase: str
    age: float
    queued: float | None
    first: float | None
    sent: int


@dataclass(frozen=True, slots=True)
class EndedRequest:
    """A request that is over. Times are seconds.

    Attributes:
        at: When it ended, in seconds since the epoch.
        id: Its id.
        model: The model, as the client wrote it where there is none of that name.
        method: Such as `POST`.
        path: Without the query.
        key: The name of the client's key; empty where there are no keys.
        status: As sent; 499 where the client left before that.
        reason: Why it did not end well; empty where it did.
        queued: From the whole body to the lease, loading included; null without a lease.
        loading: Of that, the time in which the model was starting; null without a lease.
        first: From the whole body to the first byte of the engine's answer; null without one.
        total: From the whole body to the end.
        received: Bytes of its body.
        sent: Bytes of the answer.
        tokens_in: Tokens of the prompt, as the engine reported them; null where it did not.
        tokens_out: Tokens of the answer, likewise.
    """

    at: float
    id: str
    model: str
    method: str
    path: str
    key: str
    status: int
    reason: str
    queued: float | None
    loading: float | None
    first: float | None
    total: float
    received: int
    sent: int
    tokens_in: int | None
    tokens_out: int | None


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests to engines: those that the key may know of, all of them for an administrator, else its own.

    Attributes:
        running: Those that are under way, oldest first.
        ended: The last ones, newest first.
    """

    running: tuple[LiveRequest, ...]
    ended: tuple[EndedRequest, ...]


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Requests that were ended.

    Attributes:
        id: Their id.
        requests: How many there were: clients may use an id more than once.
    """

    id: str
    requests: int


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which a model served requests. Times are seconds since the epoch.

    Attributes:
        model: Which.
        begin: When the first of them began.
        end: When the last of them ended.
        requests: How many there were.
    """

    model: str
    begin: float
    end: float
    requests: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """The last hour, as far as the router was there. Times are seconds since the epoch.

    Attributes:
        since: Where it begins: an hour ago, or when the router started.
        until: Now.
        changes: Changes of state, oldest first; the first of each model says what it was in before.
        served: When models served requests, those under way included.
    """

    since: float
    until: float
    changes: tuple[Changed, ...]
    served: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class ModelUse:
    """What a key had of one model.

    Attributes:
        model: Which; empty for names that nobody configured.
        requests: How many.
        failed: How many of them got an error.
        tokens_in: Tokens of the prompts, as far as engines reported them.
        tokens_out: Tokens of the answers, likewise.
    """

    model: str
    requests: int
    failed: int
    tokens_in: int
    tokens_out: int


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What a key had.

    Attributes:
        key: Its name; empty for requests without one.
        running: Requests under way.
        limit: Most requests at once; null for no limit.
        models: Model by model.
    """

    key: str
    running: int
    limit: int | None
    models: tuple[ModelUse, ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """What keys had: all of them for an administrator, else the one that asks.

    Attributes:
        since: Since when it is counted, in seconds since the epoch: the router's start.
        keys: Key by key.
    """

    since: float
    keys: tuple[KeyUse, ...]
