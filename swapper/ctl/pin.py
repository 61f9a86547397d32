"""`swapperctl pin MODEL GPU`: puts a model on a GPU by a drop-in of its unit, whatever the configuration says.

It is what `systemctl edit` would make by hand: the variable that the engine heeds, and the devices that it may open.
The router reads it back.
"""

import argparse
from pathlib import Path

from swapper.config import ConfigErrors, Model, load
from swapper.config.vocabulary import ENGINES
from swapper.ctl import WRONG, Failure
from swapper.ctl.add import gpus
from swapper.ctl.apply import take
from swapper.generator import pinned

UNITS = Path("/etc/systemd/system")
DROPIN = "60-pin.conf"
"""After the generator's own."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = (
        "Puts a model on other GPUs than the configuration says, by a drop-in of its unit in /etc/systemd/system. A "
        "model that runs moves once its requests have ended. For root."
    )
    parser.add_argument("model", help="a name or an alias")
    parser.add_argument("gpu", nargs="?", metavar="GPU[,GPU…]|none", type=gpus, help="by index, in PCI bus order")
    parser.add_argument("--back", action="store_true", help="take the drop-in away: what is configured counts again")


def run(options: argparse.Namespace) -> int:
    """Carry it out; returns the exit status."""
    if options.back == (options.gpu is not None):
        raise Failure("say a GPU, or --back", status=WRONG)
    model = _model(options.model)
    if not ENGINES[model.engine].on_gpu:
        raise Failure(f"{model.name} runs on the CPU: {model.engine} needs no GPU", status=WRONG)
    file = UNITS / f"{model.unit}.d" / DROPIN
    try:
        if options.back:
            file.unlink(missing_ok=True)
        else:
            file.parent.mkdir(exist_ok=True)
            lines = ["# By swapperctl pin; swapperctl pin --back takes it away.", "[Service]", *pinned(options.gpu)]
            file.write_text("".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}", "this is for root: sudo swapperctl pin …") from error
    take()
    where = ", ".join(map(str, options.gpu if options.gpu is not None else model.gpus)) or "none"
    print(f"{model.name}: GPU {where}" + ("" if options.back else f" ({file})"))
    return 0


def _model(name: str) -> Model:
    try:
        config = load()
    except ConfigErrors as errors:
        details = tuple(map(str, errors.errors))
        raise Failure("the configuration has mistakes", "swapperctl check", WRONG, details) from None
    found = config.resolve(name)
    if found is None:
        near = config.near(name)
        raise Failure(f"there is no model {name}", f"is it {near[0]}?" if near else "swapperctl models", WRONG)
    return found
