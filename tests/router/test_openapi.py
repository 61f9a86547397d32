"""The router's description of itself: all that it answers is in it, and nothing else."""

import json
import re
from collections.abc import Iterator
from typing import Any, cast

import pytest

from swapper.config import Config
from swapper.core.scheduler import Scheduler
from swapper.router import routes
from swapper.router.api.catalog import Catalog
from swapper.router.api.endpoints import ENDPOINTS
from swapper.router.api.handlers import Api
from swapper.router.api.openapi import document
from swapper.router.api.parts import Parts
from swapper.router.errors import STATUSES, ApiError
from swapper.router.feed import Feed
from swapper.router.measured import Measured
from swapper.router.places import Places
from swapper.router.routes import Scope


def described() -> set[tuple[str, str]]:
    """Methods and paths of the description."""
    paths = cast("dict[str, dict[str, Any]]", document("1", keys=False)["paths"])
    return {(method.upper(), path) for path, item in paths.items() for method in item}


def answered() -> Iterator[tuple[str, str]]:
    """Methods and paths that the application answers; whatever pattern a parameter has is left out."""
    scheduler = Scheduler()
    places = Places(Config(), scheduler)
    catalog = Catalog(places, scheduler, Feed(), {}, 0, Measured(places, scheduler))
    application = Api(cast("Parts", _Parts(catalog))).application()
    for route in application.router.routes():
        info = route.resource.get_info() if route.resource is not None else {}
        yield route.method, info.get("path") or re.sub(r"\{(\w+)[^{}]*\}", r"{\1}", info["formatter"])


class _Parts:
    """Stands in for what only answers need."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog


async def test_every_route_of_the_application_is_described() -> None:
    routes_of_ours = {(method, path) for method, path in answered() if method != "HEAD"}
    inference = {(method, path) for method, path in described() if path in forwarded()}
    assert routes_of_ours == described() - inference
    assert {("HEAD", path) for method, path in routes_of_ours if method == "GET"} <= set(answered())


def forwarded() -> set[str]:
    """Paths that go to engines."""
    return {route.path for route in routes.ROUTES} - {routes.UPSTREAM} | {f"{routes.UPSTREAM}{{model}}/{{path}}"}


def test_every_route_to_an_engine_is_described() -> None:
    for method, path in described():
        concrete = path.replace("{model}", "a").replace("{path}", "b").encode()
        assert (routes.find(method.encode(), concrete) is not None) == (path in forwarded()), path
    assert forwarded() <= {path for _, path in described()}


def test_nothing_that_the_router_answers_itself_goes_to_an_engine() -> None:
    for endpoint in ENDPOINTS:
        assert routes.find(endpoint.method.encode(), endpoint.path.encode()) is None


def references(node: object) -> Iterator[str]:
    """All `$ref` in it."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from [value] if key == "$ref" else references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


@pytest.mark.parametrize("keys", [False, True])
def test_all_that_is_referred_to_is_there(keys: bool) -> None:
    whole = cast("dict[str, Any]", json.loads(json.dumps(document("1", keys=keys))))
    schemas = whole["components"]["schemas"]
    referred = set(references(whole))
    assert referred == {f"#/components/schemas/{name}" for name in schemas}
    for schema in schemas.values():
        assert schema["properties"].keys() >= set(schema["required"])
        assert all(field["description"] for field in schema["properties"].values())


def test_codes_are_described_under_the_statuses_that_they_have() -> None:
    whole = cast("dict[str, Any]", document("1", keys=True))
    load = whole["paths"]["/api/models/{model}/load"]["post"]
    for status, answer in load["responses"].items():
        if status != "200":
            codes = re.findall(r"`(\w+)`", answer["description"])
            assert codes
            assert {STATUSES[code] for code in codes} == {int(status)}
    envelope = whole["components"]["schemas"]["Problem"]["properties"]
    assert ApiError("model_failed", "", "do", journal=("x",)).fields.keys() <= envelope.keys()


def test_keys_are_asked_for_only_where_there_are_keys() -> None:
    open_to_all = {endpoint.path for endpoint in ENDPOINTS if endpoint.scope in {Scope.OPEN, Scope.PUBLIC}}
    with_keys = cast("dict[str, Any]", document("1", keys=True))
    for path, item in with_keys["paths"].items():
        for operation in item.values():
            assert ("security" in operation) == (path not in open_to_all), path
            assert ("401" in operation["responses"]) == (path not in open_to_all and path not in forwarded()), path
    without = json.dumps(document("1", keys=False))
    assert "security" not in without
    assert "key_missing" not in without
