"""Finds the model's name in a multipart form, wherever among the fields and files it comes (RFC 7578)."""

import re

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from swapper.router.errors import ApiError
from swapper.router.wire.found import Found, model_invalid, model_missing, model_twice

_NAME_LIMIT = 1024
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_BOUNDARIES = re.compile(rb"boundary[ \t*]*=", re.IGNORECASE)
_MAX_PARTS = 1000
_FIELDS = frozenset({"model", "stream"})
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PARAMETER = re.compile(rf';[ \t]*([^=;"\s]+)=({_QUOTED}|[^";\s]*)[ \t]*')
_TRUE = frozenset({b"true", b"1", b"yes", b"on", b"t", b"y"})  # what vLLM's form parser (pydantic) takes for true


def _invalid(what: str) -> ApiError:
    return ApiError("invalid_multipart", f"The request body is not a valid multipart form: {what}.",
                    "Send multipart/form-data as curl's --form does.")  # fmt: skip


def _is_plain(disposition: str, name: str) -> bool:
    """Whether all parsers find this name, and no other that could be `model`."""
    if "model" not in disposition:
        return True
    keys = [key for key, _ in _PARAMETER.findall(disposition)]
    rest = _PARAMETER.sub("", disposition).strip(" \t;")
    extended = "name*" in keys or (name in _FIELDS and "filename*" in keys)  # RFC 8187, which few understand here
    return rest == "form-data" and len(set(keys)) == len(keys) and not extended


def _name(segment: MultipartSegment) -> str:
    """The name of a part; raises ApiError where it depends on the parser."""
    name = str(segment.name)
    found = [value.lower() for field, value in segment.headerlist if field.lower() == "content-disposition"]
    if len(found) != 1 or "\\" in name or not _is_plain(found[0], name):
        raise _invalid("a part's name can be read in two ways")
    return name


class FormScanner:
    """Scans a form piece by piece: `feed` each, then `finish`."""

    def __init__(self, content_type: bytes) -> None:
        kind, options = parse_options_header(content_type.decode("latin-1"))
        boundary = options.get("boundary", "")
        if kind != "multipart/form-data":
            raise _invalid("its Content-Type is another one")
        # Of two boundaries, some take the first and some the last.
        if _BOUNDARY.fullmatch(boundary) is None or len(_BOUNDARIES.findall(content_type)) > 1:
            raise _invalid("its Content-Type has no proper boundary")
        self._parser = PushMultipartParser(boundary, max_segment_count=_MAX_PARTS)
        self._name = ""
        self._value: bytearray | None = None
        self._models = 0
        self._model: bytes | None = None
        self._stream = False

    def feed(self, data: bytes) -> None:
        """Scan the next piece, which must not be empty.

        Raises:
            ApiError: 400 `invalid_multipart`.
        """
        try:
            for event in self._parser.parse(data):
                match event:
                    case MultipartSegment():
                        self._name = _name(event)
                        self._value = bytearray() if self._name in _FIELDS and event.filename is None else None
                    case None:
                        if self._value is not None:
                            self._field(bytes(self._value))
                    case _:
                        if self._value is not None and len(self._value) <= _NAME_LIMIT:
                            self._value += event
        except MultipartError as exc:
            raise _invalid(str(exc).rstrip(".").lower()) from exc

    def _field(self, value: bytes) -> None:
        if self._name == "model":
            self._models += 1
            self._model = value
        else:
            self._stream = value.lower() in _TRUE

    def finish(self) -> Found:
        """The body has ended: say what was found.

        Raises:
            ApiError: 400 with `invalid_multipart`, `model_missing`, `model_invalid` or `duplicate_model`.
        """
        try:
            self._parser.close()
        except MultipartError as exc:
            raise _invalid("it ends too early") from exc
        if self._models > 1:
            raise model_twice()
        if self._model is None:
            raise model_missing()
        if not self._model or len(self._model) > _NAME_LIMIT:
            raise model_invalid()
        try:
            return Found(self._model.decode(), (), self._stream)
        except UnicodeDecodeError as exc:
            raise model_invalid() from exc
