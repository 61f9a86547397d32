"""API keys on Debian 13, whose systemd is the oldest that we support: as credentials, plain and encrypted."""

import socket
from collections.abc import Iterator

import pytest

from swapper.router.access import MAKE_KEYS
from tests.job.house import journal, reset, run, show, until
from tests.job.keys import ALICE, ENCRYPTED, KEYS, PLAIN, ROOT, bearer, encrypt, knock, no_keys, result


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    no_keys()
    reset()
    yield
    no_keys()
    reset()


def results() -> list[str | int]:
    return [result(knock("GET", "/metrics", headers)) for headers in ({}, bearer(ALICE), bearer(ROOT))]


def test_what_a_refusal_says_to_type_makes_a_key() -> None:
    for command in MAKE_KEYS:
        run("sh", "-c", command)
    assert result(knock("GET", "/api/models", bearer(PLAIN.read_text().split()[2]))) == 200
    assert results() == ["key_missing", "key_wrong", "key_wrong"]


def test_plain_keys() -> None:
    PLAIN.write_text(KEYS)
    assert results() == ["key_missing", "key_scope", 200]


def test_encrypted_keys() -> None:
    encrypt(KEYS)
    assert results() == ["key_missing", "key_scope", 200]


def test_keys_that_cannot_be_decrypted_leave_the_port_closed() -> None:
    """This systemd starts no unit whose credential it cannot decrypt; later ones leave such a credential out."""
    ENCRYPTED.write_text("bm90aGluZw==\n")
    with socket.create_connection(("127.0.0.1", 8000)):
        until(lambda: show("swapper.service", "ExecMainStatus") == "243", "systemd does not start the router")
    assert "Failed to set up credentials" in journal("swapper")
    ENCRYPTED.unlink()
    assert result(knock("GET", "/api/models")) == 200, "once they are gone, whoever waits is served"
