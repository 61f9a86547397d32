"""What the scheduler tells those whom it cannot serve: code, what happened, what to do, and when, as far as is known.

`retry_after` is 0 where a request sent again is taken in at once, to wait for the model; `core.outlook` has the rest.
"""

from collections.abc import Sequence

from swapper.core.model import Failure
from swapper.core.record import Record


def not_configured(model: str) -> Failure:
    """The model is not (or no longer) in the configuration."""
    return Failure("model_not_found", f"There is no model named {model!r}.", "GET /v1/models lists the models.")


def not_loaded(model: str) -> Failure:
    """Somebody looks at a model that does not run, and to look loads nothing."""
    return Failure(
        "model_not_loaded",
        f"{model} is not loaded, and this request loads nothing.",
        f"Send it a request that it has to answer, or POST /api/models/{model}/load.",
    )


def never_parked(record: Record) -> Failure:
    """Its engine has not been started so that it could be."""
    return Failure(
        "model_not_parked",
        f"{record.name} is not to be parked.",
        "Configure `on_swap: park` for it (vLLM only), or have it unloaded.",
    )


def nothing_to_park(record: Record) -> Failure:
    """It is not there, or not yet."""
    return Failure(
        "model_not_parked",
        f"{record.name} is {record.state}, and a model is parked when it is ready.",
        f"POST /api/models/{record.name}/load first.",
    )


def out_of_date(record: Record) -> Failure:
    """What runs would not be what is configured when it wakes."""
    return Failure(
        "model_not_parked",
        f"The configuration of {record.name} has changed since it was loaded.",
        "Have it unloaded: its next start takes what is configured.",
    )


def no_room_to_park(record: Record, room: int) -> Failure:
    """Even alone it takes more host memory than parked models may."""
    return Failure(
        "model_not_parked",
        f"{record.name} would take {record.weight >> 20} MiB of host memory, and parked models may take {room >> 20}.",
        "Raise `router: park_memory`, or configure `park_level: 2` for it, which keeps no weights.",
    )


def queue_full(record: Record, place: float | None) -> Failure:
    """As many wait as may; in `place` seconds one more may."""
    return Failure(
        "queue_full",
        f"{len(record.waiting)} requests for {record.name} wait already, which is its limit.",
        "Try again later, or raise `queue` of this model.",
        place,
    )


def queue_timeout(record: Record, limit: float, turn: float | None) -> Failure:
    """It waited as long as one may; in `turn` seconds those who still wait will have got their leases, and one more."""
    return Failure(
        "queue_timeout",
        f"The request waited for {limit:g} s, which is the limit of {record.name}; the model is {record.state}.",
        "Try again later, or raise `queue_timeout` of this model.",
        turn,
    )


def restarted(record: Record) -> Failure:
    """Another process took the place of the one that answered."""
    return Failure("model_restarted", f"The unit of {record.name} was restarted while it answered.", "Send it again.",
                   0.0)  # fmt: skip


def stopped(record: Record) -> Failure:
    """Somebody else stopped the unit."""
    return Failure(
        "model_stopped",
        f"The unit of {record.name} was stopped by somebody else.",
        "Send the request again: that starts the model.",
        0.0,
    )


def unloaded(record: Record) -> Failure:
    """An operator unloaded it before it was ready."""
    return Failure("model_unloaded", f"{record.name} was unloaded by an operator while it started.", "Send it again.",
                   0.0)  # fmt: skip


def too_slow(record: Record) -> Failure:
    """It was not ready in time."""
    return Failure(
        "model_load_timeout",
        f"{record.name} was not ready after {record.loaded.load_timeout:g} s.",
        "Look into the journal of its unit; raise `load_timeout` if it only needs longer.",
    )


def drained_too_long(record: Record) -> Failure:
    """Its requests did not end in time."""
    return Failure(
        "model_unloaded",
        f"{record.name} was to stop ({record.reason}), and this request was still running after "
        f"{record.loaded.drain_timeout:g} s.",
        "Send it again, or raise `drain_timeout`.",
    )


def busy(claimant: Record, victim: Record, idle: float | None) -> Failure:
    """Whoever holds the GPU did not end in time; in `idle` seconds what it does now will have ended."""
    return Failure(
        "model_busy",
        f"{claimant.name} could not be loaded: {victim.name} was still answering after "
        f"{victim.loaded.drain_timeout:g} s.",
        "Try again later, or set `drain_timeout`.",
        idle,
    )


def pinned_in_the_way(
    record: Record, obstacles: tuple[Record, ...], companions: Sequence[str] = (), apart: str = ""
) -> Failure:
    """A pinned model holds what it needs, or what its companions do; `apart` says so where it is for a group."""
    names = ", ".join(obstacle.name for obstacle in obstacles)
    whole = ", ".join((record.name, *companions))
    if apart:
        return Failure("gpu_pinned", f"{whole}: {apart}, which is pinned.", "Remove `pinned`, or change the group.")
    return Failure(
        "gpu_pinned",
        f"{whole} {'do' if companions else 'does'} not fit beside {names}, which is pinned to the GPU.",
        "Remove `pinned`, or give one of them another GPU.",
    )
