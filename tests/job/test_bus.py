"""Systemd and the bus come and go while models serve and load: streams are whole, and states are right afterwards."""

import contextlib
import http.client
import json
from collections.abc import Iterator

import pytest

from tests.job import house
from tests.job.house import BASIC, chat, configure, run, sentence, show, state, stream, until, watching
from tests.job.mishaps import ENDLESS, Question, agree, detail, nothing_is_left

COMING_BACK = pytest.mark.parametrize(
    "again", [("daemon-reload",), ("daemon-reexec",), ("restart", "dbus.service")], ids=" ".join
)
LOOP_WORDS = 32  # tests/lab/gguf.py: loop000 … loop031, and again


def words(response: http.client.HTTPResponse, count: int) -> list[int]:
    """The numbers of the next words of an endless answer."""
    found: list[int] = []
    while len(found) < count:
        line = response.readline()
        assert line != b"", "the stream ended"
        if line.startswith(b"data: "):
            delta = json.loads(line[6:])["choices"][0]["delta"]
            found += [int(word) for word in (delta.get("content") or "").replace("loop", "").split()]
    return found


@contextlib.contextmanager
def bus_away() -> Iterator[None]:
    """Nobody can speak to systemd over D-Bus for as long as that; root's systemctl has a way of its own."""
    run("systemctl", "stop", "dbus.socket", "dbus.service")
    try:
        yield
    finally:
        run("systemctl", "reset-failed", "dbus.service")
        run("systemctl", "start", "dbus.socket", "dbus.service")


def come_back(again: tuple[str, ...]) -> None:
    """Have systemd or the bus go away and come back."""
    run("systemctl", "reset-failed", "dbus.service")  # which is else not started that often
    run("systemctl", *again)


def refused_stops() -> int:
    """How often the router has said since boot that it could not stop alpha."""
    return house.journal("swapper").count("could not stop llama@alpha")


@COMING_BACK
def test_while_models_serve(again: tuple[str, ...]) -> None:
    configure(ENDLESS)
    with stream("alpha") as one, stream("gamma") as another:
        invocations = [show(f"llama@{name}", "InvocationID") for name in ("alpha", "gamma")]
        said = [words(response, 10) for response in (one, another)]
        for _ in range(3):
            come_back(again)
            assert chat("alpha").content == sentence("alpha")
            for before, response in zip(said, (one, another), strict=True):
                before.extend(words(response, 100))
        assert (detail("alpha", "leases"), detail("gamma", "leases")) == (1, 1), "they have not ended meanwhile"
        for numbers in said:
            assert numbers == [(numbers[0] + place) % LOOP_WORDS for place in range(len(numbers))], "a word is missing"
    assert [show(f"llama@{name}", "InvocationID") for name in ("alpha", "gamma")] == invocations
    agree()
    assert chat("beta").content == sentence("beta")
    agree()
    nothing_is_left()


@pytest.fixture
def large() -> Iterator[None]:
    """A model that takes its engine a while to read."""
    path = house.write_gguf("large", size_mb=1500)
    configure(f"{BASIC}  large: {{engine: llama, model: large.gguf, context: 2048, args: [-lm, none]}}\n")
    yield
    house.reset()
    path.unlink()


@COMING_BACK
@pytest.mark.usefixtures("large")
def test_while_a_model_loads_and_becomes_ready(again: tuple[str, ...]) -> None:
    chat("alpha")
    with watching("large", "starting") as starting:
        asked = Question("large")
        starting()
    times = 0
    # Again and again, so that the engine is ready while systemd or the bus is just coming back.
    while not asked.over and times < 10:
        come_back(again)
        times += 1
    assert asked.answer.content == sentence("large")
    print(f"{times} times {' '.join(again)}")
    agree()
    assert chat("alpha").content == sentence("alpha")
    agree()
    nothing_is_left()


def test_what_happens_to_models_while_the_bus_is_away_is_seen_afterwards() -> None:
    chat("alpha")
    chat("gamma")
    with bus_away():
        assert chat("alpha").content == sentence("alpha"), "what is loaded needs no bus"
        run("systemctl", "stop", "llama@alpha")
        run("systemctl", "restart", "llama@gamma")
        run("systemctl", "start", "llama@beta")
    agree()
    assert (state("alpha"), state("beta"), state("gamma")) == ("stopped", "ready", "ready")
    for model in ("beta", "gamma", "alpha"):
        assert chat(model).content == sentence(model)


def test_whoever_wants_another_model_waits_for_the_bus() -> None:
    chat("gamma")
    with bus_away():
        asked = Question("alpha")
        until(lambda: detail("alpha", "waiting") == 1, "it waits")
        assert chat("gamma").content == sentence("gamma")
        assert not asked.over
    assert asked.answer.content == sentence("alpha")
    agree()


def test_whoever_waits_too_long_for_the_bus_is_told() -> None:
    chat("gamma")
    with bus_away():
        answer = chat("alpha")
        assert (answer.status, answer.error["code"]) == (503, "dbus_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.error["hint"] == "systemctl status dbus polkit"
    until(lambda: chat("alpha").status == 200, "it loads")
    agree()


def test_a_swap_that_the_bus_held_up_goes_on_when_it_is_back() -> None:
    chat("alpha")
    before = refused_stops()
    with bus_away():
        asked = Question("beta")
        until(lambda: refused_stops() > before, "that alpha cannot be stopped is known")
        assert not asked.over
    assert asked.answer.content == sentence("beta")
    agree()
    nothing_is_left()
