"""Pictures of the dashboard, for people to look at: they are written, and not judged, to SWAPPER_TEST_SCREENSHOTS.

The GPUs in them are a double of nvidia-smi (`tests/job/gpus.py`); all else is what it is.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.job import gpus
from tests.job.house import ask, chat, run, sentence, show, stream
from tests.lab.browser import DESKTOP, PHONE, Page
from tests.ui.rig import Desk, asked, live, state

PLACE = Path(os.environ.get("SWAPPER_TEST_SCREENSHOTS", "build/screenshots")).absolute()
SECOND = "GPU-5d1f0000-0000-0000-0000-000000000001"
TALL = (1280, 1500)


@pytest.fixture(autouse=True)
def _gpus(_clean: None) -> Iterator[None]:
    with gpus.installed():
        show_gpus()
        run("systemctl", "restart", "swapper.service")
        yield


def show_gpus(**used: int) -> None:
    """Two GPUs, and what these models have of the first one, in MiB."""
    apps = [gpus.process(model, mib) for model, mib in used.items()]
    first = {"uuid": gpus.GPU, "name": "NVIDIA Double 24GB", "memory.total": 24564,
             "memory.used": 420 + sum(used.values()), "utilization.gpu": 34 if apps else 0}  # fmt: skip
    second = {"uuid": SECOND, "name": "NVIDIA Double 80GB", "memory.total": 81559, "memory.used": 510,
              "utilization.gpu": 0}  # fmt: skip
    gpus.put({"gpus": [first, second], "apps": apps})


def take(page: Page, name: str) -> None:
    """Take a picture of all of a page."""
    page.wait("document.fonts.status === 'loaded'")
    page.screenshot(PLACE / f"{name}.png")
    assert (PLACE / f"{name}.png").stat().st_size > 10_000


def test_idle(desk: Desk) -> None:
    page = live(desk.open(size=TALL))
    page.see("Double 80GB", "ul.gpus")
    take(page, "idle")


def test_during_a_swap(desk: Desk) -> None:
    for model in ("qwen3-8b", "vision", "devstral"):
        chat(model)
    with stream("devstral"):
        show_gpus(devstral=14310)
        waiting = asked("qwen3-8b")
        # One after the other: a tab behind another one rests.
        for name, size, dark in (("swap", TALL, False), ("swap-dark", TALL, True), ("phone", PHONE, False)):
            page = live(desk.open(size=size, dark=dark))
            state(page, "devstral", "draining")
            page.see("qwen3-8b", "ol.queue")
            page.click("input[name=span][value='5']")
            page.wait("document.querySelectorAll('.rows rect[data-state=serving]').length >= 3")
            page.see("14.0 GiB", "ul.gpus")
            page.eval("scrollTo(0, 0)")
            take(page, name)
    with contextlib.closing(waiting):
        assert sentence("qwen3-8b").encode() in waiting.getresponse().read()


def test_a_failed_model(desk: Desk) -> None:
    ask("POST", "/api/models/broken/load")
    page = live(desk.open(size=TALL))
    state(page, "broken", "failed")
    take(page, "failed")
    page = live(desk.open("#/models/broken", TALL))
    page.see("no-such-option", "pre.journal")
    page.see("[Service]", ".files")
    take(page, "failed-model")


def test_a_model_the_playground_and_keys(desk: Desk) -> None:
    chat("devstral")
    page = live(desk.open("#/models/devstral", TALL))
    page.see(show("llama@devstral", "StatusText"), "dl.facts")
    page.see("[Service]", ".files")
    take(page, "model")
    page = live(desk.open("#/playground", DESKTOP))
    page.wait("document.querySelector('#chat-model option')?.value === 'devstral'")
    page.click("#chat-text")
    page.type("Who are you?")
    page.press("Enter")
    page.see("in all", "ol.talk")
    take(page, "playground")
    page = live(desk.open("#/keys", DESKTOP))
    page.see("without a key", "main")
    take(page, "keys")
