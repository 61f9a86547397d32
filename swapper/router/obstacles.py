"""Why a model cannot be started, as far as files tell; and how far they are, where they are being pulled."""

from collections.abc import Iterable, Sequence

from swapper.config import Model
from swapper.core.model import Failure
from swapper.engines import ENGINES
from swapper.host.masks import masked
from swapper.pull import told
from swapper.pull.told import Report


def obstacles(models: Iterable[Model]) -> list[tuple[str, Failure | None, float | None]]:
    """By model: why it cannot be started, and how much of it has been pulled where that is the reason."""
    reports = told.reports()
    found = []
    for model in models:
        failure = obstacle(model, reports)
        incomplete = failure is not None and failure.code == "model_incomplete"
        pull = _pull(model, reports) if incomplete else None
        found.append((model.name, failure, None if pull is None else round(pull.percent, 1)))
    return found


def _pull(model: Model, reports: Sequence[Report]) -> Report | None:
    return told.pulling(ENGINES[model.engine].roots(model), reports)


def obstacle(model: Model, reports: Sequence[Report] | None = None) -> Failure | None:
    """Why a model cannot be started, as far as files tell: masked, missing, still downloading. Reads the disk.

    Args:
        model: Which.
        reports: What pulls say of themselves; None to look.
    """
    if masked(model.unit):
        unit = model.unit.removesuffix(".service")
        return Failure("model_disabled", f"{model.name} is disabled: {unit} is masked.", f"systemctl unmask {unit}")
    missing = ENGINES[model.engine].missing(model)
    if not missing:
        return None
    what = "; ".join(missing)
    pull = _pull(model, told.reports() if reports is None else reports)
    return Failure(
        "model_incomplete",
        f"The files of {model.name} are not complete: {what}." + (f" {pull.source} is being pulled." if pull else ""),
        f"How far it is: systemctl status 'swapper-pull@*', or swapperctl pull {pull.source}"
        if pull
        else "Wait for the download, or correct `model` in the configuration.",
    )
