"""What the router answers by itself: information for clients, operations, and odd questions."""

import contextlib
import http.client
import json
import socket
from urllib.parse import quote

import pytest

from tests.job import house
from tests.job.house import PATIENCE, ask, chat, connect, state, stream, watching

NO_CONTEXT = """
models:
  alpha: {engine: llama, model: alpha.gguf, aliases: [first], env: {LLAMA_ARG_CTX_SIZE: "2048"}}
  beta: {engine: llama, model: beta.gguf, context: 1024, capabilities: [chat, vision]}
  Qwen/VL: {engine: llama, model: alpha.gguf, context: 512}
"""
ANTHROPIC = {"anthropic-version": "2023-06-01"}


def raw(request: bytes) -> bytes:
    """All that comes back until the connection is closed."""
    with socket.create_connection(("127.0.0.1", 8000), timeout=PATIENCE) as client:
        client.sendall(request)
        answer = b""
        while block := client.recv(65536):
            answer += block
        return answer


def card(model: str) -> dict[str, object]:
    """A model, as clients see it."""
    got: dict[str, object] = ask("GET", f"/v1/models/{model}").json
    return got


def test_a_model_has_the_words_that_clients_read() -> None:
    house.configure(NO_CONTEXT)
    beta = card("beta")
    assert (beta["id"], beta["object"], beta["name"], beta["state"]) == ("beta", "model", "beta", "stopped")
    assert (beta["context_length"], beta["max_model_len"], beta["meta"]) == (1024, 1024, {"n_ctx": 1024})
    assert beta["status"] == {"value": "unloaded", "failed": False}
    assert beta["architecture"] == {"input_modalities": ["text", "image"], "output_modalities": ["text"]}
    chat("beta")
    assert card("beta")["status"] == {"value": "loaded", "failed": False}


def test_an_engine_that_runs_is_asked_for_the_context_that_nobody_configured() -> None:
    house.configure(NO_CONTEXT)
    assert card("first")["context_length"] is None
    assert state("alpha") == "stopped"
    chat("alpha")
    known = card("alpha")
    assert (known["context_length"], known["meta"]) == (2048, {"n_ctx": 2048})
    chat("beta")
    assert (state("alpha"), card("alpha")["context_length"]) == ("stopped", 2048)


def test_a_name_with_a_slash() -> None:
    house.configure(NO_CONTEXT)
    for name in ("Qwen/VL", "Qwen%2FVL"):
        assert card(name)["id"] == "Qwen/VL"
        loaded = ask("POST", f"/api/models/{name}/load")
        assert (loaded.status, loaded.json["id"], loaded.json["state"]) == (200, "Qwen/VL", "ready")


def test_models_as_anthropics_clients_list_them() -> None:
    everything = ask("GET", "/v1/models", headers=ANTHROPIC).json
    assert [model["id"] for model in everything["data"]] == ["alpha", "beta", "gamma"]
    assert (everything["has_more"], everything["first_id"], everything["last_id"]) == (False, "alpha", "gamma")
    one = everything["data"][0]
    assert (one["type"], one["display_name"], one["max_input_tokens"]) == ("model", "alpha", 65536)
    first = ask("GET", "/v1/models?limit=2", headers=ANTHROPIC).json
    assert ([model["id"] for model in first["data"]], first["has_more"]) == (["alpha", "beta"], True)
    rest = ask("GET", "/v1/models?limit=2&after_id=beta", headers=ANTHROPIC).json
    assert ([model["id"] for model in rest["data"]], rest["has_more"]) == (["gamma"], False)
    before = ask("GET", "/v1/models?limit=1&before_id=gamma", headers=ANTHROPIC).json
    assert ([model["id"] for model in before["data"]], before["has_more"]) == (["beta"], True)


def test_to_look_loads_nothing() -> None:
    for path in ("/v1/models", "/v1/models/alpha", "/api/models", "/api/models/alpha", "/running", "/ui", "/metrics",
                 "/openapi.json", "/api/models/alpha/log"):  # fmt: skip
        assert ask("GET", path).status == 200, path
    assert ask("GET", "/running").json == {"running": []}


PATHS = [
    *("/", "/ui", "/health", "/metrics", "/running", "/openapi.json", "/v1/models", "/v1/models/alpha", "/api/models"),
    *("/api/models/alpha", "/api/models/alpha/log", "/api/models/alpha/log?follow=1", "/api/events"),
    *("/ui/main.js", "/api/key", "/api/requests", "/api/timeline", "/api/usage"),
    *("/api/models/alpha/unit", "/api/models/alpha/settings"),
]


def test_whoever_may_get_may_ask_for_the_head() -> None:
    for path in PATHS:
        answer = raw(b"HEAD %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode())
        assert answer.startswith(b"HTTP/1.1 200 "), (path, answer)
        assert answer.endswith(b"\r\n\r\n"), (path, answer)


ODD = [
    *(b"%", b"%zz", b"%ff", b"%00", b"%0a", b"%2e%2e", b"%F0%9F", b"a" * 9000, b"%41" * 9000, b"..", b"/", b"//"),
    *(b"\\", b"alpha/log/", b"alpha/load/load", b"alpha;x", b"'\"<script>", b"{model}", b"~", b"@", b"*"),
]


AROUND = [b"GET /v1/models/%b", b"GET /api/models/%b/log?lines=1", b"POST /api/models/%b/load"]
UNKNOWN = {"model_not_found", "not_found", "method_not_allowed", "invalid_request"}


@pytest.mark.parametrize("around", AROUND)
def test_an_odd_name_is_no_defect(around: bytes) -> None:
    for name in ODD:
        answer = raw(around % name + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert 400 <= int(head.split(b" ")[1]) < 500, (name, head)
        assert b"application/json" in head, name
        assert json.loads(body)["error"]["code"] in UNKNOWN, name


ODD_NUMBERS = ["-1", "x", "", "1e3", "0x10", "10001", "9" * 5000, "%D9%A1", "1_0", "+1", " 1", "%ff"]


def test_an_odd_number_of_lines_is_refused() -> None:
    for lines in ODD_NUMBERS:
        got = ask("GET", f"/api/models/alpha/log?lines={quote(lines, safe='%')}")
        assert (got.status, got.error["code"], got.error["param"]) == (400, "invalid_request", "lines"), lines


def test_a_path_that_takes_another_method_says_which() -> None:
    for method, path, allowed in (
        ("GET", "/api/models/alpha/load", "POST"),
        ("POST", "/v1/models/alpha", "GET, HEAD"),
        ("DELETE", "/v1/models", "GET, HEAD"),
        ("PUT", "/api/models/alpha/log", "GET, HEAD"),
    ):
        got = ask(method, path)
        assert (got.status, got.error["code"], got.headers["Allow"]) == (405, "method_not_allowed", allowed)


def test_a_log_is_bounded() -> None:
    chat("alpha")
    some = ask("GET", "/api/models/alpha/log?lines=3")
    assert len(some.body.splitlines()) == 3
    assert ask("GET", "/api/models/alpha/log?lines=0").body == b""
    assert ask("GET", "/api/models/alpha/log?lines=10000").status == 200


def test_load_and_unload() -> None:
    loaded = ask("POST", "/api/models/first/load").json
    assert (loaded["id"], loaded["state"], loaded["reason"]) == ("alpha", "ready", "ready")
    assert ask("GET", "/running").json["running"] == [
        {"model": "alpha", "state": "ready", "unit": "llama@alpha.service"}
    ]
    for _ in range(2):  # to unload what is not loaded is done at once
        unloaded = ask("POST", "/api/models/alpha/unload")
        assert (unloaded.status, unloaded.json["state"]) == (200, "stopped")


def test_a_model_that_cannot_be_loaded_says_why() -> None:
    house.configure("models:\n  nothing: {engine: llama, model: nothing.gguf}\n")
    got = ask("POST", "/api/models/nothing/load")
    assert (got.status, got.error["code"]) == (503, "model_incomplete")
    assert ask("GET", "/v1/models/nothing").json["state"] == "incomplete"


def test_unload_waits_for_requests_and_for_a_drain_that_is_under_way() -> None:
    with contextlib.closing(connect()) as first, contextlib.closing(connect()) as second:
        with stream("alpha"), watching("alpha", "draining") as drained:
            first.request("POST", "/api/models/alpha/unload")
            drained()
            second.request("POST", "/api/models/alpha/unload")
            assert state("alpha") == "draining"
        # The client of the stream has left.
        assert [_answer(first), _answer(second)] == [(200, "stopped"), (200, "stopped")]


def _answer(connection: http.client.HTTPConnection) -> tuple[int, str]:
    with connection.getresponse() as response:
        return response.status, json.loads(response.read())["state"]


def test_a_model_is_loaded_though_it_is_busy() -> None:
    house.configure("models:\n  alpha: {engine: llama, model: alpha.gguf, context: 65536, concurrency: 1, queue: 0}\n")
    with stream("alpha"):
        assert ask("POST", "/api/models/alpha/load").status == 200


def test_no_page_may_frame_the_page() -> None:
    got = ask("GET", "/ui")
    assert "frame-ancestors 'none'" in got.headers["Content-Security-Policy"]
    assert got.headers["X-Content-Type-Options"] == "nosniff"
