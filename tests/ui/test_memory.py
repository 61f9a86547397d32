"""What the GPUs really have in use, on the overview and on a model's page.

The machine has no GPU: nvidia-smi is a double (tests/lab/nvidia_smi.py), everything around it is real.
"""

from collections.abc import Iterator

import pytest

from tests.job import gpus
from tests.job.house import chat, configure, run
from tests.ui import rig
from tests.ui.rig import Desk, live, state


@pytest.fixture(autouse=True)
def _double(_clean: None) -> Iterator[None]:
    with gpus.installed():
        gpus.there_are()
        run("systemctl", "restart", "swapper.service")
        yield


def test_gpus_and_residents_are_shown_with_what_they_have(desk: Desk) -> None:
    page = live(desk.open())
    page.see("GPU 0 · NVIDIA Double", "ul.gpus")
    assert chat("devstral").status == 200
    gpus.there_are(used=12000, apps=[gpus.process("devstral", 7000)])
    page.see("11.7 GiB of 24.0 GiB in use · 50 % busy", "ul.gpus .figures")
    page.see("6.8 GiB", "ul.gpus .residents")
    assert "11.7 GiB" in str(page.eval("document.querySelector('[role=meter]').ariaValueText"))
    parts = "[...document.querySelector('[role=meter]').children].map((each) => parseInt(each.style.width))"
    assert page.eval(parts) == [28, 20], "the model's part, and that of others"
    page = live(desk.open("#/models/devstral"))
    page.see("6.8 GiB in use", "dl.facts")


def test_one_that_takes_more_than_it_declares_is_told_of(desk: Desk) -> None:
    configure(rig.CONFIG.replace("devstral.gguf,", "devstral.gguf, gpu_memory: 8GiB,"))
    page = live(desk.open())
    state(page, "devstral", "stopped")
    assert chat("devstral").status == 200
    gpus.there_are(used=22000, apps=[gpus.process("devstral", 21500)])
    page.see("more than declared", "ul.gpus .residents")
    page = live(desk.open("#/models/devstral"))
    page.see("GPU 0: 8.0 GiB declared, 21.0 GiB in use (more than declared)", "dl.facts")
    page.see("say 'gpu_memory: ", "dl.facts")
