"""Who may ask the agent on port 4000: the rule of port 8000.

Without keys whoever is on this machine, under a name that only this machine can have; with keys who shows one of them.
Web pages of others never: what a browser sends for them carries their Origin. (RFC 6750; RFC 6454; "Security" in MCP's
specification of its transport.)
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from swapper.keys import Fingerprints, Known, presented
from swapper.locality import PASSED_ON, is_local, is_ours, is_own_page


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered.

    Attributes:
        status: Of HTTP.
        code: One word.
        message: What happened.
        hint: What to do.
        headers: That belong to it.
    """

    status: int
    code: str
    message: str
    hint: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        """The answer, in OpenAI's envelope."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        error = {"message": self.message, "type": kind, "param": None, "code": self.code, "hint": self.hint}
        return web.json_response({"error": error}, status=self.status, headers=self.headers)


class Admission:
    """Judges requests."""

    def __init__(self, keys: Iterable[Known] | None = None) -> None:
        """Know the keys.

        Args:
            keys: What `swapper.keys.read` finds; none of them lets nobody in. None where nobody made keys.
        """
        self._fingerprints = None if keys is None else Fingerprints(keys)

    def judge(self, request: web.Request) -> Refusal | None:
        """Why a request is not answered; None where it is."""
        host, origin = (request.headers.get(name, "").encode() for name in ("Host", "Origin"))
        if origin and not is_own_page(origin, host):
            return Refusal(403, "origin_refused", "Web pages of others may not use this port.")
        if self._fingerprints is None:
            return _unkeyed(request, host)
        authorization, api_key = (request.headers.get(name, "").encode() for name in ("Authorization", "X-Api-Key"))
        key = presented(authorization, api_key)
        if key is not None and self._fingerprints.find(key) is not None:
            return None
        code, message = ("key_missing", "wants an API key") if key is None else ("key_wrong", "does not know this key")
        hint = "Send it as `Authorization: Bearer KEY`."
        return Refusal(401, code, f"This port {message}.", hint, {"WWW-Authenticate": 'Bearer realm="swapper"'})


def _unkeyed(request: web.Request, host: bytes) -> Refusal | None:
    sockname = request.transport.get_extra_info("sockname") if request.transport is not None else None
    if not is_local(sockname) or any(name.lower().encode() in PASSED_ON for name in request.headers):
        return Refusal(403, "keys_required", "Without API keys, this port answers its own machine only, and no proxy.")
    if host and not is_ours(host):
        return Refusal(403, "host_refused", "This port is not known by that name.", "Use its address.")
    return None
