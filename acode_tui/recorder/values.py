"""Values of an agent in a form that a database can hold. Never raises, never keeps more than its limits.

Values are copied at once, so a later change by the agent does not reach the record. Text that a database cannot hold
(NUL, lone surrogates) is escaped reversibly, as imports do it; an ellipsis marks what is left out.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time
from enum import Enum
from os import PathLike, fspath
from typing import Any

import msgspec

from acode_tui.domain.display import clean
from acode_tui.domain.entities import Json
from acode_tui.domain.secrets.known import redact
from acode_tui.domain.validation import MARK, MAX_DESCRIPTION_CHARS, MAX_METADATA_DEPTH, escape

MAX_STRING_CHARS = 64 * 1024
MAX_VALUE_CHARS = 256 * 1024
"""All text of one value together, keys too."""

MAX_ITEMS = 10_000
MAX_DEPTH = 20
MAX_REASON_CHARS = 2_000

_CUT = "…"
_PLAIN_INTEGER = 2**63


def recordable(value: Any, *, depth: int = MAX_DEPTH) -> Any:
    """``value`` as JSON: plain types as they are, others by their fields or their ``repr``."""
    return _Copy().of(value, depth)


def recordable_metadata(value: Mapping[Any, Any] | None) -> Json | None:
    """Metadata as a JSON object no deeper than the store accepts. ``metadata_within`` limits its size."""
    if value is None:
        return None
    copied = recordable(value, depth=MAX_METADATA_DEPTH)
    return copied if isinstance(copied, dict) else {"value": copied}


def metadata_within(metadata: Json | None, max_bytes: int) -> Json | None:
    """The metadata, or only its size where it has more than ``max_bytes``: the run is recorded all the same."""
    if metadata is None:
        return None
    size = len(msgspec.json.encode(metadata))
    return metadata if size <= max_bytes else {"cutOff": f"{size:,} bytes"}


def content_bytes(content: Any) -> bytes:
    """An artifact's content: bytes as they are, text in UTF-8, anything else as its ``repr``."""
    if isinstance(content, (bytes, bytearray, memoryview)):
        return bytes(content)
    return (content if isinstance(content, str) else _repr_of(content)).encode("utf-8", "surrogatepass")


def title(value: Any, *, limit: int = MAX_DESCRIPTION_CHARS) -> str:
    """A name or description that is not blank, of at most ``limit`` characters."""
    text = value if isinstance(value, str) else _repr_of(value)
    text = truncate(escape(text[: limit + 1]), limit)
    return text if text.strip() else "(untitled)"


def reason_of(error: BaseException) -> str:
    """An exception's type and message as plain text: truncated, without control characters and passwords."""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - an agent's exception may do anything when it is printed
        message = "(its message cannot be printed)"
    kind = type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        message += f": {reason_of(error.exceptions[0])}"
    text = clean(redact(message[: 2 * MAX_REASON_CHARS])).strip()
    return reason_text(f"{kind}: {text}" if text else kind)


def reason_text(reason: Any) -> str:
    """A reason or error message that can be stored."""
    return title(reason, limit=MAX_REASON_CHARS)


def truncate(text: str, limit: int) -> str:
    """Escaped text of at most ``limit`` characters, marked where it was longer, never cut inside an escape."""
    if len(text) <= limit:
        return text
    kept = text[: limit - 1]
    mark = kept.rfind(MARK, len(kept) - 4)
    return (kept[:mark] if mark >= 0 else kept) + _CUT


class _Copy:
    """Copies one value and counts what is left of its limits."""

    def __init__(self) -> None:
        self._chars = MAX_VALUE_CHARS
        self._items = MAX_ITEMS

    def of(self, value: Any, depth: int) -> Any:
        try:
            return self._of(value, depth)
        except Exception:  # noqa: BLE001 - the value is the agent's: its properties and iterators may raise anything
            return self._text(_repr_of(value))

    def _of(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str:
            return self._text(value)
        if kind is dict:
            return self._object(value.items(), depth)
        if value is None or kind is bool or (kind is int and abs(value) < _PLAIN_INTEGER):
            return value
        if isinstance(value, Enum):
            return self.of(value.value, depth)
        if isinstance(value, str):
            return self._text(str.__str__(value))
        if isinstance(value, int):
            return int(value) if abs(value) < _PLAIN_INTEGER else f"(an integer of {value.bit_length():,} bits)"
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else str(float(value))
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self._text(f"({type(value).__name__} of {memoryview(value).nbytes:,} bytes)")
        if isinstance(value, (datetime, date, time)):
            return value.isoformat()
        if isinstance(value, PathLike):
            path = fspath(value)
            return self._text(path if isinstance(path, str) else repr(path))
        parts = _parts(value)
        if parts is not None:
            return self._object(parts, depth)
        if isinstance(value, (list, tuple, set, frozenset)):
            return self._array(value, depth)
        return self._text(_repr_of(value))

    def _object(self, items: Iterable[tuple[Any, Any]], depth: int) -> Any:
        if depth <= 0:
            return _CUT
        found: Json = {}
        for key, item in items:
            if not self._take():
                found[_CUT] = _CUT
                break
            name = self._text(key if isinstance(key, str) else _repr_of(key))
            while name in found:
                name += "'"
            found[name] = self.of(item, depth - 1)
        return found

    def _array(self, items: Iterable[Any], depth: int) -> Any:
        if depth <= 0:
            return _CUT
        found: list[Any] = []
        for item in items:
            if not self._take():
                found.append(_CUT)
                break
            found.append(self.of(item, depth - 1))
        return found

    def _take(self) -> bool:
        self._items -= 1
        return self._items >= 0 and self._chars > 0

    def _text(self, text: str) -> str:
        limit = max(1, min(MAX_STRING_CHARS, self._chars))
        if len(text) <= limit and text.isascii() and "\0" not in text:
            self._chars -= len(text)
            return text
        kept = truncate(escape(text[: limit + 1]), limit)
        self._chars -= len(kept)
        if len(text) > limit:
            kept += f" ({len(text):,} characters)"
        return kept


def _parts(value: Any) -> Iterable[tuple[Any, Any]] | None:
    """The (name, value) pairs of a mapping, a dataclass or a struct; None for any other value."""
    if isinstance(value, Mapping):
        return value.items()
    if isinstance(value, type):
        return None
    if is_dataclass(value):
        return [(field.name, getattr(value, field.name)) for field in fields(value) if field.repr]
    if isinstance(value, msgspec.Struct):
        return [(name, getattr(value, name)) for name in value.__struct_fields__]
    return None


def _repr_of(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - an agent's object may do anything when it is printed
        return f"({type(value).__name__} that cannot be printed)"
