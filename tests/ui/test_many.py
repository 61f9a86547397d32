"""Two hundred models: the page is still there at once, and nobody has to scroll."""

import time

from tests.job import house
from tests.ui.rig import Desk, live, state

COUNT = 200


def test_two_hundred_models(desk: Desk) -> None:
    lines = (f"  model-{number:03}: {{engine: llama, model: devstral.gguf, context: 512}}\n" for number in range(COUNT))
    house.configure("models:\n" + "".join(lines))
    began = time.monotonic()
    page = live(desk.open())
    rows = "document.querySelectorAll('table.models tbody tr').length"
    page.wait(f"{rows} === {COUNT}")
    assert time.monotonic() - began < 30.0
    page.click("#find")
    page.type("137")
    page.wait(f"{rows} === 1")
    page.see(f"1 of {COUNT} models")
    page.click("button[aria-label='Load model-137']")
    state(page, "model-137", "ready")
    page.eval("document.querySelector('#find').value = ''; "
              "document.querySelector('#find').dispatchEvent(new Event('input'))")  # fmt: skip
    page.wait(f"{rows} === {COUNT}")
    page.eval("document.querySelector(\"button[aria-label='Load model-199']\").click()")
    state(page, "model-199", "ready")
    state(page, "model-137", "stopped")
