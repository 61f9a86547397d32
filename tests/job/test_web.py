"""Pages from elsewhere, in a browser on this machine: they can neither operate nor read anything."""

import socket
from collections.abc import Iterator, Mapping

import pytest

from tests.job.house import BASIC, Answer, configure, question, run, show
from tests.job.house import chat as ask_model
from tests.job.keys import ALICE, KEYS, PLAIN, ROOT, bearer, knock, no_keys, result

EVIL = "http://evil.example:8000"
CHAT = "https://chat.example.com"
REQUESTS = [
    ("GET", "/"), ("GET", "/health"), ("GET", "/ui"), ("GET", "/v1/models"), ("GET", "/api/models"),
    ("GET", "/api/events"), ("GET", "/api/models/alpha/log"), ("GET", "/metrics"), ("GET", "/props?model=alpha"),
    ("GET", "/upstream/alpha/health"), ("GET", "/nothing"), ("HEAD", "/v1/models"), ("OPTIONS", "/v1/chat/completions"),
    ("OPTIONS", "/api/models"), ("POST", "/v1/chat/completions"), ("POST", "/tokenize"),
    ("POST", "/api/models/alpha/unload"), ("POST", "/api/models/alpha/load"), ("POST", "/nothing"), ("DELETE", "/x"),
    ("GET", "/ui/main.js"), ("GET", "/api/requests"), ("GET", "/api/usage"), ("DELETE", "/api/requests/x"),
    ("GET", "/api/models/alpha/unit"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _without(_clean: None) -> Iterator[None]:
    no_keys()
    yield
    no_keys()


def allows(answer: Answer) -> list[str]:
    """What an answer says to browsers of other pages."""
    return [name for name in answer.headers if name.lower().startswith("access-control-")]


def try_all(headers: Mapping[str, str], refusal: str, **more: str) -> None:
    for method, path in REQUESTS:
        answer = knock(method, path, headers, question("alpha") if method == "POST" else None, **more)
        assert answer.status == 403, (method, path, answer.status)
        assert method == "HEAD" or result(answer) == refusal, (method, path, answer.body)
        assert allows(answer) == [], (method, path)


def test_requests_of_other_pages_are_refused() -> None:
    assert ask_model("alpha").status == 200
    engine = show("llama@alpha", "MainPID")
    for origin in (EVIL, "null", "http://localhost:3000", "http://127.0.0.1", "file://"):
        try_all({"Origin": origin}, "origin_refused")
    assert show("llama@alpha", "MainPID") == engine


def test_so_they_are_where_the_browser_has_a_key() -> None:
    PLAIN.write_text(KEYS)
    for key in (ALICE, ROOT):
        try_all({"Origin": EVIL, **bearer(key)}, "origin_refused")


def test_a_name_that_changed_its_address_is_not_the_ports() -> None:
    for headers in ({}, {"Origin": EVIL}, {"Origin": "http://evil.example"}):
        try_all(headers, "host_refused", host="evil.example:8000")


def test_with_keys_such_a_name_still_gets_nothing() -> None:
    PLAIN.write_text(KEYS)
    for method, path in REQUESTS:
        if path.startswith("/ui"):  # which is the same everywhere, and has nothing to tell
            continue
        answer = knock(method, path, {}, question("alpha") if method == "POST" else None, host="evil.example:8000")
        assert answer.status in {401, 403}, (method, path, answer.status)
    assert knock("GET", "/v1/models", bearer(ALICE), host="gpu.example.com").status == 200


def test_what_a_proxy_passes_on_is_not_this_machines_own() -> None:
    for headers in ({"X-Forwarded-For": "127.0.0.1"}, {"Forwarded": "for=192.0.2.1"}, {"x-real-ip": "192.0.2.1"}):
        try_all(headers, "keys_required")
    PLAIN.write_text(KEYS)
    run("systemctl", "restart", "swapper")
    assert knock("GET", "/v1/models", {"X-Forwarded-For": "192.0.2.1", **bearer(ALICE)}).status == 200


def test_pages_of_the_port_itself_and_programs_are_served() -> None:
    for host in ("localhost:8000", "127.0.0.1:8000", "[::1]:8000"):
        for headers in ({}, {"Origin": f"http://{host}"}):
            assert knock("GET", "/v1/models", headers, host=host).status == 200
            answer = knock("POST", "/v1/chat/completions", headers, question("alpha"), host=host)
            assert (answer.status, allows(answer)) == (200, [])
    with socket.create_connection(("127.0.0.1", 8000), timeout=30) as old:
        old.sendall(b"GET /v1/models HTTP/1.0\r\n\r\n")
        assert old.recv(4096).startswith((b"HTTP/1.0 200 ", b"HTTP/1.1 200 "))


def test_names_and_origins_that_are_configured_are_let_in() -> None:
    configure(BASIC + f"router: {{hosts: [gpu.lan], origins: ['{CHAT}']}}\n")
    assert knock("GET", "/v1/models", host="GPU.lan:8000").status == 200
    for method, path, body in (
        ("GET", "/v1/models", None),
        ("GET", "/api/events", None),
        ("POST", "/v1/chat/completions", question("alpha")),
        ("POST", "/v1/chat/completions", question("alpha", stream=True)),
        ("POST", "/v1/chat/completions", question("nobody")),
        ("POST", "/v1/chat/completions", {}),
        ("GET", "/nothing", None),
    ):
        answer = knock(method, path, {"Origin": CHAT}, body)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        assert answer.status != 403
        assert headers["access-control-allow-origin"] == CHAT, (method, path, body)
        assert "Origin" in headers["vary"]
        assert "Retry-After" in headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in headers
        assert result(knock(method, path, {"Origin": EVIL}, body)) == "origin_refused"
        assert allows(knock(method, path, {}, body)) == []


def test_a_browser_may_ask_beforehand() -> None:
    configure(BASIC + f"router: {{origins: ['{CHAT}']}}\n")
    PLAIN.write_text(KEYS)
    run("systemctl", "restart", "swapper")
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    for path in ("/v1/chat/completions", "/api/models", "/nothing"):
        answer = knock("OPTIONS", path, {"Origin": CHAT, **asked}, host="gpu.example.com")
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["Access-Control-Allow-Origin"] == CHAT
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
        assert result(knock("OPTIONS", path, {"Origin": EVIL, **asked})) == "origin_refused"
    refused = knock("POST", "/v1/chat/completions", {"Origin": CHAT}, question("alpha"))
    assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (401, CHAT)
    answer = knock("POST", "/v1/chat/completions", {"Origin": CHAT, **bearer(ALICE)}, question("alpha"))
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, CHAT)


@pytest.mark.parametrize("key", ["", ALICE])
def test_no_page_from_elsewhere_gets_a_websocket(key: str) -> None:
    if key:
        PLAIN.write_text(KEYS)
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", **(bearer(key) if key else {})}  # fmt: skip
    for path in ("/v1/realtime?model=alpha", "/upstream/alpha/v1/realtime", "/api/events", "/ui"):
        assert result(knock("GET", path, {"Origin": EVIL, **upgrade})) == "origin_refused"
        if not key:
            assert result(knock("GET", path, upgrade, host="evil.example")) == "host_refused"


def test_nothing_that_an_image_or_a_link_can_ask_for_loads_or_stops_a_model() -> None:
    for path in ("/api/models/alpha/load", "/api/models/alpha/unload", "/v1/chat/completions", "/props?model=alpha",
                 "/upstream/alpha/health", "/upstream/alpha/", "/slots?model=alpha", "/v1/models/alpha",
                 "/v1/realtime?model=alpha", "/completion?model=alpha&prompt=x"):  # fmt: skip
        knock("GET", path)
        knock("HEAD", path)
    assert show("llama@alpha", "ActiveState") == "inactive"
    assert ask_model("beta").status == 200
    engine = show("llama@beta", "MainPID")
    for path in ("/api/models/beta/unload", "/api/models/alpha/load", "/upstream/alpha/health"):
        knock("GET", path)
    assert show("llama@beta", "MainPID") == engine


def test_the_page_for_people_cannot_be_framed() -> None:
    policy = knock("GET", "/ui").headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
