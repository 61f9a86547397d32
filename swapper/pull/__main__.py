"""What swapper-pull@.service runs: `python3 -m swapper.pull STEP INSTANCE`; see `__init__.py` for the steps.

`ended` is what systemd runs in any case (ExecStopPost=): a pull that was killed is not told as one that goes on.
"""

import os
import signal
import sys
from pathlib import Path
from types import FrameType

from swapper.pull import PullError, place, told
from swapper.pull.places import VARIABLE, Places
from swapper.pull.source import Source, of_instance
from swapper.pull.teller import Teller, gib
from swapper.pull.told import Stage

STOPPED = 143
"""Exit status of what systemd ended, as shells have it: for the unit (SuccessExitStatus=) that is no failure."""


def main(step: str, instance: str) -> int:
    """Take one step; returns the exit status."""
    source = of_instance(instance)
    places = Places(Path(os.environ[VARIABLE]), source)
    teller = Teller(source)
    try:
        match step:
            case "prepare":
                teller.say("beginning")
                place.prepare(places)
            case "fetch":
                _fetch(places, teller)
            case "place":
                _place(places, teller)
            case "ended":
                _ended(source, teller)
            case _:
                raise ValueError(step)
    except PullError as error:
        print("\n".join(filter(None, (str(error), *error.details, error.hint))), file=sys.stderr)
        teller.failed(error)
        return STOPPED if error.code == "interrupted" else 1
    return 0


def _fetch(places: Places, teller: Teller) -> None:
    from swapper.pull.fetch import Fetch  # noqa: PLC0415 - root has nothing to do with it

    signal.signal(signal.SIGTERM, stopped)
    Fetch(places, teller).run()


def _place(places: Places, teller: Teller) -> None:
    report = told.read(places.source.instance)
    ours = report is not None and report.invocation == teller.report.invocation
    if report is not None and ours and report.code == "interrupted":
        return  # after a step that ended well systemd takes the next one, in a unit that it is stopping too
    if report is None or not ours or report.stage is not Stage.RUNNING:
        raise PullError("disk", "it is not known what was fetched", "pull again")
    teller.report = report
    place.place(places, place.keys(report))
    teller.done()
    print(f"{report.source}: {gib(report.total)} in {report.path}")


def _ended(source: Source, teller: Teller) -> None:
    """Systemd says how it went: $SERVICE_RESULT (systemd.exec(5))."""
    report = told.read(source.instance)
    result = os.environ.get("SERVICE_RESULT", "")
    if result != "success" and (report is None or report.stage is not Stage.FAILED):
        _interrupted(teller, result)
    elif report is not None and report.stage is Stage.RUNNING:
        _interrupted(teller, "it was stopped")


def _interrupted(teller: Teller, why: str) -> None:
    report = told.read(teller.instance)
    if report is not None:
        teller.report = report
    hint = "the same command goes on with what is there"
    teller.failed(PullError("interrupted", f"it was ended before it was done ({why})", hint))


def stopped(number: int, frame: FrameType | None) -> None:
    """Systemd ends the pull: so does the main thread, wherever it is, and notes how far it was."""
    del number, frame
    raise PullError("interrupted", "it was stopped", "the same command goes on with what is there")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
