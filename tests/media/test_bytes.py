"""The one case in which a body is rewritten: URLs become data URLs, and every other byte stays as it came."""

import contextlib
import json
from collections.abc import Callable, Iterator

import pytest

from tests.job import house
from tests.job.house import ask, configure
from tests.lab import media
from tests.media.web import PUBLIC, Web, file, status
from tests.vllm.rig import MISSION, SEEN, VL, engine, standin

RED, BLUE, VOICE = media.png(), media.png(9, 9, (0, 0, 255)), media.ogg()


@pytest.fixture(scope="module", autouse=True)
def _standin() -> Iterator[None]:
    with standin():
        house.reset()
        configure(MISSION)
        yield
        house.reset()


@pytest.fixture
def urls(web: Web) -> tuple[str, str, str]:
    """A red picture, a blue one behind a redirect, and a voice."""
    web.pages |= {
        "/red.png": file("image/png", RED),
        "/moved": status(302, Location="/blue"),
        "/blue": file("image/png; charset=binary", BLUE),
        "/voice": file("application/octet-stream", VOICE),
    }
    base = f"http://{PUBLIC}:{web.port}"
    return f"{base}/red.png?a=1&b=%20", f"{base}/moved", f"{base}/voice"


def plain(text: str) -> str:
    return f'"{text}"'


def slashed(text: str) -> str:
    return '"' + text.replace("/", "\\/") + '"'


def escaped(text: str) -> str:
    return '"' + "".join(f"\\u{ord(letter):04x}" for letter in text) + '"'


ODD = (
    ' {\t"messages" :[ {"role":"user","content":'
    '[{"type":"text","text":"Gr\\u00fc\u00dfe \\"http:\\/\\/x\\" \U0001f600 %s"},\n'
    '{"type":"image_url","image_url":{"detail":"low" , "url" :%s, "x":1e400}},\r\n'
    '{"image_url":{"url":%s},"type":"image_url"},'
    '{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}},'
    '{"type":"audio_url","audio_url":{"url":%s}}]}],"big":123456789012345678901234567890,"n":-0.0,"a":null,'
    '"metadata":{"url":"http://127.0.0.1/not/a/medium","image_url":"http://127.0.0.1/nor/this"},"model":"vl",'
    '"max_tokens" : 40 } \n'
)


@pytest.mark.parametrize("write", [plain, slashed, escaped])
@pytest.mark.parametrize("padding", [0, 3 << 20], ids=["small", "spooled"])
@pytest.mark.parametrize("chunked", [False, True], ids=["counted", "chunked"])
def test_the_rest_of_the_body_stays_as_it_is(
    urls: tuple[str, str, str], write: Callable[[str], str], padding: int, chunked: bool
) -> None:
    text = "x" * padding
    body = (ODD % (text, *map(write, urls))).encode()
    fetched = (("image/png", RED), ("image/png", BLUE), ("audio/ogg", VOICE))
    expected = (ODD % (text, *(plain(media.data_url(*medium)) for medium in fetched))).encode()
    answer = send(body, chunked=chunked)
    assert answer == f"language English<asr_text>{SEEN}"
    assert engine(VL, "GET", "/standin/body").body == expected


def send(body: bytes, *, chunked: bool) -> str:
    """Send a chat as it is; what was answered."""
    if not chunked:
        return ask("POST", "/v1/chat/completions", body).content
    with contextlib.closing(house.connect()) as connection:
        pieces = (body[place : place + 10_007] for place in range(0, len(body), 10_007))
        headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
        connection.request("POST", "/v1/chat/completions", pieces, headers, encode_chunked=True)
        response = connection.getresponse()
        content: str = json.loads(response.read())["choices"][0]["message"]["content"]
        return content


def test_a_body_with_nothing_to_fetch_is_not_touched() -> None:
    body = (ODD % ("x", '"data:image/png;base64,iVBORw0KGgo="', 'null', '"data:audio/ogg;base64,T2dnUw=="')).encode()
    body = body.replace(b'{"image_url":{"url":null},"type":"image_url"},', b"")
    assert ask("POST", "/v1/chat/completions", body).status == 200
    assert engine(VL, "GET", "/standin/body").body == body


def test_a_large_picture_arrives_whole(web: Web) -> None:
    content = media.png() + bytes(range(256)) * (20 << 12)  # 20 MiB
    web.pages["/large"] = file("image/png", content)
    body = b'{"model":"vl","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"URL"}}]}]}'
    url = f"http://{PUBLIC}:{web.port}/large"
    assert ask("POST", "/v1/chat/completions", body.replace(b"URL", url.encode())).content == SEEN
    expected = body.replace(b"URL", media.data_url("image/png", content).encode())
    assert engine(VL, "GET", "/standin/body").body == expected


def test_the_limit_of_pictures_counts_those_that_were_fetched(urls: tuple[str, str, str]) -> None:
    part = {"type": "image_url", "image_url": {"url": urls[0]}}
    assert house.chat("vision", [part] * 4).content == SEEN
    answer = house.chat("vision", [part] * 5)
    assert (answer.status, answer.error["message"][:19]) == (400, "At most 4 image(s) ")
