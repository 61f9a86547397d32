"""Media named by URL: fetched from where it is allowed, put in as data URLs, and from nowhere else.

The servers are real ones on loopback addresses, which `media.allow` names; names are resolved by the test.
"""

import asyncio
import base64
import hashlib
import ipaddress
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from swapper.config import Media
from swapper.outside.addresses import Allowed, is_public
from swapper.router.errors import ApiError
from swapper.router.media.fetch import MediaFetcher
from swapper.router.media.types import sniff
from swapper.router.wire.body import Spool
from tests.router.conftest import PATIENCE, Lab, until

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 3
MIB = 1024 * 1024


class Site:
    """A web server on two loopback addresses, at one port, and the names that stand for them."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.names = {"good.test": ["127.0.0.1"], "bad.test": ["127.0.0.2"], "both.test": ["127.0.0.1", "127.0.0.2"]}
        self.resolved: list[str] = []
        self.port = 0
        self.gate = asyncio.Event()
        self.at_once = self.most_at_once = 0

    async def lookup(self, host: str) -> Sequence[str]:
        """Resolve a name."""
        self.resolved.append(host)
        if host not in self.names:
            raise OSError(f"no such name: {host}")
        return self.names[host]

    async def answer(self, request: web.Request) -> web.StreamResponse:  # noqa: C901, PLR0911 - a table
        """Answer by path."""
        self.asked.append(f"{request.host.partition(':')[0]}{request.path}")
        self.headers.append(dict(request.headers))
        match request.path.split("/")[1:]:
            case ["type", kind, subkind]:
                return web.Response(body=PNG, headers={"Content-Type": f"{kind}/{subkind}; x=y"})
            case ["untyped", name]:
                body = {"png": PNG, "wav": b"RIFF\0\0\0\0WAVEfmt ", "text": b"hello there, plain text"}[name]
                return web.Response(body=body, headers={"Content-Type": "application/octet-stream"})
            case ["status", status]:
                return web.Response(status=int(status), body=PNG, content_type="image/png")
            case ["to"]:
                return web.Response(status=302, headers={"Location": request.query_string})
            case ["loop"]:
                raise web.HTTPFound("/loop")
            case ["size", size]:
                return web.Response(body=b"x" * int(size), content_type="audio/wav")
            case ["endless"]:
                return await self._endless(request)
            case ["never"]:
                await asyncio.Event().wait()
            case ["zipped"]:
                return web.Response(body=PNG, headers={"Content-Type": "image/png", "Content-Encoding": "gzip"})
            case ["gated"]:
                self.at_once += 1
                self.most_at_once = max(self.at_once, self.most_at_once)
                await self.gate.wait()
                self.at_once -= 1
                return web.Response(body=PNG, content_type="image/png")
        raise web.HTTPNotFound

    @staticmethod
    async def _endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "video/mp4"})
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)


@asynccontextmanager
async def _site() -> AsyncIterator[Site]:
    site = Site()
    app = web.Application()
    app.router.add_get("/{path:.*}", site.answer)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.port = runner.addresses[0][1]
    await web.TCPSite(runner, "127.0.0.2", site.port).start()
    try:
        yield site
    finally:
        await runner.cleanup()


LIMITS = Media(("127.0.0.1",), 4 * MIB)


@asynccontextmanager
async def _fetcher(
    directory: Path, site: Site, limits: Media = LIMITS, total: int = 100 * MIB
) -> AsyncIterator[MediaFetcher]:
    spool = Spool(directory)
    fetcher = MediaFetcher(limits, spool, total, site.lookup)
    try:
        yield fetcher
    finally:
        await fetcher.close()
        spool.close()
        await asyncio.to_thread(spool._threads.shutdown)


async def _outcome(fetcher: MediaFetcher, *urls: str) -> str:
    """The error's code, or the media types."""
    try:
        fetched = await asyncio.wait_for(fetcher.fetch(urls, 0), PATIENCE)
    except ApiError as error:
        return error.code if error.hint else "no hint"
    kinds = []
    for medium in fetched.values():
        segments = medium.segments()
        assert isinstance(segments[0], bytes)
        kinds.append(segments[0].decode().removeprefix('"data:').removesuffix(";base64,"))
        for segment in segments:
            if not isinstance(segment, bytes):
                segment.file.close()
        medium.close()
    return " ".join(kinds)


CASES = {
    "a name that stands for an allowed address": ("http://good.test:{port}/type/image/png", "image/png"),
    "an allowed address": ("http://127.0.0.1:{port}/type/audio/ogg", "audio/ogg"),
    "upper case": ("HTTP://GOOD.TEST:{port}/type/video/mp4", "video/mp4"),
    "application/ogg": ("http://good.test:{port}/type/application/ogg", "application/ogg"),
    "an untyped picture": ("http://good.test:{port}/untyped/png", "image/png"),
    "an untyped voice": ("http://good.test:{port}/untyped/wav", "audio/wav"),
    "an untyped text": ("http://good.test:{port}/untyped/text", "media_type"),
    "a page": ("http://good.test:{port}/type/text/html", "media_type"),
    "a hidden page": ("http://good.test:{port}/type/image/x%22", "media_type"),
    "nothing in it": ("http://good.test:{port}/size/0", "media_type"),
    "a compressed answer": ("http://good.test:{port}/zipped", "media_type"),
    "not found": ("http://good.test:{port}/status/404", "media_unreachable"),
    "a strange success": ("http://good.test:{port}/status/206", "media_unreachable"),
    "a redirect": ("http://good.test:{port}/to?/type/image/png", "image/png"),
    "five redirects": ("http://good.test:{port}/to?/to?/to?/to?/to?/type/image/png", "image/png"),
    "six redirects": ("http://good.test:{port}/to?/to?/to?/to?/to?/to?/type/image/png", "media_unreachable"),
    "redirects without end": ("http://good.test:{port}/loop", "media_unreachable"),
    "a redirect to a refused address": ("http://good.test:{port}/to?http://bad.test:{port}/x", "media_refused"),
    "a redirect to a refused scheme": ("http://good.test:{port}/to?file://x.test/etc/passwd", "media_refused"),
    "a redirect with a password": ("http://good.test:{port}/to?http://u:p@good.test:{port}/x", "media_refused"),
    "a refused address": ("http://bad.test:{port}/type/image/png", "media_refused"),
    "a name that also stands for a refused one": ("http://both.test:{port}/type/image/png", "media_refused"),
    "a refused address as such": ("http://127.0.0.2:{port}/type/image/png", "media_refused"),
    "shortened": ("http://127.2:{port}/type/image/png", "media_refused"),
    "as one number": ("http://2130706434:{port}/type/image/png", "media_refused"),
    "in octal": ("http://0177.0.0.2:{port}/type/image/png", "media_refused"),
    "in wide digits": ("http://\uff11\uff12\uff17.0.0.2:{port}/type/image/png", "media_refused"),
    "mapped": ("http://[::ffff:127.0.0.2]:{port}/type/image/png", "media_refused"),
    "the sixth version": ("http://[::1]:{port}/type/image/png", "media_refused"),
    "link-local with a zone": ("http://[fe80::1%25eth0]:{port}/type/image/png", "media_refused"),
    "a cloud's metadata": ("http://169.254.169.254/latest/meta-data", "media_refused"),
    "an unknown name": ("http://nowhere.test:{port}/type/image/png", "media_unreachable"),
    "credentials": ("http://user:secret@good.test:{port}/type/image/png", "media_refused"),
    "a file": ("file:///etc/passwd", "media_refused"),
    "a space before it": (" http://good.test:{port}/type/image/png", "image/png"),
    "a line break in it": ("ht\ntp://good.test:{port}/type/image/png", "image/png"),
    "no scheme": ("//good.test:{port}/type/image/png", "media_refused"),
    "nothing": ("", "media_refused"),
    "no host": ("http:///type/image/png", "media_refused"),
    "a wrong port": ("http://good.test:99999/", "media_refused"),
    "nobody listens": ("http://127.0.0.1:1/", "media_unreachable"),
}


@pytest.mark.parametrize(("url", "outcome"), CASES.values(), ids=CASES.keys())
async def test_what_may_be_fetched(tmp_path: Path, url: str, outcome: str) -> None:
    async with _site() as site, _fetcher(tmp_path, site) as fetcher:
        assert await _outcome(fetcher, url.replace("{port}", str(site.port))) == outcome
        assert not any(asked.startswith(("bad.test", "127.0.0.2")) for asked in site.asked)


async def test_nothing_of_ours_goes_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with _site() as site, _fetcher(tmp_path, site) as fetcher:
        assert await _outcome(fetcher, f"http://good.test:{site.port}/type/image/png") == "image/png"
        headers = {name.lower() for name in site.headers[0]}
        assert headers == {"host", "user-agent", "accept", "accept-encoding", "connection"}
        assert site.headers[0]["Accept-Encoding"] == "identity"


async def test_a_name_is_resolved_once_and_connected_to_as_resolved(tmp_path: Path) -> None:
    async with _site() as site, _fetcher(tmp_path, site) as fetcher:

        async def rebinding(host: str) -> Sequence[str]:
            site.resolved.append(host)
            return ["127.0.0.1"] if len(site.resolved) == 1 else ["127.0.0.2"]

        fetcher._door._session.connector._resolver._look_up = rebinding  # type: ignore[union-attr]
        url = f"http://rebind.test:{site.port}/type/image/png"
        assert await _outcome(fetcher, url) == "image/png"
        assert site.resolved == ["rebind.test"]
        assert await _outcome(fetcher, url) == "media_refused", "the next request resolves anew, and is checked anew"
        assert len(site.asked) == 1


async def test_sizes_are_limited(tmp_path: Path) -> None:
    async with _site() as site, _fetcher(tmp_path, site, Media(("127.0.0.1",), MIB), 3 * MIB) as fetcher:
        base = f"http://good.test:{site.port}"
        assert await _outcome(fetcher, f"{base}/size/{MIB}") == "audio/wav"
        assert await _outcome(fetcher, f"{base}/size/{MIB + 1}") == "media_too_large"
        assert await _outcome(fetcher, f"{base}/endless") == "media_too_large"
        assert await _outcome(fetcher, *[f"{base}/size/{MIB}?{number}" for number in range(3)]) == "media_too_large"
        assert await _outcome(fetcher, *[f"{base}/size/1?{number}" for number in range(65)]) == "media_refused"


async def test_time_is_limited(tmp_path: Path) -> None:
    async with _site() as site, _fetcher(tmp_path, site, Media(("127.0.0.1",), MIB, 0.2)) as fetcher:
        assert await _outcome(fetcher, f"http://good.test:{site.port}/never") == "media_unreachable"


async def test_several_are_fetched_at_a_time_but_not_all(tmp_path: Path) -> None:
    async with _site() as site, _fetcher(tmp_path, site) as fetcher:
        urls = [f"http://good.test:{site.port}/gated?{number}" for number in range(10)]
        fetching = asyncio.create_task(_outcome(fetcher, *urls))
        await until(lambda: site.at_once == 4)
        site.gate.set()
        assert await fetching == " ".join(["image/png"] * 10)
        assert site.most_at_once == 4


async def test_one_that_fails_ends_the_others(tmp_path: Path) -> None:
    async with _site() as site, _fetcher(tmp_path, site) as fetcher:
        base = f"http://good.test:{site.port}"
        urls = [f"{base}/gated", f"{base}/size/{3 * MIB}", f"{base}/status/500"]
        assert await _outcome(fetcher, *urls) == "media_unreachable"


async def test_only_one_port_of_a_host_may_be_allowed(tmp_path: Path) -> None:
    async with _site() as site:
        async with _fetcher(tmp_path, site, Media((f"127.0.0.2:{site.port}",))) as fetcher:
            assert await _outcome(fetcher, f"http://bad.test:{site.port}/type/image/png") == "image/png"
        async with _fetcher(tmp_path, site, Media(("127.0.0.2:1",))) as fetcher:
            assert await _outcome(fetcher, f"http://bad.test:{site.port}/type/image/png") == "media_refused"
        async with _fetcher(tmp_path, site, Media(("Bad.test",))) as fetcher:
            assert await _outcome(fetcher, f"http://bad.test:{site.port}/type/image/png") == "image/png"
            assert await _outcome(fetcher, f"http://127.0.0.2:{site.port}/type/image/png") == "media_refused"
        async with _fetcher(tmp_path, site, Media(("127.0.0.0/30",))) as fetcher:
            assert await _outcome(fetcher, f"http://both.test:{site.port}/type/image/png") == "image/png"


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.1.1", "172.16.0.1", "192.0.0.8",  # noqa: S104
        "192.0.2.1", "192.168.1.1", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::7f00:1", "fe80::1",
        "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b:1::1", "2002:7f00:1::", "2002:c0a8:101::1",
        "2001:0:7f00:1::", "100::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))
    assert not Allowed().permits("x", ipaddress.ip_address(text), 80)


@pytest.mark.parametrize("text", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"])
def test_addresses_that_are_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("entry", ["", "10.0.0.0/99", "10.0.0.1/24", "a/b", "a:b", "[::1", "x:y:z"])
def test_wrong_entries_of_the_allow_list(entry: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Allowed([entry])


def test_entries_of_the_allow_list() -> None:
    allowed = Allowed(["[fd00::1]:81", "fd00::2", "fd01::/16", "10.0.0.5", "host.lan."])
    for host, address, port, expected in [
        ("x", "fd00::1", 81, True), ("x", "fd00::1", 80, False), ("x", "fd00::2", 1, True), ("x", "fd01::9", 1, True),
        ("x", "::ffff:10.0.0.5", 1, True), ("x", "10.0.0.6", 1, False), ("host.lan", "10.9.9.9", 1, True),
    ]:  # fmt: skip
        assert allowed.permits(host, ipaddress.ip_address(address), port) is expected


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"), (b"\xff\xd8\xff\xe0", "image/jpeg"), (b"GIF89a", "image/gif"), (b"OggS\0", "audio/ogg"),
        (b"RIFF....WEBPVP8", "image/webp"), (b"RIFF....WAVEfmt", "audio/wav"), (b"fLaC", "audio/flac"),
        (b"\0\0\0\x20ftypM4A ", "audio/mp4"), (b"\0\0\0\x20ftypisom", "video/mp4"), (b"\x1aE\xdf\xa3", "video/webm"),
        (b"RIFF....XXXX", ""), (b"<html>", ""), (b"", ""),
    ],
)  # fmt: skip
def test_files_tell_their_type(data: bytes, kind: str) -> None:
    assert sniff(data) == kind


def _url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


@pytest.mark.parametrize("pad", [0, 2 * MIB], ids=["in memory", "spooled"])
async def test_urls_are_replaced_and_nothing_else_is(lab: Lab, pad: int) -> None:
    async with _site() as site, _fetcher(lab.directory / "spool", site) as fetcher:
        lab.use(media=fetcher)
        small, large = f"http://good.test:{site.port}/type/image/png", f"http://good.test:{site.port}/size/{3 * MIB}"
        text = json.dumps({
            "model": "a", "pad": "x" * pad, "n": 1.0,
            "messages": [{"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "@1"}}, {"type": "text", "text": "http://good.test/ \u00e9"},
                {"type": "audio_url", "audio_url": {"url": "@2"}}, {"type": "image_url", "image_url": "@1"},
            ]}],
        }, indent=1)  # fmt: skip
        sent = text.replace("@1", small.replace("/", "\\/")).replace("@2", large)
        expected = text.replace("@1", _url("image/png", PNG)).replace("@2", _url("audio/wav", b"x" * 3 * MIB))
        caller = await lab.call()
        await caller.post(sent.encode())
        status, _, returned = await caller.answer()
        assert status == 200
        assert hashlib.sha256(returned).digest() == hashlib.sha256(expected.encode()).digest()
        assert lab.engine.requests[0].headers[b"content-length"] == b"%d" % len(expected.encode())
        assert len(site.asked) == 2, "each URL is fetched once"


async def test_a_medium_that_is_refused_is_an_error_without_a_lease(lab: Lab) -> None:
    async with _site() as site, _fetcher(lab.directory / "spool", site) as fetcher:
        lab.use(media=fetcher)
        caller = await lab.call()
        await caller.post(b'{"model": "a", "messages": [{"image_url": {"url": "http://127.0.0.2/x"}}]}')
        status, _, body = await caller.answer()
        error = json.loads(body)["error"]
        assert (status, error["code"]) == (400, "media_refused")
        assert "media.allow" in error["hint"]
        assert lab.leases.tickets == []


async def test_a_client_that_leaves_ends_the_download(lab: Lab) -> None:
    async with _site() as site, _fetcher(lab.directory / "spool", site) as fetcher:
        lab.use(media=fetcher)
        caller = await lab.call()
        await caller.post(b'{"model": "a", "messages": [{"image_url": "http://good.test:%d/gated"}]}' % site.port)
        await until(lambda: site.at_once)
        caller.leave()
        [record] = await lab.finished(1)
        assert (record.status, record.reason, record.queued) == (499, "client_gone", None)


