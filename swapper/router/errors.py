"""What a client is told: OpenAI's error envelope, made from a code at one edge.

The envelope is that of OpenAI's API (`{"error": {"message", "type", "param", "code"}}`, "Error codes" in its manual),
plus `hint`: what the reader can do.
"""

import json
import math
from dataclasses import dataclass

from swapper.core.model import Failure

STATUSES = {
    "body_too_large": 413,
    "client_gone": 499,
    "client_too_slow": 408,
    "config_invalid": 503,
    "dbus_unavailable": 503,
    "duplicate_model": 400,
    "engine_broke_off": 502,
    "engine_refused": 502,
    "engine_unreachable": 503,
    "gpu_pinned": 503,
    "head_too_large": 431,
    "host_refused": 403,
    "internal_error": 500,
    "invalid_json": 400,
    "invalid_multipart": 400,
    "invalid_request": 400,
    "key_busy": 429,
    "key_missing": 401,
    "key_scope": 403,
    "key_wrong": 401,
    "keys_required": 403,
    "media_refused": 400,
    "media_too_large": 400,
    "media_type": 400,
    "media_unreachable": 400,
    "method_not_allowed": 405,
    "model_busy": 503,
    "model_disabled": 503,
    "model_failed": 503,
    "model_incomplete": 503,
    "model_incapable": 400,
    "model_invalid": 400,
    "model_load_timeout": 503,
    "model_missing": 400,
    "model_not_found": 404,
    "model_not_loaded": 503,
    "model_not_parked": 409,
    "model_restarted": 503,
    "model_stopped": 503,
    "model_stuck": 503,
    "model_unloaded": 503,
    "not_found": 404,
    "origin_refused": 403,
    "path_refused": 403,
    "queue_full": 429,
    "queue_timeout": 503,
    "request_cancelled": 410,
    "request_not_found": 404,
    "router_stopping": 503,
    "spool_failed": 500,
    "spool_full": 507,
    "unit_refused": 503,
    "unknown_coding": 501,
    "unknown_expectation": 417,
    "unknown_version": 505,
    "unsupported_encoding": 415,
}
"""HTTP status of each code; a code that is not here is a defect and answers 500."""


@dataclass(slots=True, eq=False)
class ApiError(Exception):
    """An answer that is an error.

    Attributes:
        code: One of `STATUSES`.
        message: What happened.
        hint: What the reader can do; empty when there is nothing.
        param: The request's field that is wrong, as OpenAI names it.
        retry_after: Seconds after which another try makes sense.
        journal: The last lines of the unit's journal, where the engine is to blame.
        challenge: How to show a key, as WWW-Authenticate says it (RFC 9110, 11.6.1).
    """

    code: str
    message: str
    hint: str = ""
    param: str | None = None
    retry_after: float | None = None
    journal: tuple[str, ...] = ()
    challenge: str = ""

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUSES.get(self.code, 500)

    @property
    def body(self) -> bytes:
        """The error envelope as JSON."""
        return json.dumps({"error": self.fields}, ensure_ascii=False).encode()

    def event(self, target: bytes) -> bytes:
        """The error as one server-sent event, for streams that have begun.

        Anthropic's clients heed no event without a name ("Error events" in its manual of streaming messages); OpenAI's
        do without, and some stumble over one.

        Args:
            target: What the client asked for: path and query.
        """
        if not target.startswith(b"/v1/messages"):
            return b"data: " + self.body + b"\n\n"
        named = json.dumps({"type": "error", "error": self.fields}, ensure_ascii=False)
        return b"event: error\ndata: " + named.encode() + b"\n\n"

    @property
    def fields(self) -> dict[str, str | list[str] | None]:
        """What stands in the envelope."""
        status = self.status
        kind = "not_found_error" if status == 404 else "rate_limit_error" if status == 429 else ""
        kind = kind or ("invalid_request_error" if status < 500 else "server_error")
        fields: dict[str, str | list[str] | None] = {
            "message": self.message,
            "type": kind,
            "param": self.param,
            "code": self.code,
        }
        if self.hint:
            fields["hint"] = self.hint
        if self.journal:
            # Clients show the message and little else.
            fields["message"] = f"{self.message} Its journal ends: {' | '.join(self.journal[-3:])}"
            fields["journal"] = list(self.journal)
        return fields

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to this error beside the content's."""
        headers = {"WWW-Authenticate": self.challenge} if self.challenge else {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        return headers


def from_failure(failure: Failure) -> ApiError:
    """The answer for what the scheduler could not do."""
    return ApiError(failure.code, failure.message, failure.hint, retry_after=failure.retry_after)
