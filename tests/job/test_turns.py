"""Models that take turns on the real systemd and with real engines: few swaps for many answers, and nobody starves."""

import time

from tests.job.house import Load, chat, configure, journal, sentence

TURNS = """
turns: {min_hold: 2s, swap_share: 20%}
models:
  alpha: {engine: llama, model: alpha.gguf, context: 2048}
  beta: {engine: llama, model: beta.gguf, context: 2048}
"""


def starts() -> int:
    """How often a model has been started by the router that runs."""
    return journal("swapper").count("-> starting")


def test_clients_that_ask_one_after_the_other_share_turns() -> None:
    configure(TURNS)
    before = starts()
    with Load("alpha", clients=1) as one, Load("beta", clients=1) as other:
        one.answers(60)
        other.answers(60)
    assert one.failures == other.failures == []
    answers = sum(load.statuses.get("200", 0) for load in (one, other))
    assert answers >= 120
    assert (starts() - before) * 5 < answers, "each start serves many"


def test_a_greedy_model_does_not_keep_a_patient_one_waiting() -> None:
    configure(TURNS)
    chat("beta")
    with Load("alpha", clients=4) as greedy:
        greedy.answers(20)
        for _ in range(3):
            asked = time.monotonic()
            assert chat("beta").content == sentence("beta")
            assert time.monotonic() - asked < 20, "a turn, a stop and a load take a few seconds"
            greedy.answers(20)
    assert greedy.failures == []
    assert set(greedy.statuses) == {"200"}
