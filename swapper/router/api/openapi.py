"""The router described in OpenAPI 3.1, for programs: made from the tables that it works by.

What the router answers itself (`api.endpoints`) is described in full. What it forwards (`router.routes`) is named: what
is asked and answered there is the engine's affair, and described by OpenAI, Anthropic, llama.cpp and vLLM.
"""

from collections.abc import Iterable, Sequence

from swapper.router import routes
from swapper.router.api import schemas
from swapper.router.api.endpoints import ENDPOINTS, EVENTS, JSON, Endpoint, Parameter
from swapper.router.api.schemas import Schema
from swapper.router.api.shapes import Changed, Envelope, Json, Progressed, States
from swapper.router.errors import STATUSES
from swapper.router.routes import NameIn, Route, Scope

ANY = (
    "invalid_request", "host_refused", "origin_refused", "keys_required", "client_too_slow", "unknown_expectation",
    "head_too_large", "internal_error", "unknown_coding", "unknown_version",
)  # fmt: skip
"""Codes of the errors that any request may meet."""

GUARDED = ("key_missing", "key_wrong", "key_scope")
"""Codes of further errors of requests that need a key."""

_FREE = frozenset({Scope.PUBLIC, Scope.OPEN})
_OPERATION = ("/api/", "/metrics", "/ui")

_TEXTS = {
    400: "The request is wrong.", 401: "There is no such key.", 403: "Not from there, or not with this key.",
    404: "There is no such model, or nothing here.", 408: "The request came too slowly.",
    409: "Not as things are.", 417: "The request expects something odd.", 429: "Too many requests.",
    431: "The request's head is too large.", 500: "The router has a defect.",
    501: "The request is coded in an odd way.", 503: "Not now.", 505: "Another version of HTTP.",
}  # fmt: skip
_SCHEMES: dict[str, Json] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "basic": {"type": "http", "scheme": "basic", "description": "The key is the password; the name does not matter."},
}
_NAMES: Schema = {
    "type": "object", "properties": {"model": {"type": "string", "minLength": 1}}, "required": ["model"],
}  # fmt: skip
_EVENTS = {"models": States, "state": Changed, "progress": Progressed}
_BODIES = {NameIn.JSON: (JSON,), NameIn.MULTIPART: ("multipart/form-data", JSON)}


def document(version: str, *, keys: bool) -> dict[str, Json]:
    """The description.

    Args:
        version: The router's.
        keys: Whether there are any: without, nobody needs one.
    """
    paths: dict[str, Json] = {}
    for endpoint in ENDPOINTS:
        _at(paths, endpoint.path)[endpoint.method.lower()] = _endpoint(endpoint, keys=keys)
    for route in routes.ROUTES:
        path = f"{route.path}{{model}}/{{path}}" if route.name_in is NameIn.PATH else route.path
        for method in _methods(route):
            _at(paths, path)[method.lower()] = _route(route, method, keys=keys)
    shapes = {inner for shape in _shapes() for inner in schemas.within(shape)}
    components: dict[str, Json] = {
        "schemas": {
            shape.__name__: schemas.described(shape) for shape in sorted(shapes, key=lambda shape: shape.__name__)
        }
    }
    if keys:
        components["securitySchemes"] = _SCHEMES
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Swapper",
            "version": version,
            "summary": "All models of a machine behind one port, loaded and swapped as they are asked for",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "information", "description": "What there is. No model is loaded for it."},
            {"name": "operation", "description": "For those who run the machine."},
            {"name": "inference", "description": "Answered by the model's engine, which is loaded for it."},
        ],
        "paths": paths,
        "components": components,
    }


def _at(paths: dict[str, Json], path: str) -> dict[str, Json]:
    item = paths.setdefault(path, {})
    if not isinstance(item, dict):
        raise TypeError(path)
    return item


def _shapes() -> Iterable[type]:
    yield from (shape for endpoint in ENDPOINTS for shape in endpoint.shapes)
    yield from (Envelope, *_EVENTS.values())


def _methods(route: Route) -> Sequence[str]:
    path = route.path.encode() + (b"a/b" if route.name_in is NameIn.PATH else b"")
    return [method for method in ("GET", "POST") if routes.find(method.encode(), path) is route]


def _endpoint(endpoint: Endpoint, *, keys: bool) -> dict[str, Json]:
    scope = endpoint.scope
    described: dict[str, Json] = {
        "operationId": endpoint.operation,
        "tags": ["operation" if endpoint.path.startswith(_OPERATION) else "information"],
        "summary": endpoint.summary,
    }
    if endpoint.more:
        described["description"] = endpoint.more
    if endpoint.parameters:
        described["parameters"] = [_parameter(parameter) for parameter in endpoint.parameters]
    described["responses"] = {
        str(endpoint.status): _answer(endpoint),
        **_errors((*endpoint.errors, *_refusals(scope, keys=keys))),
    }
    return described | _security(scope, keys=keys)


def _answer(endpoint: Endpoint) -> dict[str, Json]:
    described: dict[str, Json] = {"description": endpoint.summary}
    if endpoint.contents:
        described["content"] = {content: {"schema": _schema(endpoint, content)} for content in endpoint.contents}
    return described


def _schema(endpoint: Endpoint, content: str) -> Json:
    shapes: list[Json] = [schemas.reference(shape) for shape in endpoint.shapes]
    if shapes:
        return shapes[0] if len(shapes) == 1 else {"anyOf": shapes}
    if content == EVENTS:
        return {"anyOf": [_event(name, shape) for name, shape in _EVENTS.items()]}
    return {"type": "object" if content == JSON else "string"}


def _event(name: str, shape: type) -> Schema:
    """One server-sent event of a stream: the fields that it has, and what is within its data."""
    data: Schema = {
        "type": "string", "contentMediaType": JSON, "contentSchema": schemas.reference(shape),
    }  # fmt: skip
    return {
        "type": "object",
        "properties": {"id": {"type": "string"}, "event": {"const": name}, "data": data},
        "required": ["event", "data"],
    }


def _parameter(parameter: Parameter) -> Json:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path",
        "description": parameter.summary,
        "schema": parameter.schema,
    }


def _route(route: Route, method: str, *, keys: bool) -> dict[str, Json]:
    described: dict[str, Json] = {"tags": ["inference"], "summary": _summary(route, method)}
    string: Schema = {"type": "string", "minLength": 1}
    match route.name_in:
        case NameIn.QUERY:
            described["parameters"] = [{"name": "model", "in": "query", "required": True, "schema": string}]
        case NameIn.PATH:
            described["parameters"] = [
                {"name": name, "in": "path", "required": True, "schema": string} for name in ("model", "path")
            ]
        case NameIn.JSON | NameIn.MULTIPART:
            described["requestBody"] = {
                "required": True, "content": {media: {"schema": _NAMES} for media in _BODIES[route.name_in]}
            }  # fmt: skip
    answer: dict[str, Json] = (
        {"101": {"description": "A WebSocket to the engine."}}
        if route.tunnel
        else {"200": {"description": "As the engine answers.", "content": {JSON: {}, EVENTS: {}, "*/*": {}}}}
    )
    envelope: Json = {JSON: {"schema": {"anyOf": [schemas.reference(Envelope), {"type": "object"}]}}}
    described["responses"] = answer | {
        "default": {"description": "An error, the router's or the engine's own.", "content": envelope}
    }
    return described | _security(route.scope, keys=keys)


def _summary(route: Route, method: str) -> str:
    if route.name_in is NameIn.PATH:
        return "Anything else that an engine answers" + (", if its model is loaded" if method == "GET" else "")
    words = [f"Needs a model that can do `{route.needs}`" if route.needs else "For the engine"]
    if route.passive:
        words.append("no model is loaded for it")
    if route.tunnel:
        words.append("a WebSocket")
    return "; ".join(words)


def _refusals(scope: Scope, *, keys: bool) -> tuple[str, ...]:
    return (*ANY, *(GUARDED if keys and scope not in _FREE else ()))


def _errors(codes: Iterable[str]) -> dict[str, Json]:
    """Responses by status; the description names the codes."""
    by_status: dict[int, list[str]] = {}
    for code in sorted(set(codes)):
        by_status.setdefault(STATUSES[code], []).append(code)
    return {str(status): _error(status, by_status[status]) for status in sorted(by_status)}


def _error(status: int, codes: Sequence[str]) -> Json:
    described: dict[str, Json] = {
        "description": f"{_TEXTS[status]} Codes: {', '.join(f'`{code}`' for code in codes)}.",
        "content": {JSON: {"schema": _only(codes)}},
    }
    if status in {429, 503}:
        summary = "Seconds after which another try makes sense, where that is known."
        described["headers"] = {"Retry-After": {"description": summary, "schema": {"type": "integer", "minimum": 1}}}
    return described


def _only(codes: Sequence[str]) -> Schema:
    """The envelope, with one of these codes in it."""
    code: Schema = {"properties": {"code": {"enum": list(codes)}}}
    return {"allOf": [schemas.reference(Envelope), {"properties": {"error": code}}]}


def _security(scope: Scope, *, keys: bool) -> dict[str, Json]:
    if not keys or scope in _FREE:
        return {}
    return {"security": [{scheme: []} for scheme in _SCHEMES], "x-scope": scope.value}

