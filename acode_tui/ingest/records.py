"""Decodes a line of JSON into a typed record, and reads single fields. Nothing here raises because of a line's content.

Records are msgspec structs that name only the fields the importer reads: the rest of a line is validated and skipped
without building objects, which keeps the cost of an import near that of decoding.
"""

import json
import math
import re
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import msgspec

from acode_tui.domain.clock import EPOCH
from acode_tui.domain.validation import escape

NOT_STRICT = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

R = TypeVar("R", bound=msgspec.Struct)

MAX_DEPTH = 60
"""Levels of nesting that are kept of a JSON value; deeper ones are cut (storage refuses more than 100)."""

CUT = "[nested too deep]"
_HAZARD = re.compile(rb"\\u(?:0000|[dD][89a-fA-F]|[eE]000)")


class LineDecoder(Generic[R]):
    """Decodes lines as one record type. A field of the wrong type counts as absent.

    ``decode_strictly`` is quicker, and raises one of ``NOT_STRICT`` for a line that ``decode`` may still read.
    """

    def __init__(self, type_: type[R]) -> None:
        self._type = type_
        self.decode_strictly = msgspec.json.Decoder(type_).decode
        self._fields = msgspec.structs.fields(type_)

    def decode(self, line: bytes) -> R | None:
        """The record, or None if the line is not a JSON object."""
        try:
            return self.decode_strictly(line)
        except NOT_STRICT:
            return self._lenient(parse_any(line))

    def of(self, value: Any) -> R | None:
        """The record of a decoded JSON object, or None for any other value."""
        return self._lenient(value)

    def _lenient(self, value: Any) -> R | None:
        if not isinstance(value, dict):
            return None
        known: dict[str, Any] = {}
        for field in self._fields:
            if field.encode_name in value:
                try:
                    known[field.name] = _convert(value[field.encode_name], field.type)
                except (msgspec.ValidationError, msgspec.DecodeError, UnicodeEncodeError, RecursionError):
                    # A lone surrogate in place of an enum's name raises UnicodeEncodeError.
                    continue
        return self._type(**known)


def _convert(value: Any, type_: Any) -> Any:
    if type_ is Any:
        return value
    if type_ is msgspec.Raw:
        return msgspec.Raw(json.dumps(value).encode())
    return msgspec.convert(value, type_)


def parse_any(line: bytes | msgspec.Raw) -> Any:
    """The value of JSON that may hold lone surrogates; None if it is not JSON (or is ``null``)."""
    data = bytes(line)
    try:
        return msgspec.json.decode(data)
    except UnicodeDecodeError:
        return None
    except RecursionError:
        return None
    except msgspec.DecodeError:
        # msgspec refuses lone surrogates and very large numbers, which are valid JSON. Bytes that are not UTF-8 are not
        # JSON, and the standard library would guess their encoding: they are decoded first.
        try:
            text_ = data.decode("utf-8-sig", "surrogatepass")
            return json.loads(text_, parse_constant=refuse_constant, parse_int=whole_number, parse_float=real_number)
        except (ValueError, RecursionError):
            return None


def refuse_constant(name: str) -> Any:
    """Raise ValueError: NaN and the infinities are not JSON."""
    raise ValueError(name)


def whole_number(digits: str) -> int | str:
    """An integer, or its digits where there are more than Python converts."""
    try:
        return int(digits)
    except ValueError:
        return digits


def real_number(digits: str) -> float | str:
    """A number with a fraction or an exponent, or its text where it is beyond a double."""
    value = float(digits)
    return value if math.isfinite(value) else digits


def parse_text(value: str) -> Any:
    """As ``parse_any``, for JSON inside a string of a record."""
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return parse_any(value.encode("utf-8", "surrogatepass"))


def needs_escape(line: bytes) -> bool:
    """Whether a string in the line may hold what database text cannot. Rarely true, and cheap to check."""
    # The expression's search for its fixed beginning is twice as fast as ``in`` is on a long line.
    return _HAZARD.search(line) is not None or (not line.isascii() and b"\xee\x80\x80" in line)


def storable(value: Any, *, dirty: bool, depth: int = MAX_DEPTH) -> Any:
    """The value as a JSON column can hold it: the same object where nothing has to change.

    ``dirty``: a string in it may need escaping (``needs_escape``).
    """
    kind = type(value)
    if kind is str:
        return escape(value) if dirty else value
    if kind is dict:
        if depth == 0:
            return CUT
        changed: dict[str, Any] | None = None
        for key, item in value.items():
            if type(item) is str:
                kept = escape(item) if dirty else item
            else:
                kept = storable(item, dirty=dirty, depth=depth - 1)
            if kept is not item:
                changed = dict(value) if changed is None else changed
                changed[key] = kept
        result = value if changed is None else changed
        keys = "".join(result) if dirty else ""
        return result if escape(keys) is keys else {escape(key): item for key, item in result.items()}
    if kind is list:
        if depth == 0:
            return CUT
        if not dirty:
            for item in value:
                if type(item) is not str:
                    break
            else:
                return value
        return [storable(item, dirty=dirty, depth=depth - 1) for item in value]
    if kind is int:
        # A decoder may return a float for more than 64 bits: the digits are kept as text.
        return value if -(2**63) <= value < 2**63 else str(value)
    if kind is float:
        return value if math.isfinite(value) else None
    return value


def number(value: Any) -> int:
    """A count from a transcript: an integer from 0 up to 2**53, else 0."""
    return value if type(value) is int and 0 <= value < 2**53 else 0


def text(value: Any) -> str:
    """A string field, or the empty string."""
    return value if type(value) is str else ""


def label(value: Any, limit: int = 200) -> str:
    """A storable string on one line, at most ``limit`` characters; the empty string for any other value."""
    if type(value) is not str:
        return ""
    head = value[: limit * 4]
    if head.isascii() and head.isprintable() and " " not in head:
        # Nearly always a name or an id: one word that needs no escaping.
        return head[:limit]
    return escape(" ".join(head.split())[:limit])


LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""Later stamps are ignored: one of them would move the workspace's clock ahead for good."""


def parse_stamp(value: Any) -> datetime | None:
    """The UTC moment of an ISO-8601 text with a time zone; None for anything else, also for one without a zone."""
    if type(value) is not str or len(value) > 40:
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not UTC:
            if moment.tzinfo is None:
                return None
            moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if EPOCH <= moment < LATEST else None
