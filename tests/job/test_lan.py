"""Port 8000 for the network around, as docs/lan.md says: behind nginx and Caddy, with the files of docs/examples.

What stands in the page is typed here as it stands there; the files are those that the package has brought.
"""

import asyncio
import contextlib
import http.client
import json
import re
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

import aiohttp
import pytest

from tests.job import house
from tests.job.house import PATIENCE, Answer, Load, configure, question, rest_of, run, sentence, show, until
from tests.job.keys import PLAIN, ROOT, SOCKET_DROPIN, bearer, drop_in, knock, no_keys, restart, result
from tests.job.mishaps import gate
from tests.lab import media
from tests.test_house import SOURCE
from tests.vllm.realtime import REALTIME, heard, say, transcript
from tests.vllm.rig import ASR, SAID, form, standin

NAME = "gpu.home.arpa"
HERE = {NAME: "192.0.2.9", "the page's own": "192.168.1.7"}
"""Addresses of this machine in the network around (RFC 5737), and the one that the page has for an example."""

AUTHORITY = Path("/etc/ssl/swapper/ca.pem")
EARS = f"{{engine: vllm, model: qwen3-asr, gpu: 2, args: {json.dumps(REALTIME)}, aliases: [asr]}}"
CONFIG = f"{house.BASIC}  {ASR}: {EARS}\n"
PAGE = (SOURCE / "docs" / "lan.md").read_text()
INSIDE = [
    "/", "/health", "/running", "/props?model=alpha", "/slots?model=alpha", "/metrics", "/ui", "/api/models",
    "/api/events", "/openapi.json", "/upstream/alpha/health", "//api/models", "/v1/../api/models",
    "/v1/%2e%2e/api/models", "/v1/..%2fapi/models", "/%61pi/models", "/API/models", "/completion/../metrics",
]  # fmt: skip


def section(title: str) -> str:
    """A part of the page, without the parts below it."""
    (found,) = re.findall(rf"^##+ {re.escape(title)}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def typed(title: str) -> str:
    """What a part of the page says to type."""
    return "\n".join(re.findall(r"^    (.+)$", section(title), re.MULTILINE))


def written(title: str) -> str:
    """What it says to write into a file."""
    (found,) = re.findall(r"^```ini\n(.*?)^```$", section(title), re.MULTILINE | re.DOTALL)
    return str(found)


def carry_out(commands: str, **more: str) -> str:
    return run("env", *(f"{name}={value}" for name, value in more.items()), "bash", "-euxc", commands)


@pytest.fixture(scope="module", autouse=True)
def _network() -> Iterator[None]:
    """This machine has addresses and a name, a certificate for it, and a model that hears."""
    hosts = Path("/etc/hosts")
    before = hosts.read_text()
    hosts.write_text(f"{before}{HERE[NAME]} {NAME}\n")
    for address in HERE.values():
        run("ip", "address", "add", f"{address}/32", "dev", "lo")
    carry_out(typed("TLS"))
    with standin():
        yield
    for address in HERE.values():
        run("ip", "address", "del", f"{address}/32", "dev", "lo")
    hosts.write_text(before)


@pytest.fixture(scope="module", params=["nginx", "Caddy"], autouse=True)
def proxy(request: pytest.FixtureRequest, _network: None) -> Iterator[str]:
    """One of the two, set up as the page says. The image has both, masked: they would start at boot."""
    unit = f"{request.param.lower()}.service"
    run("systemctl", "unmask", unit)
    run("systemctl", "start", unit)
    carry_out(typed(request.param))
    until(_listens, f"{request.param} has read its file, which nginx does once systemctl has come back")
    yield unit
    run("systemctl", "stop", unit)
    run("systemctl", "mask", unit)


def _listens() -> bool:
    with contextlib.suppress(OSError), contextlib.closing(connect()) as connection:
        connection.connect()
        return True
    return False


@pytest.fixture(autouse=True)
def key(_clean: None, proxy: str) -> Iterator[str]:
    """Alice's key, made as the page says; root has one for looking after the host."""
    assert show(proxy, "ActiveState") == "active"
    no_keys()
    configure(CONFIG)
    carry_out(typed("Keys first"))
    (line,) = PLAIN.read_text().splitlines()
    PLAIN.write_text(f"{line}\nroot admin {ROOT}\n")
    restart()
    yield line.split()[2]
    house.reset()
    no_keys()
    run("systemctl", "restart", "swapper.socket")


def tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=AUTHORITY)


def connect() -> http.client.HTTPSConnection:
    """A client somewhere in the network."""
    return http.client.HTTPSConnection(NAME, timeout=PATIENCE, context=tls())


def ask(method: str, path: str, headers: Mapping[str, str], body: object = None) -> Answer:
    """One request from there."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    with contextlib.closing(connect()) as connection:
        connection.request(method, path, data, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())


def chat(key: str, model: str = "alpha") -> Answer:
    return ask("POST", "/v1/chat/completions", bearer(key), question(model))


@contextlib.contextmanager
def streaming(key: str, content: str) -> Iterator[http.client.HTTPResponse]:
    """An answer that has been begun."""
    body = question("alpha", content, stream=True, max_tokens=2_000_000)
    with contextlib.closing(connect()) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json",
                           **bearer(key)})  # fmt: skip
        response = connection.getresponse()
        assert response.status == 200
        # Closed by itself: the connection lets go of an answer that ends it.
        with contextlib.closing(response):
            yield response


def count(what: str, model: str = "alpha") -> int:
    """How many requests hold the model (`leases`), or wait for it (`waiting`)."""
    found: int = knock("GET", f"/api/models/{model}", bearer(ROOT)).json[what]
    return found


def test_what_the_page_says_to_look_at(key: str) -> None:
    calls = [line.partition("#") for line in typed("See that it works").splitlines()]
    assert len(calls) == 3
    for call, _, said in calls:
        shown = f"cd /etc/ssl/swapper; {call} --silent --write-out ' %{{http_code}}'"
        body, _, status = run("env", f"KEY={key}", "bash", "-c", shown).rpartition(" ")
        if said:
            assert (status, json.loads(body)["error"]["code"]) == re.findall(r"(\d+), (\w+)", said)[0]
        else:
            assert "alpha" in {model["id"] for model in json.loads(body)["data"]}


def test_a_chat_by_either_version_of_http(key: str) -> None:
    assert chat(key).content == sentence("alpha")
    for option, version in (("--http1.1", "1.1"), ("--http2", "2")):
        said = run("curl", "--silent", option, "--cacert", str(AUTHORITY), f"https://{NAME}/v1/chat/completions",
                   "-H", f"Authorization: Bearer {key}", "-H", "Content-Type: application/json",
                   "--write-out", " HTTP/%{http_version}", "-d", json.dumps(question("alpha")))  # fmt: skip
        assert sentence("alpha") in said
        assert said.endswith(f" HTTP/{version}"), said
    assert ask("POST", "/tokenize", bearer(key), {"model": "alpha", "content": "Hello!"}).status == 200


def test_swapperctl_from_afar(key: str) -> None:
    environment = (f"SSL_CERT_FILE={AUTHORITY}", f"SWAPPER_API_KEY={key}", f"SWAPPER_URL=https://{NAME}")
    assert run("env", *environment, "swapperctl", "chat", "alpha", "Hello!") == f"{sentence('alpha')}\n"
    whole = run("env", *environment, "swapperctl", "chat", "alpha", "Hello!", "--json")
    assert json.loads(whole)["choices"][0]["message"]["content"] == sentence("alpha")
    assert "path_refused" in run("env", *environment, "swapperctl", "status", check=False)


def test_a_stream_comes_as_it_is_written(key: str) -> None:
    with gate("llama@alpha", "ExecStartPre") as pass_on, streaming(key, "Hello!") as answer:
        # The engine has not even been started: a proxy that collected would have nothing to show.
        assert answer.readline().startswith(b": ")
        assert show("llama@alpha", "ActiveState") == "activating"
        pass_on()
        rest, whole = rest_of(answer)
    assert whole
    assert rest.endswith(b"data: [DONE]\n\n")
    with streaming(key, "LOOP") as answer:
        assert all(answer.readline() for _ in range(20))
        assert count("leases") == 1, "it is still being written"


def test_a_recording_of_several_megabytes_is_taken(key: str) -> None:
    sound = media.wav(150.0)
    assert len(sound) > 4_500_000
    body, content_type = form(("model", "asr"), ("file", "voice.wav", sound))
    answer = ask("POST", "/v1/audio/transcriptions", {**bearer(key), "Content-Type": content_type}, body)
    assert (answer.status, answer.json["text"]) == (200, SAID)


def test_refusals_of_large_requests_are_the_routers_own(key: str, tmp_path: Path) -> None:
    file = tmp_path / "voice.wav"
    file.write_bytes(media.wav(150.0))

    def refusal(*more: str) -> str:
        upload = ("-F", "model=asr", "-F", f"file=@{file}", f"https://{NAME}/v1/audio/transcriptions")
        said = run("curl", "--silent", "--http2", "--cacert", str(AUTHORITY), *more, *upload)
        return str(json.loads(said)["error"]["code"])

    assert refusal() == "key_missing"
    configure(f"{CONFIG}router: {{max_body: 1MiB}}\n")
    assert refusal("-H", f"Authorization: Bearer {key}") == "body_too_large"


def test_without_a_key_and_with_a_wrong_one() -> None:
    assert result(ask("GET", "/v1/models", {})) == "key_missing"
    assert result(chat("x")) == "key_wrong"


def test_nobody_comes_further_than_inference(key: str) -> None:
    assert chat(key).status == 200
    engine = show("llama@alpha", "MainPID")
    for path in INSIDE:
        for method in ("GET", "POST"):
            answer = ask(method, path, bearer(ROOT), {} if method == "POST" else None)
            assert answer.status in {400, 403, 404}, (method, path, answer.status)
            assert b"alpha" not in answer.body, (method, path, answer.body)
    assert result(ask("POST", "/api/models/alpha/unload", bearer(ROOT), {})) == "path_refused"
    assert show("llama@alpha", "MainPID") == engine


def test_a_proxy_is_not_taken_for_this_machine(key: str) -> None:
    no_keys()
    restart()
    assert result(chat(key)) == "keys_required"
    assert b"alpha" not in ask("GET", "/v1/models", {"Host": "127.0.0.1:8000"}).body
    assert house.chat("alpha").content == sentence("alpha")


def test_pages_of_its_own_name_and_of_others(key: str) -> None:
    assert ask("GET", "/v1/models", {"Origin": f"https://{NAME}", **bearer(key)}).status == 200
    assert result(ask("GET", "/v1/models", {"Origin": "https://evil.example", **bearer(key)})) == "origin_refused"


def test_a_client_that_goes_lets_the_model_go(key: str) -> None:
    with streaming(key, "LOOP") as answer:
        assert answer.readline()
        assert count("leases") == 1
    until(lambda: count("leases") == 0, "nobody holds the model")
    with gate("llama@beta", "ExecStartPre"):
        with contextlib.closing(connect()) as connection:
            connection.request("POST", "/v1/chat/completions", json.dumps(question("beta")), bearer(key))
            until(lambda: count("waiting", "beta") == 1, "it waits for the model")
        until(lambda: count("waiting", "beta") == 0, "nobody waits for the model")


def test_speech_as_it_is_spoken(key: str) -> None:
    async def talk() -> tuple[list[str], str]:
        timeout = aiohttp.ClientWSTimeout(ws_close=PATIENCE)
        async with aiohttp.ClientSession() as session, session.ws_connect(
            f"https://{NAME}/v1/realtime", params={"model": "asr"}, headers=bearer(key), ssl=tls(), timeout=timeout
        ) as socket:  # fmt: skip
            assert (await heard(socket))["type"] == "session.created"
            await socket.send_json({"type": "session.update", "model": "asr"})
            assert await asyncio.to_thread(count, "leases", ASR) == 1
            await say(socket, 2.0)
            return await transcript(socket)

    assert asyncio.run(talk())[1].endswith(SAID)
    until(lambda: count("leases", ASR) == 0, "nobody holds the model")


def test_a_restart_of_the_router_refuses_nobody(key: str) -> None:
    assert chat(key).status == 200
    engine = show("llama@alpha", "MainPID")
    with Load("alpha", by=lambda model: chat(key, model)) as load:
        for _ in range(4):
            load.answers(12)
            restart()
        load.answers(12)
    assert (set(load.statuses), load.failures) == ({"200"}, [])
    assert show("llama@alpha", "MainPID") == engine


def test_the_port_itself_without_tls(key: str) -> None:
    drop_in(SOCKET_DROPIN, written("Without TLS"))
    run("systemctl", "restart", "swapper.socket")
    address = HERE["the page's own"]
    assert address in written("Without TLS")
    assert knock("GET", "/v1/models", bearer(key), address=address).status == 200
    assert result(knock("GET", "/v1/models", address=address)) == "key_missing"
    assert result(knock("GET", "/metrics", bearer(key), address=address)) == "key_scope"
