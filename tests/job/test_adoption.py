"""The router is killed at every state of a model: the next one finds what systemd has, and goes on from there."""



from tests.job.house import (
    ask,
    chat,
    configure,
    rest_of,
    run,
    sentence,
    show,
    state,
    stream,
    until,
    watching,
    write_gguf,
)
from tests.job.mishaps import ENDLESS, Question, agree, detail, disagreements, gate, nothing_is_left


def kill_router() -> None:
    """Kill it, and have its successor looked at."""
    before = show("swapper.service", "InvocationID")
    run("systemctl", "kill", "--signal=KILL", "swapper.service")
    until(lambda: show("swapper.service", "InvocationID") not in {"", before}, "the next router")
    assert ask("GET", "/health").status == 200


def all_answer() -> None:
    """Each model answers, the GPU that two of them share going from one to the other."""
    agree()
    for model in ("alpha", "beta", "gamma", "alpha"):
        assert chat(model).content == sentence(model)
    agree()
    nothing_is_left()


def test_stopped() -> None:
    chat("alpha")
    ask("POST", "/api/models/alpha/unload")
    kill_router()
    assert disagreements() == {}
    assert state("alpha") == "stopped"
    all_answer()


def test_starting() -> None:
    with gate("llama@alpha", "ExecStartPre") as pass_on:
        with watching("alpha", "starting") as starting:
            asked = Question("alpha")
            starting()
        until(lambda: show("llama@alpha", "ActiveState") == "activating", "systemd starts it")
        invocation = show("llama@alpha", "InvocationID")
        kill_router()
        assert asked.broke, "the client sees that nobody will answer"
        assert disagreements() == {}
        assert state("alpha") == "starting"
        again = Question("alpha")
        until(lambda: detail("alpha", "waiting") == 1, "somebody waits for the start that goes on")
        pass_on()
        assert again.answer.content == sentence("alpha")
        assert show("llama@alpha", "InvocationID") == invocation
    all_answer()


def test_ready_with_streams() -> None:
    configure(ENDLESS)
    with stream("alpha") as one, stream("alpha") as another, stream("gamma") as third:
        invocations = [show(f"llama@{name}", "InvocationID") for name in ("alpha", "gamma")]
        kill_router()
        assert [rest_of(response)[1] for response in (one, another, third)] == [False] * 3, "none looks whole"
    assert disagreements() == {}
    assert (state("alpha"), state("gamma")) == ("ready", "ready")
    assert chat("alpha").content == sentence("alpha")
    assert [show(f"llama@{name}", "InvocationID") for name in ("alpha", "gamma")] == invocations
    all_answer()


def test_draining() -> None:
    configure(ENDLESS)
    with stream("alpha") as response, watching("alpha", "draining") as draining:
        waiting = Question("beta")
        draining()
        kill_router()
        assert waiting.broke
        assert not rest_of(response)[1]
    assert disagreements() == {}
    assert state("alpha") == "ready", "whoever wanted its place is gone, and those who held it up too"
    all_answer()


def test_stopping() -> None:
    chat("alpha")
    with gate("llama@alpha", "ExecStop") as pass_on:
        with watching("alpha", "stopping") as stopping:
            waiting = Question("beta")
            stopping()
        until(lambda: show("llama@alpha", "ActiveState") == "deactivating", "systemd stops it")
        kill_router()
        assert waiting.broke
        assert disagreements() == {}
        assert state("alpha") == "stopping"
        again = Question("beta")
        until(lambda: detail("beta", "waiting") == 1, "somebody waits for the end of the stop")
        assert show("llama@beta", "ActiveState") == "inactive"
        pass_on()
        assert again.answer.content == sentence("beta")
        assert disagreements() == {}
    all_answer()


def test_failed() -> None:
    path = write_gguf("alpha")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    try:
        assert chat("alpha").error["code"] == "model_failed"
        kill_router()
        assert disagreements() == {}
        assert state("alpha") == "failed"
        assert "exit status 1" in str(detail("alpha", "failure"))
    finally:
        path.write_bytes(whole)
    all_answer()


def test_killed_again_and_again_while_models_take_turns() -> None:
    """Wherever it happens to be: those who ask are answered by whom they asked, or see that they are not."""
    for _ in range(6):
        questions = [Question(model) for model in ("alpha", "beta", "gamma", "beta")]
        until(lambda: any(question.over for question in questions), "the first answer")  # noqa: B023
        kill_router()
        for question in questions:
            assert question.broke or question.answer.content == sentence(question.model)
    all_answer()
