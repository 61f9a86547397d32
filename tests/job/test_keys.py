"""API keys, from the credential store to the engine, which never sees one."""

import base64
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swapper.router.access import MAKE_KEYS
from swapper.router.api.endpoints import ENDPOINTS
from swapper.router.routes import ROUTES
from tests.job.house import Answer, journal, question, run, sentence, show, until
from tests.job.keys import (
    ALICE,
    DROPIN,
    ENCRYPTED,
    KEYS,
    PLAIN,
    ROOT,
    bearer,
    drop_in,
    encrypt,
    knock,
    memory,
    no_keys,
    restart,
    result,
)


@pytest.fixture(autouse=True)
def _without(_clean: None) -> Iterator[None]:
    """Whatever keys a test makes, the next one has none."""
    no_keys()
    yield
    no_keys()


@pytest.fixture
def keyed() -> None:
    """Alice may use models, root may do everything."""
    PLAIN.write_text(KEYS)


def chat(key: str | None, model: str = "alpha", content: str = "Hello!") -> Answer:
    headers = bearer(key) if key is not None else {}
    return knock("POST", "/v1/chat/completions", headers, question(model, content))


# -- how keys come


def test_what_a_refusal_says_to_type_makes_a_key() -> None:
    run("sh", "-c", MAKE_KEYS[0])
    run("sh", "-c", MAKE_KEYS[1])
    name, scope, key = PLAIN.read_text().split()
    assert (name, scope, len(key), PLAIN.stat().st_mode & 0o777) == ("me", "admin", 32, 0o600)
    assert result(chat(None)) == "key_missing"
    assert chat(key).content == sentence("alpha")
    assert knock("GET", "/api/models", bearer(key)).status == 200


def loaded(directive: str, path: Path) -> None:
    drop_in(DROPIN, f"[Service]\n{directive}=swapper.keys:{path}\n")


def plain(_: Path) -> None:
    PLAIN.write_text(KEYS)


def encrypted(_: Path) -> None:
    encrypt(KEYS)


def plain_elsewhere(path: Path) -> None:
    path.write_text(KEYS)
    loaded("LoadCredential", path)


def encrypted_elsewhere(path: Path) -> None:
    encrypt(KEYS, path)
    loaded("LoadCredentialEncrypted", path)


@pytest.mark.parametrize("how", [plain, encrypted, plain_elsewhere, encrypted_elsewhere])
def test_keys_come_as_credentials(how: Callable[[Path], None], tmp_path: Path) -> None:
    how(tmp_path / "keys")
    assert chat(ALICE).content == sentence("alpha")
    assert result(chat(None)) == "key_missing"
    assert result(chat(ALICE[:-1])) == "key_wrong"
    assert result(knock("GET", "/metrics", bearer(ALICE))) == "key_scope"
    assert result(knock("GET", "/metrics", bearer(ROOT))) == 200
    assert "API keys of: alice (inference), root (admin)" in journal("swapper")
    where = show("swapper.service", "MainPID")
    assert run("setpriv", "--reuid=nobody", "--clear-groups", "cat", "/run/credentials/swapper.service/swapper.keys",
               check=False).endswith("Permission denied\n"), where  # fmt: skip


def test_further_files_stand_beside_the_first() -> None:
    PLAIN.write_text(f"alice inference {ALICE}\n")
    PLAIN.with_suffix(".keys.team").write_text(f"root admin {ROOT}\n")
    assert [result(knock("GET", "/v1/models", bearer(key))) for key in (ALICE, ROOT, "x")] == [200, 200, "key_wrong"]


WRONG = {
    "a line that is none": (PLAIN, f"{KEYS}bob {ROOT}x\n", "swapper.keys:4: a line is NAME SCOPE KEY"),
    "words in the wrong order": (PLAIN, f"alice {ALICE} inference\nroot admin {ROOT}\n", "swapper.keys:1: the second"),
    "nothing": (PLAIN, "", "API keys of: nobody"),
    "what cannot be decrypted": (ENCRYPTED, "bm90aGluZw==\n", "swapper.keys: systemd could not decrypt these keys"),
}


@pytest.mark.parametrize("case", WRONG)
def test_keys_that_are_wrong_open_nothing(case: str) -> None:
    path, text, told = WRONG[case]
    path.write_text(text)
    assert [result(chat(key)) for key in (None, ALICE, ROOT)] == ["key_missing", "key_wrong", "key_wrong"]
    assert knock("GET", "/health").status == 200
    lines = journal("swapper", "--invocation=0") + show("swapper.service", "StatusText")
    assert told in lines
    assert ALICE not in lines
    assert ROOT not in lines
    assert "API keys" in show("swapper.service", "StatusText")


@pytest.mark.usefixtures("keyed")
def test_a_restart_brings_new_keys_and_refuses_nobody() -> None:
    assert chat(ALICE).content == sentence("alpha")
    engine = show("llama@alpha", "MainPID")
    new = "carol-0a1b2c3d4e5f6071"
    seen: dict[str, list[str | int]] = {ALICE: [], new: []}
    over = threading.Event()

    def ask(key: str) -> None:
        while not over.is_set():
            try:
                seen[key].append(result(knock("GET", "/v1/models", bearer(key))))
            except OSError as broken:
                seen[key].append(repr(broken))

    threads = [threading.Thread(target=ask, args=(key,)) for key in seen for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: all(seen.values()), "both have been at the router before")
        PLAIN.write_text(f"carol inference {new}\nroot admin {ROOT}\n")
        restart()
        assert [result(chat(key)) for key in (ALICE, new)] == ["key_wrong", 200]
        until(lambda: (seen[ALICE][-1], seen[new][-1]) == ("key_wrong", 200), "and both at the one after it")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert set(seen[ALICE]) == {200, "key_wrong"}, seen[ALICE]
    assert set(seen[new]) == {200, "key_wrong"}, seen[new]
    assert show("llama@alpha", "MainPID") == engine


@pytest.mark.usefixtures("keyed")
def test_a_reload_brings_them_only_where_systemd_is_told_to_refresh() -> None:
    assert result(chat(ALICE)) == 200
    PLAIN.write_text("carol inference carol-0a1b2c3d4e5f6071\n")
    run("systemctl", "reload", "swapper")
    assert result(chat(ALICE)) == 200
    drop_in(DROPIN, "[Service]\nRefreshOnReload=credentials\n")
    router = show("swapper", "MainPID")
    run("systemctl", "reload", "swapper")
    assert result(chat(ALICE)) == "key_wrong"
    assert result(chat("carol-0a1b2c3d4e5f6071")) == 200
    assert show("swapper", "MainPID") == router


# -- what a key opens


OPEN = {"GET /", "GET /health", "GET /openapi.json", "GET /ui", "GET /ui/", "GET /ui/main.js"}
ADMIN = {"GET /metrics", "GET /slots", "GET /api/models/alpha/log", "GET /api/models/alpha/unit",
         "GET /api/models/alpha/settings", "DELETE /api/requests/none", "POST /api/models/alpha/load",
         "POST /api/models/alpha/unload", "POST /api/models/alpha/park"}  # fmt: skip
INFERENCE = {"GET /api/key", "GET /api/models", "GET /api/models/alpha", "GET /api/events", "GET /api/requests",
             "GET /api/timeline", "GET /api/usage", "GET /running", "GET /props", "GET /v1/models",
             "GET /v1/models/alpha", "GET /v1/realtime", "GET /upstream/alpha/health", "POST /upstream/alpha/health",
             *(f"POST {path}" for path in (
                 "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/audio/transcriptions",
                 "/v1/audio/translations", "/v1/audio/speech", "/v1/images/generations", "/v1/images/edits",
                 "/v1/responses", "/v1/messages", "/v1/messages/count_tokens", "/v1/rerank", "/v1/score", "/infill",
                 "/completion", "/tokenize", "/detokenize", "/apply-template"))}  # fmt: skip


def test_the_tables_here_have_every_route() -> None:
    names = {"model": "alpha", "file": "main.js", "id": "none"}
    own = {f"{endpoint.method} {endpoint.path.format(**names)}" for endpoint in ENDPOINTS}
    paths = {route.path + "alpha/health" if route.path.endswith("/") else route.path for route in ROUTES}
    forwarded = {line for line in OPEN | ADMIN | INFERENCE if line.split()[1] in paths}
    assert {line.split()[1] for line in forwarded} == paths
    assert own | forwarded == OPEN | ADMIN | INFERENCE


@pytest.mark.usefixtures("keyed")
def test_each_route_asks_for_the_key_that_it_needs() -> None:
    for line in sorted(OPEN | ADMIN | INFERENCE):
        method, path = line.split()
        body: dict[str, str] | None = {} if method == "POST" else None
        results = [result(knock(method, path, bearer(key) if key else {}, body)) for key in ("", "x", ALICE, ROOT)]
        fine = [word not in {"key_missing", "key_wrong", "key_scope", 401, 403} for word in results]
        if line in OPEN:
            assert fine == [True, True, True, True], (line, results)
            continue
        assert results[:2] == ["key_missing", "key_wrong"], (line, results)
        if line in ADMIN:
            assert results[2] == "key_scope", (line, results)
        assert fine == [False, False, line in INFERENCE, True], (line, results)


OTHER_SPELLINGS = [
    "/%61pi/models/alpha/unload", "//api/models/alpha/unload", "/v1/../api/models/alpha/unload",
    "/v1/%2e%2e/api/models/alpha/unload", "/v1/models/../../api/models/alpha/unload", "/./api/models/alpha/unload",
    "/health/../api/models/alpha/unload", "/API/models/alpha/unload", "/api/models/alpha/unload/",
    "/api/models/alpha/unload?a", "/api/models/alpha/unload#/health", "/api/models/alpha%2funload",
    "/v1/models/alpha/unload", "/upstream/alpha/../../api/models/alpha/unload", "/health;/api/models/alpha/unload",
]  # fmt: skip


@pytest.mark.usefixtures("keyed")
def test_no_other_spelling_of_an_operation_needs_less() -> None:
    assert chat(ALICE).status == 200
    engine = show("llama@alpha", "MainPID")
    for path in OTHER_SPELLINGS:
        for headers in ({}, bearer(ALICE)):
            answer = knock("POST", path, headers, {})
            assert answer.status >= 400, (path, answer.body)
    assert show("llama@alpha", "MainPID") == engine
    for path in ("/upstream/alpha/slots", "/upstream/alpha/%73lots", "/upstream/alpha/slots/", "/upstream/alpha//slots",
                 "/upstream/alpha/v1/../slots", "/upstream/alpha/slots?x", "/upstream/first/slots",
                 "/upstream/alpha/metrics", "/upstream/alpha/%6detrics"):  # fmt: skip
        answer = knock("GET", path, bearer(ALICE))
        assert answer.status >= 400, (path, answer.body)
        assert b"id_task" not in answer.body


@pytest.mark.usefixtures("keyed")
def test_a_second_request_in_the_same_breath_needs_a_key_too() -> None:
    assert chat(ALICE).status == 200
    engine = show("llama@alpha", "MainPID")
    first = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    second = b"POST /api/models/alpha/unload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    chatting = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 17\r\n"
    chatting += f"Authorization: Bearer {ALICE}\r\n\r\n".encode() + b'{"model":"alpha"}'
    for before in (first, chatting, first.replace(b"\r\n\r\n", f"\r\nx-api-key: {ROOT}\r\n\r\n".encode())):
        with socket.create_connection(("127.0.0.1", 8000), timeout=30) as connection:
            connection.sendall(before + second)
            answers = b""
            connection.shutdown(socket.SHUT_WR) if before is first else None
            while block := connection.recv(1 << 16):
                answers += block
        statuses = re.findall(rb"HTTP/1\.1 (\d+)", answers)
        assert statuses[1:] in ([], [b"401"]), answers
    assert show("llama@alpha", "MainPID") == engine


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.usefixtures("keyed")
@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"Authorization": f"Bearer {ALICE}"}, 200),
        ({"authorization": f"bearer   {ALICE}"}, 200),
        ({"x-api-key": ALICE, "anthropic-version": "2023-06-01"}, 200),
        ({"X-API-KEY": ALICE}, 200),
        ({"Authorization": basic(f"anybody:{ALICE}")}, 200),
        ({"Authorization": basic(f":{ALICE}")}, 200),
        ({"Authorization": f"Bearer {ALICE}", "x-api-key": "of-somebody-else"}, 200),
        ({"Authorization": "Bearer of-somebody-else", "x-api-key": ALICE}, "key_wrong"),
        ({"Authorization": ALICE}, "key_wrong"),
        ({"Authorization": f"Bearer {ALICE} {ALICE}"}, "key_wrong"),
        ({"Authorization": basic(ALICE)}, "key_wrong"),
        ({"Authorization": "Basic ??"}, "key_wrong"),
        ({"Proxy-Authorization": f"Bearer {ALICE}"}, "key_missing"),
        ({"Cookie": f"key={ALICE}"}, "key_missing"),
    ],
)
def test_ways_to_show_a_key(headers: dict[str, str], found: str | int) -> None:
    assert result(knock("POST", "/v1/chat/completions", headers, question("alpha"))) == found
    assert result(knock("GET", "/v1/models", headers)) == found


@pytest.mark.usefixtures("keyed")
def test_whoever_has_no_key_is_told_how_to_show_one() -> None:
    answer = knock("GET", "/v1/models")
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="swapper"'
    assert answer.error["type"] == "invalid_request_error"
    assert "Bearer" in answer.error["hint"]
    assert knock("GET", "/metrics").headers["WWW-Authenticate"].startswith("Basic ")
    assert knock("GET", "/metrics", {"Authorization": basic(f"me:{ROOT}")}).status == 200
    assert "WWW-Authenticate" not in knock("GET", "/ui").headers  # the page asks by itself


# -- where keys are not


def there(file: Path) -> bytes:
    """What is in a file of a process, which may have ended by now."""
    try:
        return file.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@pytest.mark.usefixtures("keyed")
def test_keys_are_in_no_log_no_command_line_no_environment_and_no_engine() -> None:
    secrets = {
        "bearer": ALICE, "x-api-key": ROOT, "wrong": "wrong-77aa88bb99cc", "basic": basic(f"me:{ALICE}")[6:],
        "proxy": "proxy-77aa88bb99cc", "cookie": "cookie-77aa88bb99cc",
    }  # fmt: skip
    marker = "a-word-that-engines-do-receive"
    for headers in (
        bearer(ALICE), {"x-api-key": ROOT}, bearer(secrets["wrong"]), {"Authorization": basic(f"me:{ALICE}")},
        {"Proxy-Authorization": secrets["proxy"], **bearer(ALICE)}, {"Cookie": secrets["cookie"], **bearer(ALICE)},
    ):  # fmt: skip
        knock("POST", "/v1/chat/completions", headers, question("alpha", marker))
        knock("GET", "/upstream/alpha/health", headers)
        knock("GET", "/api/models", headers)
        knock("GET", f"/nothing?{marker}", headers)
    run("journalctl", "--sync")
    places = {
        # Bytes: what is in a journal need not be text.
        "journal": subprocess.check_output(["journalctl", "--boot", "--output=export", "--all"]),
        **{
            str(file): there(file)
            for process in Path("/proc").iterdir()
            if process.name.isdecimal()
            for file in (process / "cmdline", process / "environ")
        },
        "units": run("systemctl", "show", "swapper.service", "llama@alpha.service").encode(),
        "engine": b"".join(memory("llama@alpha.service")),
    }
    assert marker.encode() in places["engine"], "what an engine was sent could not be found in it"
    for place, content in places.items():
        for what, secret in secrets.items():
            assert secret.encode() not in content, f"{what} in {place}"
