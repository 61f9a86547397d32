"""What the dashboard asks of the router: the real front and application, with keys. Systemd is played by the test."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web

from swapper import keys
from swapper.config import Config, Location, Model
from swapper.core.events import ActiveState, ConfigApplied, UnitChanged
from swapper.core.model import ModelSpec
from swapper.core.scheduler import Scheduler
from swapper.host.definition import Definition
from swapper.router.access import Access, presented
from swapper.router.api.catalog import Catalog
from swapper.router.api.endpoints import ENDPOINTS
from swapper.router.api.handlers import Api
from swapper.router.api.parts import Parts
from swapper.router.errors import ApiError
from swapper.router.feed import Feed
from swapper.router.history import History
from swapper.router.measured import Measured
from swapper.router.places import Places
from swapper.router.routes import Scope, scope
from swapper.router.stats import Stats
from swapper.router.wire.ports import Record
from tests.router.conftest import STREAM, Caller, Lab, Request, chunk

ALICE, BOB, ROOT = "alice-0123456789abcdef", "bob-0123456789abcdefgh", "root-0123456789abcdef"
FILE = f"alice inference {ALICE}\nbob inference {BOB}\nroot admin {ROOT}\n".encode()
DROPIN = "[Service]\nEnvironment=CUDA_VISIBLE_DEVICES=1\n"


class Orders:
    """Files and units are as they are."""

    async def refresh(self) -> None:
        return


class Names:
    """Knows one model."""

    mistakes = ()

    def __init__(self, model: Model) -> None:
        self._model = model

    def find(self, name: str) -> Model:
        if name != self._model.name:
            raise ApiError("model_not_found", f"There is no model {name!r}.")
        return self._model


class House:
    """A lab with the application behind it."""

    def __init__(self, lab: Lab, folder: Path, *, keyed: bool) -> None:
        self.lab = lab
        self.history, self.stats = History(), Stats(lambda name: name == "a")
        self.access = Access(keys.read({"swapper.keys": FILE}).known if keyed else None, ("x",))
        model = Model("a", "llama", Path("/a.gguf"), written={"engine": Location("/s.yaml", 3)})
        scheduler = Scheduler()
        places = Places(Config(), scheduler)
        places.apply(Config(models=(model,)))
        now = asyncio.get_running_loop().time()
        scheduler.handle(ConfigApplied((ModelSpec("a"),), ()), now)
        scheduler.handle(UnitChanged("a", ActiveState.ACTIVE, "1f"), now)
        self.feed = Feed()
        self.unit = folder / "a.service"
        self.unit.write_text(DROPIN)
        catalog = Catalog(places, scheduler, self.feed, {}, int(time.time()), Measured(places, scheduler))
        runtime = type("Runtime", (), {"scheduler": scheduler})()
        self.parts = Parts(
            directory=Names(model), catalog=catalog, runtime=runtime, orders=cast("Any", Orders()), feed=self.feed,
            stats=self.stats, connections=lambda: 0, follow=cast("Any", None), recent=self._recent,
            explain=lab.explain, keyed=lambda: keyed, owner=lambda *shown: self.access.owner(presented(*shown)),
            permit=self.access.permit, live=lab.front.live, cancel=lab.front.cancel, history=self.history,
            unit_files=self._files, key_names=lambda: ("alice", "bob", "root"),
        )  # fmt: skip
        lab.use(access=self.access, done=self._done)

    def _done(self, record: Record) -> None:
        self.history.note(record)
        self.stats.note(record)
        self.lab._record(record)

    async def _recent(self, _: str, __: int) -> list[str]:
        return ["a line"]

    async def _files(self, _: str) -> Definition:
        return Definition((self.unit, self.unit.with_name("gone.conf")), stale=True)

    async def ask(self, method: str, path: str, key: str = "", **fields: str) -> tuple[int, dict[bytes, bytes], bytes]:
        """One request, on a connection of its own."""
        caller = await self.lab.call()
        head = {"Host": "x", **({"Authorization": f"Bearer {key}"} if key else {}), **fields}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        await caller.send(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode())
        return await caller.answer()

    async def json(self, method: str, path: str, key: str = "", **fields: str) -> Any:  # noqa: ANN401
        """What it says; of an error, the code."""
        _, _, body = await self.ask(method, path, key, **fields)
        said = json.loads(body)
        return said["error"]["code"] if "error" in said else said


@asynccontextmanager
async def housed(lab: Lab, folder: Path, *, keyed: bool = True) -> AsyncIterator[House]:
    house = House(lab, folder, keyed=keyed)
    runner = web.AppRunner(Api(house.parts).application(), handler_cancellation=True, access_log=None)
    await runner.setup()
    assert runner.server is not None
    lab.front.others = runner.server
    yield house
    await runner.cleanup()


async def chatting(lab: Lab, key: str, *, name: str = "", stream: bool = True) -> Caller:
    """A chat that the engine does not end, once the engine has it."""
    going = asyncio.Event()

    async def talk(_: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if stream:
            writer.write(STREAM + chunk(b'data: {"choices":[]}\n\n'))
            await writer.drain()
        going.set()
        await reader.read()  # until the router hangs up

    lab.engine.script = talk
    caller = await lab.call()
    extra = f"Authorization: Bearer {key}\r\n".encode() if key else b""
    extra += f"X-Request-Id: {name}\r\n".encode() if name else b""
    await caller.post(b'{"model": "a", "stream": true}', extra=extra)
    await going.wait()
    if stream:
        await caller.reader.readuntil(b"\n\n")
    return caller


# -- who may what


ORDER = [Scope.PUBLIC, Scope.OPEN, Scope.INFERENCE, Scope.ADMIN]


def test_the_front_never_asks_for_more_than_the_application() -> None:
    for endpoint in ENDPOINTS:
        path = endpoint.path.replace("{model}", "a/b").replace("{id}", "x").replace("{file}", "main.js").encode()
        asked = scope(endpoint.method.encode(), path)
        assert ORDER.index(asked) <= ORDER.index(endpoint.scope), endpoint.path
        if endpoint.method != "GET":
            assert asked is Scope.ADMIN, endpoint.path


LOOKS = ["/api/key", "/api/models", "/api/models/a", "/api/requests", "/api/timeline", "/api/usage"]
INNER = ["/api/models/a/log", "/api/models/a/unit", "/api/models/a/settings"]


async def test_any_key_looks_and_an_administrators_looks_closer(lab: Lab, tmp_path: Path) -> None:
    async with housed(lab, tmp_path) as house:
        for path in LOOKS + INNER:
            assert await house.json("GET", path) == "key_missing", path
            assert await house.json("GET", path, "nobodys-key-0123456789") == "key_wrong", path
            status, _, _ = await house.ask("GET", path, ROOT)
            assert status == 200, path
        for path in LOOKS:
            assert (await house.ask("GET", path, ALICE))[0] == 200, path
        for path in INNER:
            assert await house.json("GET", path, ALICE) == "key_scope", path
        assert await house.json("DELETE", "/api/requests/x", ALICE) == "key_scope"


SPELLINGS = [
    "/api/models/a/lo%67", "/api/models/a/%6cog", "/api/models/a/log#x", "/api/models/a/log?x", "/api/models/a/unit#",
    "/api/models/b/../a/log", "/api/models/a/./unit", "/api/models/a/x/../unit", "/api//models/a/log",
    "/api/models/a%2flog", "/api/models/a/log/", "/v1/../api/models/a/unit", "/api/events/../models/a/unit",
    "/v1/%2e%2e/api/models/a/settings", "/api/models/a/settings;x", "/ui/../api/models/a/unit", "/api/%2e./metrics",
    "/v1/../metrics", "/api/../metrics", "/ui/../metrics",
]  # fmt: skip


@pytest.mark.parametrize("key", ["", ALICE])
async def test_no_other_spelling_shows_more(lab: Lab, tmp_path: Path, key: str) -> None:
    async with housed(lab, tmp_path) as house:
        for path in SPELLINGS:
            status, _, body = await house.ask("GET", path, key)
            assert status in {400, 401, 403, 404}, (path, status)
            assert DROPIN.encode() not in body
            assert b"a line" not in body


async def test_the_page_is_free_and_asks_for_the_key_itself(lab: Lab, tmp_path: Path) -> None:
    async with housed(lab, tmp_path) as house:
        status, headers, body = await house.ask("GET", "/ui", Host="any.example")
        assert (status, headers[b"content-type"]) == (200, b"text/html; charset=utf-8")
        assert b"www-authenticate" not in headers
        assert b"frame-ancestors 'none'" in headers[b"content-security-policy"]
        again, headers, body = await house.ask("GET", "/ui", **{"If-None-Match": headers[b"etag"].decode()})
        assert (again, body) == (304, b"")
        status, headers, _ = await house.ask("GET", "/ui/")
        assert (status, headers[b"location"]) == (308, b"../ui")
        assert await house.json("GET", "/ui/nothing.js") == "not_found"
        assert await house.json("GET", "/ui/main.js", Origin="http://evil.example") == "origin_refused"


async def test_without_keys_the_page_still_goes_by_names_of_this_machine(lab: Lab, tmp_path: Path) -> None:
    async with housed(lab, tmp_path, keyed=False) as house:
        assert await house.json("GET", "/ui", Host="any.example") == "host_refused"
        assert (await house.json("GET", "/api/key")) == {"keys": False, "name": "", "admin": True}


@pytest.mark.parametrize("keyed", [True, False])
async def test_no_page_from_elsewhere_ends_a_request(lab: Lab, tmp_path: Path, keyed: bool) -> None:
    async with housed(lab, tmp_path, keyed=keyed) as house:
        key = ROOT if keyed else ""
        caller = await chatting(lab, key, name="mine")
        for origin in ("http://evil.example", "null", "http://x:81"):
            assert await house.json("DELETE", "/api/requests/mine", key, Origin=origin) == "origin_refused"
        assert len((await house.json("GET", "/api/requests", key))["running"]) == 1
        assert (await house.json("DELETE", "/api/requests/mine", key, Origin="http://x"))["requests"] == 1
        await caller.rest()


# -- requests


async def test_a_request_is_seen_while_it_runs_and_when_it_is_over(lab: Lab, tmp_path: Path) -> None:
    async with housed(lab, tmp_path) as house:
        caller = await chatting(lab, ALICE, name="mine")
        ((running,), ended) = (await house.json("GET", "/api/requests", ROOT)).values()
        assert (running["id"], running["model"], running["key"]) == ("mine", "a", "alice")
        assert running["phase"] == "answering"
        assert running["age"] >= running["first"] >= running["queued"] >= 0
        assert ended == []
        assert (await house.json("GET", "/api/requests", BOB)) == {"running": [], "ended": []}
        assert len((await house.json("GET", "/api/requests", ALICE))["running"]) == 1
        caller.leave()
        await lab.finished(1)
        for key, count in ((ROOT, 1), (ALICE, 1), (BOB, 0)):
            said = await house.json("GET", "/api/requests", key)
            assert (len(said["running"]), len(said["ended"])) == (0, count)
        assert (await house.json("GET", "/api/requests", ROOT))["ended"][0]["reason"] == "client_gone"


async def test_a_stream_that_is_cancelled_ends_with_the_reason(lab: Lab, tmp_path: Path) -> None:
    async with housed(lab, tmp_path) as house:
        caller = await chatting(lab, ALICE, name="mine")
        assert await house.json("DELETE", "/api/requests/mine", ROOT) == {"id": "mine", "requests": 1}
        rest = await caller.rest()
        assert b'"code": "request_cancelled"' in rest
        assert not rest.endswith(b"0\r\n\r\n"), "it looks like a good end"
        assert (await lab.finished(1))[0].reason == "request_cancelled"
        await lab.engine.lost.wait()
        assert await house.json("DELETE", "/api/requests/mine", ROOT) == "request_not_found"


async def test_one_that_has_no_answer_yet_gets_an_error(lab: Lab, tmp_path: Path) -> None:
    async with housed(lab, tmp_path) as house:
        caller = await chatting(lab, ALICE, name="mine", stream=False)
        await house.json("DELETE", "/api/requests/mine", ROOT)
        status, _, body = await caller.answer()
        assert (status, json.loads(body)["error"]["code"]) == (410, "request_cancelled")


async def test_one_that_waits_for_its_model_leaves_the_queue(lab: Lab, tmp_path: Path) -> None:
    async with housed(lab, tmp_path) as house:
        lab.leases.at_once = False
        caller = await lab.call()
        await caller.post(b'{"model": "a"}', extra=f"x-api-key: {ALICE}\r\n".encode())
        await lab.leases.asked.wait()
        (running,) = (await house.json("GET", "/api/requests", ROOT))["running"]
        assert (running["phase"], running["queued"], running["first"]) == ("waiting", None, None)
        await house.json("DELETE", f"/api/requests/{running['id']}", ROOT)
        assert (await caller.answer())[0] == 410
        assert lab.leases.tickets[0].released.is_set()


async def test_ids_are_the_clients_and_may_be_the_same(lab: Lab, tmp_path: Path) -> None:
    async with housed(lab, tmp_path) as house:
        callers = [await chatting(lab, ALICE, name="a_b.c-1") for _ in range(2)]
        assert (await house.json("DELETE", "/api/requests/a%5Fb.c-1", ROOT))["requests"] == 2
        for caller in callers:
            assert b"request_cancelled" in await caller.rest()


# -- the hour, keys, units


async def test_the_hour_has_when_models_served(lab: Lab, tmp_path: Path) -> None:
    async with housed(lab, tmp_path) as house:
        caller = await chatting(lab, ALICE)
        said = await house.json("GET", "/api/timeline", BOB)
        (span,) = said["served"]
        assert (span["model"], span["requests"], span["end"]) == ("a", 1, said["until"])
        caller.leave()
        await lab.finished(1)
        (span,) = (await house.json("GET", "/api/timeline", BOB))["served"]
        assert said["since"] <= span["begin"] <= span["end"]
        assert span["requests"] == 1


async def test_keys_see_what_they_used_and_an_administrator_what_all_did(lab: Lab, tmp_path: Path) -> None:
    async with housed(lab, tmp_path) as house:
        for key in (ALICE, ALICE, ROOT):
            caller = await lab.call()
            await caller.post(b'{"model": "a"}', extra=f"x-api-key: {key}\r\n".encode())
            await caller.answer()
        caller = await chatting(lab, BOB)
        said = {each["key"]: each for each in (await house.json("GET", "/api/usage", ROOT))["keys"]}
        assert said.keys() == {"alice", "bob", "root"}
        assert (said["alice"]["models"][0]["model"], said["alice"]["models"][0]["requests"]) == ("a", 2)
        assert (said["bob"]["running"], said["bob"]["models"]) == (1, [])
        assert [each["key"] for each in (await house.json("GET", "/api/usage", ALICE))["keys"]] == ["alice"]
        caller.leave()


async def test_a_unit_is_shown_as_it_is_read(lab: Lab, tmp_path: Path) -> None:
    async with housed(lab, tmp_path) as house:
        said = await house.json("GET", "/api/models/a/unit", ROOT)
        assert (said["unit"], said["stale"]) == ("llama@a.service", True)
        assert said["files"] == [
            {"path": str(house.unit), "text": DROPIN, "problem": ""},
            {"path": str(house.unit.with_name("gone.conf")), "text": "", "problem": "No such file or directory"},
        ]


async def test_settings_say_who_said_so(lab: Lab, tmp_path: Path) -> None:
    async with housed(lab, tmp_path) as house:
        said = {each["name"]: each for each in (await house.json("GET", "/api/models/a/settings", ROOT))["settings"]}
        assert (said["engine"]["source"], said["engine"]["place"]) == ("configuration", "/s.yaml:3")
        assert (said["ttl"]["value"], said["ttl"]["source"]) == ("never", "default")
