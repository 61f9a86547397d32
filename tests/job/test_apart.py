"""Whatever happens on one GPU, requests to a model that is resident on another are let through at once.

GPU 1 has a model whose clients ask without a pause. What they waited is the router's own figure: from when a request is
there to its lease, and of that the time in which the model was starting.
"""

import threading
from collections.abc import Iterator

import pytest

from tests.job.house import PATIENCE, Load, ask, chat, sentence, show, state, stream, watching
from tests.job.mishaps import Question, gate, override
from tests.lab.exposition import Scraped

AT_ONCE = 0.1
"""Seconds. To let a request through takes microseconds; the rest is for a machine whose processors others use."""


def waits() -> tuple[float, float, float]:
    """Of the requests to gamma so far: how many there were, how many were let through at once, how many saw a load."""
    scraped = Scraped.read(ask("GET", "/metrics").body.decode())
    count = scraped.value("swapper_request_queue_seconds_count", model="gamma")
    at_once = scraped.value("swapper_request_queue_seconds_bucket", model="gamma", le=str(AT_ONCE))
    return count, at_once, scraped.value("swapper_request_load_seconds_count", model="gamma")


@pytest.fixture(autouse=True)
def gamma(_clean: None) -> Iterator[Load]:
    """Clients of gamma, who are all let through at once and answered, whatever the test does meanwhile."""
    assert chat("gamma").content == sentence("gamma")
    invocation = show("llama@gamma", "InvocationID")
    count, at_once, loads = waits()
    with Load("gamma", clients=2) as clients:
        clients.answers(5)
        yield clients
        clients.answers(5)
    assert set(clients.statuses) == {"200"}, clients.failures
    later, later_at_once, later_loads = waits()
    assert later - count >= clients.statuses["200"] >= 10
    assert later_at_once - at_once == later - count, "nobody waited"
    assert later_loads == loads
    assert show("llama@gamma", "InvocationID") == invocation


def test_while_a_model_on_the_other_one_drains(gamma: Load) -> None:
    with stream("alpha"):
        with watching("alpha", "draining") as draining:
            waiting = Question("beta")
            draining()
        gamma.answers(50)
        assert state("alpha") == "draining"
        assert not waiting.over
    assert waiting.answer.content == sentence("beta")


def test_while_a_model_on_the_other_one_takes_long_to_load(gamma: Load) -> None:
    with gate("llama@alpha", "ExecStartPre") as load:
        with watching("alpha", "starting") as starting:
            waiting = Question("alpha")
            starting()
        gamma.answers(50)
        assert state("alpha") == "starting"
        assert not waiting.over
        load()
    assert waiting.answer.content == sentence("alpha")


def test_while_a_model_on_the_other_one_takes_long_to_stop(gamma: Load) -> None:
    assert chat("alpha").content == sentence("alpha")
    with gate("llama@alpha", "ExecStop") as stop:
        with watching("alpha", "stopping") as stopping:
            waiting = Question("beta")
            stopping()
        gamma.answers(50)
        assert state("alpha") == "stopping"
        assert not waiting.over
        stop()
    assert waiting.answer.content == sentence("beta")


def test_while_a_model_on_the_other_one_fails_at_once_and_after_its_timeout(gamma: Load) -> None:
    with override("llama@alpha", "ExecStartPre=/usr/bin/false"):
        assert chat("alpha").error["code"] == "model_failed"
    with override("llama@beta", "TimeoutStartSec=5\nExecStart=\nExecStart=/bin/sleep infinity"):
        waiting = Question("beta")
        gamma.answers(50)
        assert waiting.answer.error["code"] == "model_failed"
    assert state("beta") == "failed"


def test_while_models_on_the_other_one_swap(gamma: Load) -> None:
    together = threading.Barrier(2)

    def client(name: str) -> None:
        for _ in range(5):
            together.wait(PATIENCE)  # both want it, each time: else one could have five answers before the other comes
            chat(name)

    threads = [threading.Thread(target=client, args=(name,)) for name in ("alpha", "beta")]
    for thread in threads:
        thread.start()
    gamma.answers(50)
    for thread in threads:
        thread.join()
    changes = ask("GET", "/api/models").json["changes"]
    loaded = [change["model"] for change in changes if change["new"] == "ready" and change["old"] == "starting"]
    assert len(loaded) >= 3, loaded
    assert {"alpha", "beta"} <= set(loaded)
