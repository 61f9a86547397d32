"""Models: their files, their units, and why they failed."""

import os
from collections.abc import Iterator

from swapper.config import Config, Model
from swapper.ctl import reach
from swapper.ctl.doctor.finding import Finding, Grade, each
from swapper.ctl.terminal import plural, size
from swapper.engines import ENGINES

GENERATED = "50-swapper.conf"
_PACKAGED = ("/usr/lib/systemd/", "/lib/systemd/")
_MOST_PARKED = 0.9
"""Of the host's memory: the rest is for whoever works."""


def files(config: Config) -> Iterator[Finding]:
    """Whether all is there, and engines may read it. A home that is closed does not matter: systemd opens the way."""
    complete = 0
    for model in config.models:
        missing = ENGINES[model.engine].missing(model)
        for fault in missing:
            yield Finding(Grade.NOTE, f"{model.name} is incomplete: {fault}", f"put it there, or correct {model.where}")
        closed = {file: what for file in ENGINES[model.engine].files(model) if (what := reach.closed(file))}
        for file, what in [*closed.items()][:3]:
            why = "" if what == file else f", since {what} is closed"
            yield Finding(Grade.WRONG, f"{model.name}: engines may not read {file}{why}", reach.opened(what))
        complete += not missing and not closed
    if complete:
        yield Finding(Grade.GOOD, f"{complete} of {len(config.models)} models are whole, and can be read")


def overridden(config: Config) -> Iterator[Finding]:
    """Drop-ins and masks that count more than the configuration: no mistake, if somebody meant it."""
    units = each([model.unit for model in config.models], "LoadState", "DropInPaths")
    for model in config.models:
        found = units[model.unit]
        if found.get("LoadState") == "masked":
            mend = f"systemctl unmask {model.unit}"
            yield Finding(Grade.NOTE, f"{model.unit} is masked: {model.name} is disabled", mend)
            continue
        dropins = found.get("DropInPaths", "").split()
        if not any(path.endswith(f"/{GENERATED}") for path in dropins):
            yield Finding(Grade.WRONG, f"systemd does not know {model.name} yet", "swapperctl apply")
        ours = [path for path in dropins if not path.endswith(f"/{GENERATED}") and not path.startswith(_PACKAGED)]
        if ours:
            yield Finding(Grade.NOTE, f"{model.unit} is overridden by {', '.join(ours)}", f"systemctl cat {model.unit}")


def failed(config: Config) -> Iterator[Finding]:
    """Units whose last start failed."""
    units = each([model.unit for model in config.models], "ActiveState", "Result", "StatusText")
    for model in config.models:
        found = units[model.unit]
        if found.get("ActiveState") == "failed":
            text = f": {found['StatusText']}" if found.get("StatusText") else ""
            yield Finding(Grade.WRONG, f"{model.name} has failed ({found.get('Result')}){text}",
                          f"swapperctl logs {model.name}")  # fmt: skip


def parking(config: Config) -> Iterator[Finding]:
    """Whether the host has the memory for what shall be parked in it."""
    parked = [model for model in config.models if model.park and model.park_level == 1]
    if not parked:
        return
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = config.router.park_memory or total // 2
    weights = sum(map(_weight, parked))
    if weights > limit:
        mend = "'router: {park_memory: …}', or 'park_level: 2' for some"
        what = f"{plural(len(parked), 'model')} to be parked weigh {size(weights)}, and {size(limit)} are for that"
        yield Finding(Grade.NOTE, f"{what}: the one parked longest ends", mend)
    if limit > total * _MOST_PARKED:
        yield Finding(Grade.WRONG, f"park_memory is {size(limit)}, and this host has {size(total)}",
                      "'router: {park_memory: …}' in /etc/swapper/swapper.yaml")  # fmt: skip


def _weight(model: Model) -> int:
    found = 0
    for file in ENGINES[model.engine].cached(model):
        try:
            found += file.stat().st_size
        except OSError:
            continue
    return found
