"""Ask port 8000 for a model and get its answer; ask for another, and it swaps."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.job.house import (
    ask,
    chat,
    configure,
    journal,
    question,
    run,
    sentence,
    show,
    state,
    stream,
    until,
    wait_for,
    watching,
)


def test_at_rest_only_the_socket_is_active_and_the_first_request_starts_everything() -> None:
    assert show("swapper.socket", "ActiveState") == "active"
    assert show("swapper.service", "ActiveState") == "inactive"
    assert run("systemctl", "list-units", "--no-legend", "llama@*", "vllm@*") == ""
    url, body = "http://localhost:8000/v1/chat/completions", json.dumps(question("alpha"))
    out = run("curl", "--silent", "--show-error", "--fail", url, "--data", body)
    assert json.loads(out)["choices"][0]["message"]["content"] == sentence("alpha")
    assert show("swapper.service", "ActiveState") == "active"


def test_both_loopback_addresses_are_served() -> None:
    for address in ("127.0.0.1", "[::1]"):
        models = json.loads(run("curl", "--silent", "--fail", f"http://{address}:8000/v1/models"))["data"]
        assert [model["id"] for model in models] == ["alpha", "beta", "gamma"]


def test_there_and_back_again_each_model_answers_and_the_gpu_never_has_two() -> None:
    for name in ("alpha", "beta", "alpha"):
        assert chat(name).content == sentence(name)
        running = run("systemctl", "list-units", "--state=active", "--no-legend", "--plain", "llama@*")
        assert [line.split()[0] for line in running.splitlines()] == [f"llama@{name}.service"]
    changes = ask("GET", "/api/models").json["changes"]
    resident: set[str] = set()
    for change in changes:
        holds = change["new"] in {"starting", "ready", "draining", "stopping"}
        (resident.add if holds else resident.discard)(change["model"])
        assert len(resident) <= 1, changes
    status = run("systemctl", "status", "llama@alpha", check=False)
    assert 'Status: "alpha ready after' in status
    assert "listening on" in journal("llama@alpha")
    story = journal("swapper", "MODEL=beta")
    assert "beta: stopped -> starting" in story
    assert "makes room for alpha" in story


def test_a_request_is_found_in_the_journal_by_its_id() -> None:
    given = ask("POST", "/v1/chat/completions", question("alpha"), {"X-Request-Id": "my-own.id_1"})
    assert given.headers["X-Request-Id"] == "my-own.id_1"
    made = chat("first").headers["X-Request-Id"]
    for request_id in ("my-own.id_1", made):
        found = ("swapper", f"REQUEST_ID={request_id}", "--output=json")
        until(lambda: journal(*found).startswith("{"), "it is written down")  # noqa: B023
        entry = json.loads(journal(*found))
        assert (entry["MODEL"], entry["STATUS"]) == ("alpha", "200")
        assert float(entry["TOTAL_MS"]) > 0


def test_an_alias_is_as_good_as_the_name() -> None:
    assert chat("first").content == sentence("alpha")
    model = ask("GET", "/v1/models/first").json
    assert (model["id"], model["aliases"], model["state"]) == ("alpha", ["first"], "ready")


def test_models_on_different_gpus_are_resident_together() -> None:
    assert chat("alpha").content == sentence("alpha")
    assert chat("gamma").content == sentence("gamma")
    assert (state("alpha"), state("gamma")) == ("ready", "ready")


def test_a_busy_model_is_not_stopped_by_a_swap() -> None:
    with stream("alpha") as response:
        with watching("alpha", "draining") as draining:
            answers: list[str] = []
            asking = threading.Thread(target=lambda: answers.append(chat("beta").content))
            asking.start()
            draining()
        for _ in range(200):
            assert response.readline() != b""
        assert show("llama@alpha", "ActiveState") == "active"
    asking.join(60)
    assert answers == [sentence("beta")]


def test_a_start_by_hand_is_counted_and_used() -> None:
    run("systemctl", "start", "llama@alpha")
    invocation = show("llama@alpha", "InvocationID")
    assert chat("alpha").content == sentence("alpha")
    assert show("llama@alpha", "InvocationID") == invocation
    run("systemctl", "start", "llama@beta")
    wait_for("alpha", "stopped")
    assert chat("beta").content == sentence("beta")


def test_load_and_unload_by_the_api() -> None:
    assert ask("POST", "/api/models/alpha/load").json["state"] == "ready"
    assert show("llama@alpha", "ActiveState") == "active"
    assert ask("POST", "/api/models/first/unload").json["state"] == "stopped"
    assert show("llama@alpha", "ActiveState") == "inactive"
    assert "alpha" in ask("GET", "/api/models/alpha/log?lines=50").body.decode()


def test_an_idle_model_goes_after_its_ttl_and_the_router_after_it() -> None:
    configure(
        "router: {idle_exit: 1s}\n"
        "models:\n  alpha: {engine: llama, model: alpha.gguf, context: 2048, ttl: 1s}\n"
    )
    invocation = ""
    assert chat("alpha").content == sentence("alpha")
    with watching("alpha", "stopped") as stopped:
        stopped()
        invocation = show("swapper.service", "InvocationID")
    until(lambda: show("swapper.service", "ActiveState") == "inactive", "the router ends by itself")
    assert show("swapper.service", "Result") == "success"
    assert chat("alpha").content == sentence("alpha")
    assert show("swapper.service", "InvocationID") != invocation


def test_an_administrators_pin_is_what_counts() -> None:
    dropin = Path("/run/systemd/system/llama@alpha.service.d/90-pin.conf")
    dropin.parent.mkdir(parents=True, exist_ok=True)
    dropin.write_text("[Service]\nEnvironment=CUDA_VISIBLE_DEVICES=1\n")
    try:
        run("systemctl", "daemon-reload")
        assert chat("beta").content == sentence("beta")
        assert chat("alpha").content == sentence("alpha")
        assert ask("GET", "/api/models/alpha").json["gpus"] == [1]
        assert (state("alpha"), state("beta")) == ("ready", "ready")
    finally:
        dropin.unlink()
        run("systemctl", "daemon-reload")
    chat("alpha")
    until(lambda: ask("GET", "/api/models/alpha").json["gpus"] == [0], "the pin is as configured again")


def test_models_that_are_preloaded_come_with_the_router_and_pinned_ones_stay() -> None:
    configure(
        "models:\n"
        "  alpha: {engine: llama, model: alpha.gguf, context: 2048, preload: true, pinned: true}\n"
        "  beta: {engine: llama, model: beta.gguf, context: 2048}\n"
    )
    run("systemctl", "start", "swapper")
    wait_for("alpha", "ready")
    answer = chat("beta")
    assert (answer.status, answer.error["code"]) == (503, "gpu_pinned")
    assert chat("alpha").content == sentence("alpha")


def test_many_clients_of_models_that_take_turns_are_all_answered_by_the_right_one() -> None:
    def client(number: int) -> list[tuple[str, str]]:
        names = ("alpha", "beta", "gamma", "beta", "alpha")
        return [(name, chat(name).content) for name in (names[(number + turn) % len(names)] for turn in range(4))]

    with ThreadPoolExecutor(max_workers=24) as pool:
        answers = [answer for client_answers in pool.map(client, range(24)) for answer in client_answers]
    assert len(answers) == 96
    assert [answer for name, answer in answers if answer != sentence(name)] == []
    models = ask("GET", "/api/models").json["models"]
    assert [(model["leases"], model["waiting"]) for model in models] == [(0, 0)] * 3
