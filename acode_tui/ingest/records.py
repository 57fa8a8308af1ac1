"""From a line of JSON to a typed record, whatever the line holds. Nothing here raises on a transcript's content.

Records are msgspec structs that name only the fields the importer reads: the rest of a line is validated and
passed over without building objects, which is what keeps an import near the price of decoding.
"""

import json
import math
import re
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import msgspec

from acode_tui.domain.clock import EPOCH
from acode_tui.domain.validation import escape

R = TypeVar("R", bound=msgspec.Struct)

MAX_DEPTH = 60
"""Levels of a JSON column that are kept; what lies deeper is cut (storage refuses more than 100)."""

CUT = "[nested too deep]"
_HAZARD = re.compile(rb"\\u(?:0000|[dD][89a-fA-F]|[eE]000)")


class LineDecoder(Generic[R]):
    """Decodes lines as one record type; a field of the wrong type reads as if it were absent."""

    def __init__(self, type_: type[R]) -> None:
        self._type = type_
        self._decode = msgspec.json.Decoder(type_).decode
        self._fields = msgspec.structs.fields(type_)

    def decode(self, line: bytes) -> R | None:
        """The record, or None if the line is no JSON object."""
        try:
            return self._decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._lenient(parse_any(line))

    def of(self, value: Any) -> R | None:
        """The record of a decoded object, or None if it is none."""
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
                    # A lone surrogate where a state or a time belongs cannot even be looked up.
                    continue
        return self._type(**known)


def _convert(value: Any, type_: Any) -> Any:
    if type_ is Any:
        return value
    if type_ is msgspec.Raw:
        return msgspec.Raw(json.dumps(value).encode())
    return msgspec.convert(value, type_)


def parse_any(line: bytes | msgspec.Raw) -> Any:
    """Plain values of JSON that may hold lone surrogates; None if it is no JSON (or is ``null``)."""
    data = bytes(line)
    try:
        return msgspec.json.decode(data)
    except UnicodeDecodeError:
        return None
    except RecursionError:
        return None
    except msgspec.DecodeError:
        # msgspec refuses lone surrogates and numbers beyond what it holds, which are JSON all the same. What is no
        # UTF-8 is not: given bytes, the standard library would guess at their encoding.
        try:
            text_ = data.decode("utf-8-sig", "surrogatepass")
            return json.loads(text_, parse_constant=_refuse, parse_int=_whole, parse_float=_real)
        except (ValueError, RecursionError):
            return None


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _whole(digits: str) -> int | str:
    """An integer, or its digits where there are more than Python makes a number of."""
    try:
        return int(digits)
    except ValueError:
        return digits


def _real(digits: str) -> float | str:
    """A number with a fraction or an exponent, or its text where it is beyond a double."""
    value = float(digits)
    return value if math.isfinite(value) else digits


def parse_text(value: str) -> Any:
    """What ``parse_any`` gives, of JSON that is text already: a string within a record."""
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return parse_any(value.encode("utf-8", "surrogatepass"))


def needs_escape(line: bytes) -> bool:
    """Whether some string of a line might hold what a database text cannot; rarely true, and cheap to ask."""
    marked = not line.isascii() and b"\xee\x80\x80" in line
    return marked or (b"\\u" in line and _HAZARD.search(line) is not None)


def storable(value: Any, *, dirty: bool, depth: int = MAX_DEPTH) -> Any:
    """The value as a JSON column can hold it; the same object where nothing had to change."""
    kind = type(value)
    if kind is str:
        return escape(value) if dirty else value
    if kind is dict:
        if depth == 0:
            return CUT
        changed: dict[str, Any] | None = None
        for key, item in value.items():
            if not dirty and type(item) is str:
                continue
            kept = storable(item, dirty=dirty, depth=depth - 1)
            if kept is not item:
                changed = dict(value) if changed is None else changed
                changed[key] = kept
        result = value if changed is None else changed
        return {escape(key): item for key, item in result.items()} if dirty else result
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
        # Beyond 64 bits a decoder may give a float back: the digits are kept as text.
        return value if -(2**63) <= value < 2**63 else str(value)
    if kind is float:
        return value if math.isfinite(value) else None
    return value


def number(value: Any) -> int:
    """A count from a transcript: a sane non-negative integer, else 0."""
    return value if type(value) is int and 0 <= value < 2**53 else 0


def text(value: Any) -> str:
    """A string field, or the empty string."""
    return value if type(value) is str else ""


def label(value: Any, limit: int = 200) -> str:
    """A short, storable one-line string, or the empty string."""
    if type(value) is not str:
        return ""
    head = value[: limit * 4]
    if head.isascii() and head.isprintable() and " " not in head:
        # A name or an id, as nearly always: one word, and nothing in it to be escaped.
        return head[:limit]
    return escape(" ".join(head.split())[:limit])


LATEST = datetime(2100, 1, 1, tzinfo=UTC)
"""Stamps beyond are taken for garbage: one of them would push the workspace's clock ahead for good."""


def parse_stamp(value: Any) -> datetime | None:
    """The moment that an ISO-8601 text with a zone names; None for anything else, naive texts too."""
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


class Bounds:
    """The times of a file: the first in file order, the earliest, the latest, and the one that is current."""

    __slots__ = ("current", "earliest", "first", "latest")

    def __init__(self) -> None:
        self.first: datetime | None = None
        self.earliest: datetime | None = None
        self.latest: datetime | None = None
        self.current: datetime | None = None

    def see(self, at: datetime | None) -> datetime | None:
        """The line's time, or the last one before it."""
        if at is None:
            return self.current
        if self.first is None:
            self.first = self.earliest = self.latest = at
        else:
            assert self.earliest is not None
            assert self.latest is not None
            if at < self.earliest:
                self.earliest = at
            elif at > self.latest:
                self.latest = at
        self.current = at
        return at
