"""What the router answers itself: one table of method, path, question and answers.

`api.handlers` answers exactly these, `api.openapi` describes exactly these, and a test holds the two together.
"""

from dataclasses import dataclass

from swapper.router.api.anthropic import HEADER, MOST, AnthropicModel, AnthropicModels
from swapper.router.api.shapes import Card, Cards, Details, Health, Index, Json, Overview, Running
from swapper.router.api.views import Cancelled, Requests, Settings, Timeline, UnitText, Usage, Whoever
from swapper.router.routes import Scope

MOST_LINES = 10_000
"""Most lines of a journal that one request gets."""

JSON, HTML, TEXT, EVENTS = "application/json", "text/html", "text/plain", "text/event-stream"

LOADING = (
    "dbus_unavailable", "gpu_pinned", "model_busy", "model_disabled", "model_failed", "model_incomplete",
    "model_load_timeout", "model_restarted", "model_stopped", "model_unloaded", "queue_full", "queue_timeout",
    "router_stopping", "unit_refused",
)  # fmt: skip
"""Codes of what keeps a model from being loaded."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a request may say.

    Attributes:
        name: What it is called.
        where: `path`, `query` or `header`.
        schema: Its values, as a JSON Schema.
        summary: What it is.
    """

    name: str
    where: str
    schema: dict[str, Json]
    summary: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method on one path.

    Attributes:
        operation: Its name, for those who make clients from the description.
        method: GET, POST or DELETE; whoever may GET may HEAD.
        path: With the parameters in braces.
        summary: What it does, in one line.
        scope: Who may ask, where there are keys.
        shapes: What is answered with 200; none for answers that are not JSON. Where there are several, the client's
            headers decide.
        contents: The media types that it may be of; none where an answer has no content.
        parameters: What a request may say.
        errors: Codes of the errors that it may answer, beside those that any request may meet.
        more: What else there is to know.
        status: Of the answer that is no error.
    """

    operation: str
    method: str
    path: str
    summary: str
    scope: Scope
    shapes: tuple[type, ...] = ()
    contents: tuple[str, ...] = (JSON,)
    parameters: tuple[Parameter, ...] = ()
    errors: tuple[str, ...] = ()
    more: str = ""
    status: int = 200


_MODEL = Parameter(
    "model", "path", {"type": "string", "minLength": 1}, "A model's name or alias; a `/` in it may be sent as it is."
)
_VERSION = Parameter(HEADER, "header", {"type": "string"}, "Whoever sends it is answered as by Anthropic's API.")
_UNKNOWN = ("model_not_found", "config_invalid")
_IN_PAGES = (
    Parameter(
        "limit", "query", {"type": "integer", "minimum": 1, "maximum": MOST},
        f"With `{HEADER}`: most models of one answer; all of them without it.",
    ),
    Parameter("after_id", "query", {"type": "string"}, f"With `{HEADER}`: models after this one."),
    Parameter("before_id", "query", {"type": "string"}, f"With `{HEADER}`: models before this one."),
)  # fmt: skip
_OF_LOG = (
    Parameter(
        "lines", "query", {"type": "integer", "minimum": 0, "maximum": MOST_LINES, "default": 100},
        "How many of the last lines.",
    ),
    Parameter(
        "follow", "query", {"type": "string", "enum": ["", "0", "1", "false", "true"], "default": "0"},
        "Whether new lines are sent as they come, for as long as the client listens.",
    ),
)  # fmt: skip

_REQUEST = Parameter("id", "path", {"type": "string", "minLength": 1}, "A request's id: its `X-Request-Id`.")
_FILE = Parameter("file", "path", {"type": "string", "minLength": 1}, "One of the dashboard's files.")

ENDPOINTS = (
    Endpoint("index", "GET", "/", "Where things are", Scope.OPEN, (Index,)),
    Endpoint("ui", "GET", "/ui", "The dashboard: a page for people", Scope.PUBLIC, contents=(HTML,)),
    Endpoint("uiFolder", "GET", "/ui/", "Leads to the dashboard", Scope.PUBLIC, contents=(), status=308),
    Endpoint(
        "uiFile", "GET", "/ui/{file}", "A script, style or picture of the dashboard", Scope.PUBLIC,
        contents=("text/javascript", "text/css", "text/html", "image/svg+xml"), parameters=(_FILE,),
        errors=("not_found",),
    ),
    Endpoint("health", "GET", "/health", "Whether the router does its work", Scope.OPEN, (Health,)),
    Endpoint("openapi", "GET", "/openapi.json", "This description", Scope.OPEN, contents=(JSON,)),
    Endpoint("metrics", "GET", "/metrics", "Metrics for Prometheus", Scope.ADMIN, contents=(TEXT,)),
    Endpoint("running", "GET", "/running", "The models that hold GPU memory", Scope.INFERENCE, (Running,)),
    Endpoint(
        "listModels", "GET", "/v1/models", "All models, as clients of OpenAI's or of Anthropic's API list them",
        Scope.INFERENCE, (Cards, AnthropicModels), parameters=(_VERSION, *_IN_PAGES),
        errors=("invalid_request", "model_not_found"),
        more="Tells what each model is doing. No model is loaded for it.",
    ),
    Endpoint(
        "retrieveModel", "GET", "/v1/models/{model}", "One model, by its name or an alias", Scope.INFERENCE,
        (Card, AnthropicModel), parameters=(_MODEL, _VERSION), errors=_UNKNOWN,
    ),
    Endpoint("key", "GET", "/api/key", "Who asks, and whether operation is allowed", Scope.INFERENCE, (Whoever,)),
    Endpoint(
        "requests", "GET", "/api/requests", "Requests to engines, under way and over", Scope.INFERENCE, (Requests,),
        more="All of them for a key of scope `admin`, else those of the key that asks.",
    ),
    Endpoint(
        "cancel", "DELETE", "/api/requests/{id}", "Have a request ended", Scope.ADMIN, (Cancelled,),
        parameters=(_REQUEST,), errors=("not_found", "request_not_found"),
        more="Its client gets an error `request_cancelled`, in the stream where that has begun.",
    ),
    Endpoint(
        "timeline", "GET", "/api/timeline", "The last hour: changes of state, and when models served",
        Scope.INFERENCE, (Timeline,),
    ),
    Endpoint(
        "usage", "GET", "/api/usage", "What keys have used since the router's start", Scope.INFERENCE, (Usage,),
        more="All keys for one of scope `admin`, else the key that asks.",
    ),
    Endpoint(
        "overview", "GET", "/api/models", "Models, GPUs, queue and recent changes, for operators", Scope.INFERENCE,
        (Overview,),
    ),
    Endpoint(
        "log", "GET", "/api/models/{model}/log", "The journal of a model's unit", Scope.ADMIN, contents=(TEXT,),
        parameters=(_MODEL, *_OF_LOG), errors=("invalid_request", *_UNKNOWN),
    ),
    Endpoint(
        "unit", "GET", "/api/models/{model}/unit", "The files that define a model's unit", Scope.ADMIN, (UnitText,),
        parameters=(_MODEL,), errors=(*_UNKNOWN, "dbus_unavailable", "unit_refused"),
        more="What `systemctl cat` prints, an administrator's drop-ins included.",
    ),
    Endpoint(
        "settings", "GET", "/api/models/{model}/settings", "A model's settings in force, and who said so",
        Scope.ADMIN, (Settings,), parameters=(_MODEL,), errors=_UNKNOWN,
    ),
    Endpoint(
        "detail", "GET", "/api/models/{model}", "One model, for operators", Scope.INFERENCE, (Details,),
        parameters=(_MODEL,), errors=_UNKNOWN,
    ),
    Endpoint(
        "load", "POST", "/api/models/{model}/load", "Have a model loaded", Scope.ADMIN, (Details,),
        parameters=(_MODEL,), errors=(*_UNKNOWN, *LOADING),
        more="Answers when the model is ready, or why it cannot be. Other models may have to make room.",
    ),
    Endpoint(
        "unload", "POST", "/api/models/{model}/unload", "Have a model stopped", Scope.ADMIN, (Details,),
        parameters=(_MODEL,), errors=(*_UNKNOWN, "model_stuck", "router_stopping"),
        more="Its requests may end first. Answers when the unit is gone; where somebody asked for the model meanwhile, "
        "it may be `starting` again by then.",
    ),
    Endpoint(
        "park", "POST", "/api/models/{model}/park", "Have a model parked", Scope.ADMIN, (Details,),
        parameters=(_MODEL,),
        errors=(*_UNKNOWN, "model_not_parked", "model_stuck", "router_stopping"),
        more="For models with `on_swap: park`: the GPU's memory is free then, and the next request wakes the model. "
        "Its requests may end first. Answers when it is parked.",
    ),
    Endpoint(
        "events", "GET", "/api/events", "What changes, as server-sent events", Scope.INFERENCE, contents=(EVENTS,),
        more="First an event `models` with the state of each, then an event `state` for each change, and "
        "`progress` while one is loaded, or its files are pulled. Comments come in between while nothing happens.",
    ),
)  # fmt: skip
"""All of them; a path with a parameter in its middle comes before the one that it ends with."""
