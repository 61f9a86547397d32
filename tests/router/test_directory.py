"""Whom a request is for: names, capabilities, engines' own paths."""

from pathlib import Path

import pytest

from swapper.config import Config, Filters, Model
from swapper.core.scheduler import Scheduler
from swapper.router.directory import Directory
from swapper.router.errors import ApiError
from swapper.router.places import Places
from swapper.router.routes import ROUTES, Route, Scope, find, scope

TEXT = Model("text", "llama", Path("/t"), capabilities=frozenset({"chat"}), incapable=frozenset({"transcription"}),
             filters=Filters((), ("top_k",)), loading_message=True)  # fmt: skip
EARS = Model("org/ears", "vllm", Path("/e"), aliases=("asr",), capabilities=frozenset({"transcription"}))
ODD = Model("org/ears/v1", "vllm", Path("/o"))
CHAT, TRANSCRIBE = find(b"POST", b"/v1/chat/completions"), find(b"POST", b"/v1/audio/transcriptions")


@pytest.fixture
def wanted() -> list[str]:
    return []


@pytest.fixture
def directory(wanted: list[str]) -> Directory:
    return Directory(Places(Config(models=(TEXT, EARS, ODD)), Scheduler()), wanted.append)


def refusal(directory: Directory, name: str, route: Route | None) -> ApiError:
    assert route is not None
    with pytest.raises(ApiError) as caught:
        directory.resolve(name, route)
    return caught.value


def test_an_alias_is_its_model(directory: Directory, wanted: list[str]) -> None:
    assert TRANSCRIBE is not None
    assert directory.resolve("asr", TRANSCRIBE).name == "org/ears"
    assert wanted == ["org/ears"]


def test_what_a_model_cannot_do_names_those_that_can(directory: Directory, wanted: list[str]) -> None:
    error = refusal(directory, "text", TRANSCRIBE)
    assert (error.code, error.status) == ("model_incapable", 400)
    assert error.message == "text does not transcribe. Models that can: org/ears."
    assert wanted == []


def test_what_nobody_can_do(directory: Directory) -> None:
    speaking = Config(models=(Model("mute", "llama", Path("/m"), incapable=frozenset({"speech"})),))
    directory = Directory(Places(speaking, Scheduler()), lambda _: None)
    error = refusal(directory, "mute", find(b"POST", b"/v1/audio/speech"))
    assert error.message == "mute does not speak. No configured model can."


def test_near_names_are_offered(directory: Directory) -> None:
    assert "Did you mean text?" in refusal(directory, "texd", CHAT).message


def test_every_capability_that_a_route_needs_has_words() -> None:
    for route in ROUTES:
        if route.needs:
            model = Model("x", "llama", Path("/x"), incapable=frozenset({route.needs}))
            alone = Directory(Places(Config(models=(model,)), Scheduler()), lambda _: None)
            assert refusal(alone, "x", route).code == "model_incapable"


@pytest.mark.parametrize(
    ("target", "model", "path"),
    [
        (b"/upstream/text/props", "text", b"/props"),
        (b"/upstream/text/props?x=%2F", "text", b"/props?x=%2F"),
        (b"/upstream/org/ears/version", "org/ears", b"/version"),
        (b"/upstream/org%2Fears/version", "org/ears", b"/version"),
        (b"/upstream/asr/v1/models", "org/ears", b"/v1/models"),
        (b"/upstream/org/ears/v1/version", "org/ears/v1", b"/version"),
    ],
)
def test_the_longest_name_in_a_path_counts(directory: Directory, target: bytes, model: str, path: bytes) -> None:
    found = directory.locate(b"GET", target)
    assert (found.name, found.path, found.filters) == (model, path, None)


@pytest.mark.parametrize(
    ("method", "target", "code"),
    [
        (b"POST", b"/upstream/asr/sleep", "path_refused"),
        (b"POST", b"/upstream/asr/wake_up", "path_refused"),
        (b"POST", b"/upstream/asr/collective_rpc", "path_refused"),
        (b"POST", b"/upstream/asr/v1/load_lora_adapter", "path_refused"),
        (b"GET", b"/upstream/asr/is_sleeping", "path_refused"),
        (b"GET", b"/upstream/asr/server_info", "path_refused"),
        (b"POST", b"/upstream/text/slots/0", "path_refused"),
        (b"POST", b"/upstream/text/props", "path_refused"),
        (b"GET", b"/upstream/text/", "path_refused"),
        (b"GET", b"/upstream/text//props", "path_refused"),
        (b"GET", b"/upstream/text/../props", "path_refused"),
        (b"GET", b"/upstream/text/%70rops", "path_refused"),
        (b"GET", b"/upstream/text", "path_refused"),
        (b"GET", b"/upstream/nobody/props", "model_not_found"),
        (b"GET", b"/upstream/", "model_not_found"),
        (b"GET", b"/upstream/" + b"/" * 5000, "model_not_found"),
    ],
)
def test_what_cannot_be_reached(
    directory: Directory, wanted: list[str], method: bytes, target: bytes, code: str
) -> None:
    with pytest.raises(ApiError) as caught:
        directory.locate(method, target)
    assert caught.value.code == code
    assert wanted == []


@pytest.mark.parametrize(
    ("method", "path", "passive", "wanted_scope"),
    [
        (b"GET", b"/props", True, Scope.INFERENCE),
        (b"GET", b"/slots", True, Scope.ADMIN),
        (b"GET", b"/upstream/x/props", True, Scope.INFERENCE),
        (b"HEAD", b"/upstream/x/props", True, Scope.INFERENCE),
        (b"GET", b"/upstream/x/slots", True, Scope.ADMIN),
        (b"GET", b"/upstream/x/metrics", True, Scope.ADMIN),
        (b"POST", b"/upstream/x/v1/chat/completions", False, Scope.INFERENCE),
        (b"GET", b"/v1/realtime", False, Scope.INFERENCE),
    ],
)
def test_what_only_looks_loads_nothing(method: bytes, path: bytes, passive: bool, wanted_scope: Scope) -> None:
    route = find(method, path)
    assert route is not None
    assert (route.passive, route.scope) == (passive, wanted_scope)


@pytest.mark.parametrize("method", [b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE"])
def test_other_methods_are_for_no_engine(method: bytes) -> None:
    assert find(method, b"/v1/chat/completions") is None
    assert find(method, b"/upstream/x/props") is None


PATHS = (b"/", b"/health", b"/v1/models", b"/running", b"/ui", b"/ui/main.js", b"/api/models", b"/metrics", b"/what")


def test_whose_the_routers_own_paths_are() -> None:
    scopes = {path: scope(b"GET", path) for path in PATHS}
    assert [path for path, found in scopes.items() if found is Scope.OPEN] == [b"/", b"/health"]
    assert [path for path, found in scopes.items() if found is Scope.PUBLIC] == [b"/ui", b"/ui/main.js"]
    assert [path for path, found in scopes.items() if found is Scope.INFERENCE] == [
        b"/v1/models", b"/running", b"/api/models",
    ]  # fmt: skip
    for method in (b"POST", b"DELETE", b"PUT", b"X"):
        for path in (b"/api/models", b"/api/models/a/load", b"/api/requests/x", b"/ui", b"/metrics"):
            assert scope(method, path) is Scope.ADMIN
