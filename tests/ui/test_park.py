"""Models that can be parked have a button for it, and it is shown what they take of memory. With vLLM's stand-in."""

from collections.abc import Iterator

import pytest

from tests.job import house
from tests.ui.rig import Desk, live, state
from tests.vllm.rig import MISSION, VL, standin

PARKED = MISSION.replace("engine: vllm,", "engine: vllm, on_swap: park,")


@pytest.fixture(autouse=True)
def _parks(_clean: None) -> Iterator[None]:
    with standin():
        house.configure(PARKED)
        yield
        house.reset()


def test_a_model_is_parked_by_its_button_and_woken_by_another(desk: Desk) -> None:
    page = live(desk.open())
    state(page, VL, "stopped")
    assert page.eval("[...document.querySelectorAll('[data-do=park]')].some((each) => each.hidden)"), "not all park"
    page.click(f"button[aria-label='Load {VL}']")
    state(page, VL, "ready")
    page.click(f"button[aria-label='Park {VL}']")
    state(page, VL, "parked")
    assert house.state(VL) == "parked"
    page.see("Parked in the host's memory", "p.parked")
    page.wait("document.querySelectorAll('.rows rect[data-state=parked]').length")
    page.click(f"button[aria-label='Load {VL}']")
    state(page, VL, "ready")
    page.wait("document.querySelector('p.parked').hidden")
