"""Machines, and web pages on them, as the configuration names them."""

import re

from swapper.config.kinds import matching
from swapper.config.nodes import Reader, Value
from swapper.config.table import Kind

_PEER = re.compile(r"(?:\[(?P<inner>[^]]+)\]|(?P<host>[^][:]+))(?P<port>:[0-9]{1,5})?")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s]+")


def _peer(reader: Reader, value: Value, what: str) -> str | None:
    """A host name, an address or a network, perhaps with a port, for those who decide what may be fetched."""
    import ipaddress  # noqa: PLC0415 — for the few who allow private addresses; costs every start otherwise

    text = reader.text(value, what)
    if text is None:
        return None
    match = _PEER.fullmatch(text)
    host, port = (match["inner"] or match["host"], match["port"] or "") if match else (text, "")
    try:
        network = str(ipaddress.ip_network(host))
        return f"[{network}]{port}" if port and ":" in network else network + port
    except ValueError:
        labels = host.lower().removesuffix(".").split(".")
    if all(label.isascii() and label.replace("-", "").replace("_", "").isalnum() for label in labels):
        return ".".join(labels) + port
    hint = "such as files.example.com, 192.168.1.7:8080, [fd00::7]:8080 or 192.168.1.0/24; no scheme, no path"
    reader.wrong(value, f"{what} wants host names, addresses and networks, not {text!r}", hint)
    return None


def _host(reader: Reader, value: Value, what: str) -> str | None:
    """A name as it stands in a Host field, without its port."""
    text = reader.text(value, what)
    if text is not None and not _HOST.fullmatch(text):
        reader.wrong(value, f"{what} wants host names, not {text!r}", "such as gpu.example.com; no scheme, no port")
        return None
    return text.lower().removesuffix(".") if text is not None else None


def _origin(reader: Reader, value: Value, what: str) -> str | None:
    """A web page's origin (RFC 6454): scheme, host and port, as browsers send it."""
    text = reader.text(value, what)
    if text is not None and text != "*" and not _ORIGIN.fullmatch(text):
        hint = "such as https://chat.example.com or http://localhost:3000; no path, no '/' at the end; or '*'"
        reader.wrong(value, f"{what} wants origins, not {text!r}", hint)
        return None
    return text.lower() if text is not None else None


_IPV6 = "[0-9A-Fa-f.]*:[0-9A-Fa-f.:]*(?:/[0-9]+)?"
_NAME_OR_IPV4 = "[A-Za-z0-9_.-]+(?:/[0-9.]+)?(?::[0-9]{1,5})?"
_IN_BRACKETS = r"\[[^\]]+\](?::[0-9]{1,5})?"

PEER = Kind("host", matching(f"(?:{_IPV6}|{_NAME_OR_IPV4}|{_IN_BRACKETS})", bare=True), _peer)
HOST = Kind("host", matching(_HOST.pattern, bare=True), _host)
ORIGIN = Kind("origin", matching(rf"(?:\*|{_ORIGIN.pattern})"), _origin)
