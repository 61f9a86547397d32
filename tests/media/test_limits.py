"""What is fetched has a size, a time and a type; and it holds nobody up but who asked for it."""

import contextlib
import gzip
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from tests.job import house
from tests.job.house import Answer, ask, chat, configure, connect, question, sentence, state
from tests.lab import media
from tests.media.sight import EYE, look, picture, write_models
from tests.media.web import PUBLIC, Gate, Page, Web, endless, file, status

CONFIG = f"""
media: {{timeout: 30s, max_bytes: 64KiB}}
models:
  eye: {EYE}
  other: {{engine: llama, model: eye.gguf, context: 2048}}
"""
HASTY = CONFIG.replace("30s", "1500ms")
RED = media.png()
BIG = media.png(4, 4) + bytes(64 << 10)


@pytest.fixture(scope="module", autouse=True)
def _configured() -> Iterator[None]:
    write_models()
    house.reset()
    configure(CONFIG)
    yield
    house.reset()


@pytest.fixture
def _hasty() -> Iterator[None]:
    """Little time for a download: for those alone who are to have too little."""
    configure(HASTY)
    yield
    configure(CONFIG)


def at(web: Web, path: str) -> str:
    """The URL of a page."""
    return f"http://{PUBLIC}:{web.port}{path}"


REFUSED: dict[str, tuple[Page, str]] = {
    "a length beyond the limit": (file("image/png", BIG), "media_too_large"),
    "no length and no end": (endless, "media_too_large"),
    "a page": (file("text/html", b"<html>"), "media_type"),
    "JSON": (file("application/json", b"{}"), "media_type"),
    "no type, and nothing known in it": (file("", b"nothing known"), "media_type"),
    "bytes of which nothing is known": (file("application/octet-stream", b"MZ nothing known"), "media_type"),
    "nothing in it": (file("image/png", b""), "media_type"),
    "compressed": (file("image/png", gzip.compress(RED), Content_Encoding="gzip"), "media_type"),
    "not found": (status(404), "media_unreachable"),
    "forbidden": (status(403), "media_unreachable"),
    "broken": (status(500), "media_unreachable"),
    "a redirect to itself": (status(302, Location="/page"), "media_unreachable"),
    "a redirect to nowhere": (status(302), "media_unreachable"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_had_is_told_and_starts_no_model(web: Web, what: str) -> None:
    page, code = REFUSED[what]
    web.pages["/page"] = page
    answer = look(at(web, "/page?token=secret"))
    assert (answer.status, answer.error["code"]) == (400, code), answer.body
    assert f"http://{PUBLIC}" in answer.error["message"]
    assert "secret" not in answer.error["message"]
    assert answer.error["hint"]
    assert state("eye") == "stopped"


@pytest.mark.parametrize("kind", ["image/png", "IMAGE/PNG; name=red", "application/octet-stream", ""])
def test_a_picture_is_known_by_its_type_or_by_its_first_bytes(web: Web, kind: str) -> None:
    web.pages["/red"] = file(kind, RED)
    try:
        assert look(at(web, "/red")).content == sentence("eye")
    finally:
        ask("POST", "/api/models/eye/unload")


def test_nobody_listens() -> None:
    answer = look(f"http://{PUBLIC}:1/red.png")
    assert (answer.status, answer.error["code"]) == (400, "media_unreachable")


def test_a_name_that_nobody_knows() -> None:
    answer = look("http://nowhere.test/red.png")
    assert (answer.status, answer.error["code"]) == (400, "media_unreachable")


@pytest.mark.usefixtures("_hasty")
def test_a_server_that_does_not_answer_is_given_up_in_time(web: Web) -> None:
    gate = web.pages["/gate"] = Gate()
    began = time.monotonic()
    answer = look(at(web, "/gate"))
    took = time.monotonic() - began
    assert (answer.status, answer.error["code"]) == (400, "media_unreachable"), answer.body
    assert "1.5 s" in answer.error["message"]
    assert 1.5 <= took < 10
    assert gate.left.wait(house.PATIENCE), "the connection to the server is closed"


@pytest.mark.usefixtures("_hasty")
def test_a_server_that_sends_a_byte_now_and_then_is_given_up_in_time(web: Web) -> None:
    done = threading.Event()

    def page(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "image/png")
        request.end_headers()
        with contextlib.suppress(OSError):
            while not done.wait(0.1):
                request.wfile.write(b"\x89")

    web.pages["/drip"] = page
    began = time.monotonic()
    assert look(at(web, "/drip")).error["code"] == "media_unreachable"
    assert 1.5 <= time.monotonic() - began < 10
    done.set()


def test_a_picture_that_is_on_its_way_holds_no_gpu(web: Web) -> None:
    gate = web.pages["/gate"] = Gate()
    assert chat("eye").content == sentence("eye")
    answers: list[Answer] = []
    asking = threading.Thread(target=lambda: answers.append(look(at(web, "/gate"))))
    asking.start()
    assert gate.asked.wait(house.PATIENCE)
    assert chat("other").content == sentence("eye"), "another model takes the GPU meanwhile"
    assert (state("eye"), state("other")) == ("stopped", "ready")
    gate.opened.set()
    asking.join(house.PATIENCE)
    assert answers[0].content == sentence("eye")


def test_a_client_that_leaves_takes_its_download_with_it(web: Web) -> None:
    gate = web.pages["/gate"] = Gate()
    with contextlib.closing(connect()) as connection:
        body = json.dumps(question("eye", [picture(at(web, "/gate"))]))
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        assert gate.asked.wait(house.PATIENCE)
    assert gate.left.wait(house.PATIENCE)


def test_a_picture_that_is_named_twice_is_fetched_once(web: Web) -> None:
    web.pages["/red"] = file("image/png", RED)
    assert chat("eye", [picture(at(web, "/red"))] * 2).content == sentence("eye")
    assert web.asked == ["/red"]
