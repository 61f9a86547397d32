"""A port that others can reach: without keys they are refused, and told why; with keys they are served."""

import json
from collections.abc import Iterator

import pytest

from tests.job.house import chat, journal, question, run, sentence, show
from tests.job.keys import ALICE, KEYS, PLAIN, ROOT, SOCKET_DROPIN, bearer, drop_in, knock, no_keys, restart, result

ELSEWHERE = "192.0.2.7"  # of the block for documentation (RFC 5737)


@pytest.fixture(autouse=True)
def _address(_clean: None) -> Iterator[None]:
    """This machine has one more address, and keys of nobody."""
    no_keys()
    run("ip", "address", "add", f"{ELSEWHERE}/32", "dev", "lo")
    yield
    run("ip", "address", "del", f"{ELSEWHERE}/32", "dev", "lo")
    no_keys()
    run("systemctl", "restart", "swapper.socket")


LISTEN = {
    "one more address": f"ListenStream={ELSEWHERE}:8000",
    "all of IPv4": "ListenStream=\nListenStream=0.0.0.0:8000",
    "all": "ListenStream=\nListenStream=8000",
}


@pytest.mark.parametrize("how", LISTEN)
def test_without_keys_nobody_from_elsewhere_and_with_keys_everybody_who_has_one(how: str) -> None:
    assert chat("alpha").content == sentence("alpha")
    engine = show("llama@alpha", "MainPID")
    drop_in(SOCKET_DROPIN, f"[Socket]\n{LISTEN[how]}\n")
    run("systemctl", "restart", "swapper.socket")

    for method, path in (("GET", "/"), ("GET", "/v1/models"), ("GET", "/ui"), ("POST", "/v1/chat/completions")):
        for headers in ({}, bearer(ALICE)):
            answer = knock(method, path, headers, question("alpha") if method == "POST" else None, address=ELSEWHERE)
            assert (answer.status, result(answer)) == (403, "keys_required")
            assert "/etc/credstore/swapper.keys" in answer.error["hint"]
            assert "systemctl restart swapper" in answer.error["hint"]
    assert chat("alpha").content == sentence("alpha")
    address = ELSEWHERE if "more" in how else "0.0.0.0" if "IPv4" in how else "[::]"  # noqa: S104
    assert f"listening on {address}:8000 without API keys" in journal("swapper")
    assert f"nobody is let in on {address}:8000" in show("swapper.service", "StatusText")

    PLAIN.write_text(KEYS)
    restart()
    for where in (ELSEWHERE, "127.0.0.1"):
        assert result(knock("GET", "/v1/models", address=where)) == "key_missing"
        assert result(knock("GET", "/metrics", bearer(ALICE), address=where)) == "key_scope"
        assert knock("GET", "/api/models", bearer(ROOT), address=where).status == 200
        answer = knock("POST", "/v1/chat/completions", bearer(ALICE), question("alpha"), address=where)
        assert json.loads(answer.body)["choices"][0]["message"]["content"] == sentence("alpha")
    assert "let in" not in show("swapper.service", "StatusText")
    assert show("llama@alpha", "MainPID") == engine
