"""No request makes the router ask an address that is not on the public internet, in whatever way it is written.

The machine has all of these addresses, and a server listens at each: what was not refused would be answered.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.job import house
from tests.job.house import configure, run, sentence
from tests.lab import media
from tests.media.sight import EYE, look, write_models
from tests.media.web import PUBLIC, PUBLIC_6, Web, file, names, status

CONFIG = "media: {{timeout: 30s, allow: {allow}}}\nmodels:\n  eye: " + EYE.replace("{", "{{").replace("}", "}}") + "\n"
RED = media.png()

type Allow = Callable[..., None]

REACHABLE = [
    "127.0.0.1", "127.0.0.53", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001",
    "0.0.0.0", "0",  # noqa: S104
    "localhost", "LOCALHOST", "10.20.30.40", "172.16.5.5", "192.168.77.7", "100.64.1.1",
    "169.254.169.254", "2852039166", "[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "[::ffff:10.20.30.40]", "[::ffff:169.254.169.254]", "[fd00:77::1]", "inside.test", "mixed.test", "mapped.test",
]  # fmt: skip
"""Hosts at which the server would answer."""

STRANGE = [
    "http://①②⑦.⓪.⓪.①:{port}/red.png", "http://127。0。0。1:{port}/red.png", "http://127.0.0.1.:{port}/red.png",
    "http://[fe80::77%25lo]:{port}/red.png", "http://[fe80::77]:{port}/red.png", "http://[::127.0.0.1]:{port}/red.png",
    "http://[64:ff9b::127.0.0.1]:{port}/red.png", "http://[2002:7f00:1::]:{port}/red.png",
    "http://user:secret@" + PUBLIC + ":{port}/red.png", "http://" + PUBLIC + "@127.0.0.1:{port}/red.png",
    "http://127.0.0.1\\@" + PUBLIC + ":{port}/red.png", " http://127.0.0.1:{port}/red.png",
    "ht\ntp://127.0.0.1:{port}/red.png", "http:127.0.0.1:{port}/red.png", "//127.0.0.1:{port}/red.png",
    "HTTP://LocalHost:{port}/red.png", "https://127.0.0.1:{port}/red.png", "ftp://127.0.0.1:{port}/red.png",
    "file:///etc/passwd", "FILE:/etc/passwd", "/etc/passwd", "gopher://127.0.0.1:{port}/", "unix:/run/swapper/x",
    "http://", "", "http://255.255.255.255:{port}/", "http://224.0.0.1:{port}/", "http://240.0.0.1:{port}/",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _configured() -> Iterator[None]:
    write_models()
    house.reset()
    configure(CONFIG.format(allow="[]"))
    inside = {"inside_test": "10.20.30.40", "mapped_test": "::ffff:10.20.30.40", "mixed_test": f"{PUBLIC} 127.0.0.1"}
    with names(**inside, out_test=f"{PUBLIC} {PUBLIC_6}"):
        yield
    house.reset()


@pytest.fixture
def allow() -> Iterator[Allow]:
    """Name addresses in `media.allow`, until the end of the test."""

    def put(*entries: str) -> None:
        configure(CONFIG.format(allow="[" + ", ".join(f"'{entry}'" for entry in entries) + "]"))

    yield put
    configure(CONFIG.format(allow="[]"))


@pytest.mark.parametrize("host", REACHABLE)
def test_an_address_of_this_machine_or_its_network_is_refused(web: Web, host: str) -> None:
    web.pages["/red.png"] = file("image/png", RED)
    url = f"http://{host}:{web.port}/red.png"
    run("curl", "--silent", "--show-error", "--fail", "--globoff", "--output", "/dev/null", url)
    assert web.asked == ["/red.png"], "the server is not there, so this shows nothing"
    web.forget()
    answer = look(url)
    assert (answer.status, answer.error["code"]) == (400, "media_refused"), answer.body
    assert "media.allow" in answer.error["hint"] or "data URL" in answer.error["hint"]
    assert web.reached_at() == []


@pytest.mark.parametrize("url", STRANGE)
def test_what_is_no_plain_http_url_of_the_public_internet_is_refused(web: Web, url: str) -> None:
    web.pages["/red.png"] = file("image/png", RED)
    answer = look(url.format(port=web.port))
    assert (answer.status, answer.error["code"]) == (400, "media_refused"), answer.body
    assert "secret" not in answer.error["message"]
    assert web.reached_at() == []


@pytest.mark.parametrize("host", [PUBLIC, f"[{PUBLIC_6}]", "out.test", f"[::ffff:{PUBLIC}]"])
def test_a_public_address_needs_no_permission(web: Web, host: str) -> None:
    web.pages["/red.png"] = file("image/png", RED)
    assert look(f"http://{host}:{web.port}/red.png").content == sentence("eye")
    assert set(web.reached_at()) <= {PUBLIC, PUBLIC_6}
    assert web.asked == ["/red.png"]


def test_nothing_of_the_client_goes_along(web: Web) -> None:
    web.pages["/red.png"] = file("image/png", RED, Set_Cookie="a=b")
    body = house.question("eye", [{"type": "image_url", "image_url": {"url": f"http://{PUBLIC}:{web.port}/red.png"}}])
    secret = {"Content-Type": "application/json", "Authorization": "Bearer secret", "Cookie": "session=secret"}
    for _ in range(2):
        assert house.ask("POST", "/v1/chat/completions", body, secret).status == 200
    assert len(web.headers) == 2
    for headers in web.headers:
        assert "secret" not in str(headers)
        assert {"Cookie", "Authorization", "Referer", "X-Forwarded-For"}.isdisjoint(headers)


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:{port}/inner.png", "http://localhost:{port}/inner.png", "http://[::1]:{port}/inner.png",
        "http://169.254.169.254:{port}/inner.png", "http://2130706433:{port}/inner.png", "//127.0.0.1:{port}/inner.png",
        "http://inside.test:{port}/inner.png", "http://user:pass@" + PUBLIC + ":{port}/inner.png",
        "file:///etc/passwd", "ftp://127.0.0.1:{port}/inner.png",
    ],
)  # fmt: skip
@pytest.mark.parametrize("hops", [1, 3])
def test_a_redirect_leads_nowhere_that_is_refused(web: Web, target: str, hops: int) -> None:
    web.pages |= {f"/{hop}": status(302, Location=f"/{hop - 1}") for hop in range(2, hops + 1)}
    web.pages |= {"/1": status(302, Location=target.format(port=web.port)), "/inner.png": file("image/png", RED)}
    answer = look(f"http://{PUBLIC}:{web.port}/{hops}")
    assert (answer.status, answer.error["code"]) == (400, "media_refused"), answer.body
    assert web.asked == [f"/{hop}" for hop in range(hops, 0, -1)]
    assert set(web.reached_at()) == {PUBLIC}


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_to_a_public_address_is_followed(web: Web, code: int) -> None:
    web.pages |= {
        "/moved": status(code, Location=f"http://[{PUBLIC_6}]:{web.port}/red.png"),
        "/red.png": file("image/png", RED),
    }
    assert look(f"http://out.test:{web.port}/moved").content == sentence("eye")
    assert web.asked == ["/moved", "/red.png"]


ENTRIES = [
    ("10.20.30.40", "10.20.30.40", "10.20.30.41"),
    ("10.0.0.0/8", "10.20.30.40", "192.168.77.7"),
    ("inside.test", "inside.test", "10.20.30.40"),
    ("10.20.30.40:{port}", "10.20.30.40", "172.16.5.5"),
    ("inside.test:{port}", "inside.test", "10.20.30.40"),
    ("::1", "[::1]", "127.0.0.1"),
    ("[::1]:{port}", "[::1]", "127.0.0.1"),
    ("fd00::/8", "[fd00:77::1]", "[::1]"),
    ("localhost", "localhost", "127.0.0.1"),
    ("10.20.30.40", "[::ffff:10.20.30.40]", "[::ffff:127.0.0.1]"),
    ("127.0.0.0/8", "127.0.0.53", "2130706433"),
]


@pytest.mark.parametrize(("entry", "inside", "outside"), ENTRIES)
def test_what_is_allowed_is_fetched_and_nothing_else(
    web: Web, allow: Allow, entry: str, inside: str, outside: str
) -> None:
    allow(entry.format(port=web.port))
    web.pages["/red.png"] = file("image/png", RED)
    assert look(f"http://{inside}:{web.port}/red.png").content == sentence("eye")
    assert web.asked == ["/red.png"]
    web.forget()
    answer = look(f"http://{outside}:{web.port}/red.png")
    assert (answer.status, answer.error["code"]) == (400, "media_refused"), answer.body
    assert web.reached_at() == []


def test_another_port_of_an_allowed_host_is_refused(web: Web, allow: Allow) -> None:
    allow("10.20.30.40:1", "localhost:1", "[::1]:1")
    for host in ("10.20.30.40", "localhost", "[::1]"):
        assert look(f"http://{host}:{web.port}/red.png").error["code"] == "media_refused"
    assert web.reached_at() == []


def test_an_allowed_host_may_not_redirect_to_another(web: Web, allow: Allow) -> None:
    allow("10.20.30.40")
    web.pages["/out"] = status(302, Location=f"http://127.0.0.1:{web.port}/inner.png")
    assert look(f"http://10.20.30.40:{web.port}/out").error["code"] == "media_refused"
    assert web.reached_at() == ["10.20.30.40"]


def test_one_refused_picture_among_others_refuses_the_request(web: Web) -> None:
    web.pages["/red.png"] = file("image/png", RED)
    urls = [f"http://{PUBLIC}:{web.port}/red.png", f"http://127.0.0.1:{web.port}/red.png"]
    answer = house.chat("eye", [{"type": "image_url", "image_url": {"url": url}} for url in urls])
    assert (answer.status, answer.error["code"]) == (400, "media_refused")
    assert set(web.reached_at()) <= {PUBLIC}


def test_a_refused_url_starts_no_model() -> None:
    house.reset()
    assert look("http://127.0.0.1:8000/api/models").error["code"] == "media_refused"
    assert house.state("eye") == "stopped"
