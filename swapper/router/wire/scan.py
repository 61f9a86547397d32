"""Finds the model's name, and media to fetch, in a JSON body that may be too large to hold.

Rules of this file:
  * One truth: the scanner takes JSON as RFC 8259 has it, UTF-8, in pieces of any size, and refuses what `json.loads`
    refuses. It keeps no more than the piece at hand. `inspect` is a short cut for small bodies of the common kind, with
    the same result.
  * Python handles tokens one at a time; whatever is uninteresting is skipped by a regular expression at C speed. These
    match whole elements only, possessively, so they are linear, and what they do not match is left to the tokens.
  * A name that appears twice is refused: the engine's parser might take the other one.
"""

import codecs
import enum
import json
import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from swapper.router.errors import ApiError
from swapper.router.wire.found import Found, MediaRef, model_invalid, model_missing, model_twice
from swapper.router.wire.jsongrammar import ANY_KEY, DULL_KEY, SCALAR_WORD, SPACE, STRING_REST, WORD, elements

_NAME_LIMIT = 64  # longest key that matters, in bytes, even with each letter escaped
_MODEL_LIMIT = 1024
_URL_LIMIT = 16 * 1024
_NUMBER_LIMIT = 4300  # as Python's own limit (sys.int_info.default_max_str_digits)
_DEPTH_LIMIT = 1000


def invalid_json(what: str) -> ApiError:
    """The error for a body that is not JSON."""
    return ApiError("invalid_json", f"The request body is not valid JSON: {what}.",
                    "Send one JSON object, in UTF-8.")  # fmt: skip


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


_WHITE = " \t\n\r"
_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def inspect(body: bytes) -> Found:
    """Find the model's name and the media URLs in a body that is held in memory.

    Raises:
        ApiError: 400 with `invalid_json`, `model_missing`, `model_invalid` or `duplicate_model`.
    """
    # With one `"model"`, no key that ends in `_url`, and neither of them written with escapes, the plain decoder says
    # all there is to say, ten times as fast as the scanner.
    if body.count(b'"model"') != 1 or b'_url"' in body or b"\\u00" in body:
        scanner = JsonScanner()
        scanner.feed(body)
        return scanner.finish()
    try:
        text = body.decode()
        # What `decode` does, less two regular expressions for white space.
        value, end = _DECODER.raw_decode(text, len(text) - len(text.lstrip(_WHITE)))
        if end != len(text) and text[end:].strip(_WHITE):
            raise json.JSONDecodeError("Extra data", text, end)
    except (ValueError, RecursionError) as exc:
        raise invalid_json(_reason(exc)) from exc
    if type(value) is not dict:
        raise invalid_json("it is not an object")
    model = value.get("model")
    if type(model) is not str:
        raise model_invalid() if "model" in value else model_missing()
    if len(model) > _MODEL_LIMIT:
        raise model_invalid()
    return Found(model, (), value.get("stream") is True)


def _reason(exc: Exception) -> str:
    match exc:
        case json.JSONDecodeError():
            return f"{exc.msg.lower()} at byte {len(exc.doc[: exc.pos].encode())}"
        case UnicodeDecodeError():
            return f"byte {exc.start} is not UTF-8"
        case RecursionError():
            return "it is nested too deeply"
        case _:
            return str(exc)


_QUOTE, _BACKSLASH, _COMMA, _COLON = b'"\\,:'
_BRACE, _BRACE_END, _BRACKET, _BRACKET_END = b"{}[]"
_OPENING = frozenset(b"{[")
_SPACES = frozenset(b" \t\n\r")


class _State(enum.Enum):
    """What may come next."""

    START = enum.auto()
    VALUE = enum.auto()
    FIRST_VALUE = enum.auto()
    KEY = enum.auto()
    FIRST_KEY = enum.auto()
    COLON = enum.auto()
    COMMA = enum.auto()
    STRING = enum.auto()
    END = enum.auto()


class _Area(enum.Enum):
    """What part of the body a container is."""

    TOP = enum.auto()
    DULL = enum.auto()
    MEDIA = enum.auto()  # below `messages` or `input`
    SOURCE = enum.auto()  # the object behind `image_url`, `audio_url` or `video_url`


class _Role(enum.Enum):
    """What a string is."""

    KEY = enum.auto()
    DULL = enum.auto()
    MODEL = enum.auto()
    URL = enum.auto()


_LIMITS = {_Role.DULL: 0, _Role.KEY: _NAME_LIMIT, _Role.MODEL: _MODEL_LIMIT, _Role.URL: _URL_LIMIT}


class _Frame(NamedTuple):
    """One open container."""

    area: _Area
    is_object: bool
    skip: re.Pattern[bytes] | None


@cache
def _skips() -> Mapping[tuple[_Area, bool], re.Pattern[bytes]]:
    """What skips elements of a container. Made when it is first needed: compiling takes as long as 20 ms."""
    return {
        (area, is_object): elements(key, is_object=is_object)
        for area, key in ((_Area.DULL, ANY_KEY), (_Area.MEDIA, DULL_KEY))
        for is_object in (False, True)
    }


def _is_data(url: str) -> bool:
    """Whether a URL needs no fetching. All others go to who fetches: what is refused there, no engine gets to see.

    An engine would read `file:` URLs, and parsers of URLs overlook spaces and line breaks before and in `http:`.
    """
    return url[:5].lower() == "data:"


_MEDIA_KEYS = frozenset({"image_url", "audio_url", "video_url"})
_LISTS = frozenset({"messages", "input"})


class JsonScanner:
    """Scans a JSON object piece by piece: `feed` each, then `finish`."""

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._skips = _skips()
        self._carry = b""  # the beginning of a token whose end has not come
        self._base = 0  # where the data at hand begins in the body
        self._state = _State.START
        self._frames: list[_Frame] = []
        self._key: str | None = None  # the key whose value comes next, where keys matter
        self._role = _Role.DULL  # of the string at hand
        self._text: bytearray | None = None  # the string at hand, where it matters
        self._string_start = 0
        self._model: str | None = None
        self._models = 0
        self._stream = False
        self._media: list[MediaRef] = []

    def feed(self, data: bytes) -> None:
        """Scan the next piece.

        Raises:
            ApiError: 400 `invalid_json`.
        """
        try:
            self._utf8.decode(data)
        except UnicodeDecodeError as exc:
            raise invalid_json(f"byte {self._base + len(self._carry) + exc.start} is not UTF-8") from exc
        if self._carry:
            data = self._carry + data
        position, end = 0, len(data)
        while position < end:
            after = self._string(data, position) if self._state is _State.STRING else self._token(data, position)
            if after < 0:
                break
            position = after
        self._carry = data[position:]
        self._base += position

    def finish(self) -> Found:
        """The body has ended: say what was found.

        Raises:
            ApiError: 400 with `invalid_json`, `model_missing`, `model_invalid` or `duplicate_model`.
        """
        try:
            self._utf8.decode(b"", final=True)
        except UnicodeDecodeError as exc:
            raise invalid_json("it ends inside a character") from exc
        if self._state is not _State.END or self._carry:
            raise invalid_json("it ends too early")
        if self._models > 1:
            raise model_twice()
        if self._model is None:
            raise model_invalid() if self._models else model_missing()
        return Found(self._model, tuple(self._media), self._stream)

    def _bad(self, position: int, what: str) -> ApiError:
        return invalid_json(f"{what} at byte {self._base + position}")

    def _token(self, data: bytes, position: int) -> int:
        """Take one token, or skip many; returns where it ends, or -1 when it needs more data."""
        state = self._state
        begins = state is _State.VALUE or state is _State.FIRST_VALUE
        if begins or state is _State.KEY or state is _State.FIRST_KEY:
            skip = self._frames[-1].skip
            if skip is not None and self._frames[-1].is_object is not begins:
                match = skip.match(data, position)
                if match is not None and match.end() > position:
                    self._state = _State.COMMA if match[1] is not None else _State.VALUE if begins else _State.KEY
                    return match.end()
        if data[position] in _SPACES:
            space = SPACE.match(data, position)
            return space.end() if space else position
        if begins:
            return self._value(data, position)
        if state is _State.COMMA or state is _State.COLON:
            return self._between(data, position)
        if state is _State.END:
            raise self._bad(position, "extra data")
        if state is not _State.START:
            return self._name(data, position)
        if data[position] != _BRACE:
            raise invalid_json("it is not an object")
        return self._open(position, _Area.TOP, is_object=True)

    def _name(self, data: bytes, position: int) -> int:
        """The name of a member begins here, or the object ends."""
        if data[position] == _QUOTE:
            return self._open_string(position, _Role.KEY, matters=self._frames[-1].area is not _Area.DULL)
        if self._state is _State.FIRST_KEY and data[position] == _BRACE_END:
            return self._close(data, position)
        raise self._bad(position, "expecting a name in double quotes")

    def _between(self, data: bytes, position: int) -> int:
        """A colon, a comma, or the end of a container."""
        byte = data[position]
        if self._state is _State.COLON:
            if byte != _COLON:
                raise self._bad(position, "expecting ':'")
            self._state = _State.VALUE
        elif byte == _COMMA:
            self._state = _State.KEY if self._frames[-1].is_object else _State.VALUE
        else:
            return self._close(data, position)
        return position + 1

    def _value(self, data: bytes, position: int) -> int:
        """A value begins here, or the array ends."""
        byte = data[position]
        if byte == _BRACKET_END and self._state is _State.FIRST_VALUE:
            return self._close(data, position)
        area, in_object, _ = self._frames[-1]
        key = self._key if in_object else None
        is_model = area is _Area.TOP and key == "model"
        is_media = (area is _Area.MEDIA and key in _MEDIA_KEYS) or (area is _Area.SOURCE and key == "url")
        if byte == _QUOTE:
            role = _Role.MODEL if is_model else _Role.URL if is_media else _Role.DULL
            end = self._open_string(position, role, matters=is_model or is_media)
        elif byte in _OPENING:
            inner = _Area.DULL
            if area is _Area.TOP and key in _LISTS:
                inner = _Area.MEDIA
            elif area is _Area.MEDIA:
                inner = _Area.SOURCE if is_media and byte == _BRACE else _Area.MEDIA
            end = self._open(position, inner, is_object=byte == _BRACE)
        else:
            end = self._word(data, position)
        if end > 0 and area is _Area.TOP:
            if is_model:
                self._models += 1
            elif key == "stream":
                self._stream = data[position:end] == b"true"
        return end

    def _word(self, data: bytes, position: int) -> int:
        """A number, or one of the three words, stands here."""
        word = WORD.match(data, position)
        if word is None:
            raise self._bad(position, "expecting a value")
        if word.end() - position > _NUMBER_LIMIT:
            raise self._bad(position, "a number is too long")
        if word.end() == len(data):
            return -1
        if SCALAR_WORD.fullmatch(word[0]) is None:
            raise self._bad(position, "expecting a value")
        self._state = _State.COMMA
        return word.end()

    def _open(self, position: int, area: _Area, *, is_object: bool) -> int:
        if len(self._frames) == _DEPTH_LIMIT:
            raise invalid_json("it is nested too deeply")
        self._frames.append(_Frame(area, is_object, self._skips.get((area, is_object))))
        self._state = _State.FIRST_KEY if is_object else _State.FIRST_VALUE
        return position + 1

    def _close(self, data: bytes, position: int) -> int:
        if data[position] != (_BRACE_END if self._frames[-1].is_object else _BRACKET_END):
            raise self._bad(position, "expecting ',' or the end")
        self._frames.pop()
        self._state = _State.COMMA if self._frames else _State.END
        return position + 1

    def _open_string(self, position: int, role: _Role, *, matters: bool) -> int:
        """A string begins here."""
        self._role = role
        self._key = None
        self._text = bytearray() if matters else None
        self._string_start = self._base + position
        self._state = _State.STRING
        return position + 1

    def _string(self, data: bytes, position: int) -> int:
        """Take what is here of a string."""
        rest = STRING_REST.match(data, position)
        end = rest.end() if rest else position
        if self._text is not None:
            self._text += data[position : min(end, position + _LIMITS[self._role] + 1 - len(self._text))]
        if end == len(data):
            return end
        if data[end] == _QUOTE:
            self._state = _State.COLON if self._role is _Role.KEY else _State.COMMA
            self._string_ended(self._base + end + 1)
            return end + 1
        if data[end] == _BACKSLASH and len(data) - end < len(r"\u0000"):
            # Perhaps the beginning of an escape. What is before it has been taken.
            if end > position:
                return end
            return -1
        raise self._bad(end, "a string has a bare control character or a wrong escape")

    def _string_ended(self, end: int) -> None:
        """The string at hand is whole: note what it means, if anything."""
        text, self._text = self._text, None
        if text is None:
            return
        if len(text) > _LIMITS[self._role]:
            # Cut off. A key or a name of that length is none of ours; a URL of that length is a data URL.
            if self._role is _Role.URL and not _is_data(text[:_NAME_LIMIT].decode(errors="replace")):
                raise ApiError("media_refused", "A media URL is longer than 16 KiB.", "Send it as a data URL.")
            return
        value = _DECODER.decode(f'"{text.decode()}"')
        if self._role is _Role.KEY:
            self._key = value
        elif self._role is _Role.MODEL:
            self._model = value
        elif not _is_data(value):
            self._media.append(MediaRef(self._string_start, end, value))
