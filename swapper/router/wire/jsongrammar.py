"""The grammar of JSON (RFC 8259) as regular expressions over bytes, for a scanner that gets a body in pieces.

Each is possessive throughout, so it is linear, and a piece that ends inside an element is no match.
"""

import re

_SKIP_DEPTH = 2  # one more makes the expressions, and the time to compile them, three times as large

_WS = r"[ \t\n\r]*+"
_TEXT = r'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+'
_SCALAR = rf'(?:"{_TEXT}"|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+(?![-+.0-9a-zA-Z])|true|false|null)'
ANY_KEY = f'"{_TEXT}"'
DULL_KEY = r'"(?!(?:image|audio|video)_url")[^"\\\x00-\x1f]*+"'


def _element(key: str, depth: int) -> str:
    if depth == 0:
        return _SCALAR
    inner = _element(key, depth - 1)
    end = rf"{_WS}(?:,{_WS}(?![\]}}])|(?=[\]}}]))"
    return rf"(?:{_SCALAR}|\[{_WS}(?:{inner}{end})*+\]|\{{{_WS}(?:{key}{_WS}:{_WS}{inner}{end})*+\}})"


def elements(key: str, *, is_object: bool) -> re.Pattern[bytes]:
    """Matches elements of an array, or members of an object, with the comma after each.

    The last one, which has no comma, is the only group.
    """
    element, end = _element(key, _SKIP_DEPTH), r"\]"
    if is_object:
        element, end = rf"{key}{_WS}:{_WS}{element}", r"\}"
    return re.compile(rf"(?:{_WS}{element}{_WS},)*+({_WS}{element}{_WS}(?={end}))?+".encode("latin-1"))


SPACE = re.compile(_WS.encode())
STRING_REST = re.compile(_TEXT.encode("latin-1"))
WORD = re.compile(rb"[-+.0-9A-Za-z]++")
SCALAR_WORD = re.compile(rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+|true|false|null")
