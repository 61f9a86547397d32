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


def test_of_many_tabs_the_one_that_is_seen_follows(desk: Desk) -> None:
    """A browser has six connections to a host, and a model's page takes two for as long as it is looked at."""
    pages = [live(desk.open("#/models/devstral")) for _ in range(8)]
    pages[-1].click("button[aria-label='Load devstral']")
    for page in (pages[-1], pages[0]):
        page.call("Page.bringToFront")
        page.wait("document.querySelector('.badge').textContent === 'ready'")
        page.wait("document.querySelector('pre.journal').textContent.includes('listening')")
        assert [one for one in pages if not one.eval("document.hidden")] == [page]
