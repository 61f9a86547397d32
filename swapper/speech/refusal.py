"""Answers that are no sound, in OpenAI's envelope ("Error codes" in its manual), with a hint of what to do."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

STATUSES: Mapping[str, int] = {
    "body_too_large": 413,
    "format_unknown": 400,
    "invalid_json": 400,
    "invalid_request": 400,
    "length_required": 411,
    "method_not_allowed": 405,
    "not_found": 404,
    "speech_failed": 500,
    "voice_unknown": 400,
}
"""HTTP status of each code."""


@dataclass(slots=True, eq=False)
class Refusal(Exception):  # noqa: N818 -- not every one of them is an error of ours
    """Why there is no sound.

    Attributes:
        code: One of `STATUSES`.
        message: What happened.
        hint: What to do; empty where there is nothing.
        param: The field of the request that is wrong.
    """

    code: str
    message: str
    hint: str = ""
    param: str | None = None

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUSES[self.code]

    @property
    def body(self) -> bytes:
        """The envelope."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return json.dumps({"error": error | ({"hint": self.hint} if self.hint else {})}).encode()
