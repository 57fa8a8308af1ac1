"""A span as this program keeps it, and how a request in OTLP's JSON form becomes spans.

A log record is kept as a span too: one without a duration, whose name is that of its event.
"""

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import msgspec

from acode_tui.domain.clock import EPOCH
from acode_tui.ingest.otlp.names import CONVERSATION, first_text
from acode_tui.ingest.records import LATEST
from acode_tui.storage.transcript_ports import StoredSpan

MAX_DEPTH = 20
"""Levels of nesting of an attribute's value that are read."""
MAX_INT = 2**63
LOG = "log:"
"""The id of a log record's span begins so: the ids of spans are hexadecimal."""


class SpanEvent(msgspec.Struct, array_like=True, frozen=True):
    """An event of a span. ``at`` is in nanoseconds since 1970."""

    name: str
    at: int
    attributes: dict[str, Any]


class Span(msgspec.Struct, array_like=True, frozen=True):
    """One span. Times are in nanoseconds since 1970; ``end`` is 0 where it has not ended.

    ``parent`` is empty for a root. ``status`` is OTLP's: 0 unset, 1 ok, 2 error; ``message`` belongs to it.
    """

    trace: str
    id: str
    parent: str
    name: str
    start: int
    end: int
    attributes: dict[str, Any]
    events: tuple[SpanEvent, ...] = ()
    status: int = 0
    message: str = ""
    scope: str = ""
    resource: dict[str, Any] = {}

    @property
    def is_log(self) -> bool:
        return self.id.startswith(LOG)


_encoder = msgspec.msgpack.Encoder()
_decode = msgspec.msgpack.Decoder(Span).decode


def stored(span: Span) -> StoredSpan:
    """The span as it is stored. Any order of versions leads to the same one: the one that ended last."""
    body = _encoder.encode(span)
    rank = span.end.to_bytes(8, "big") + blake2b(body, digest_size=8).digest()
    named = first_text(span.attributes, CONVERSATION)
    return StoredSpan(span.trace, span.id, rank, named, span.start, not span.parent, body)


def restored(body: bytes) -> Span:
    """The span of a stored body. Raises MsgspecError."""
    return _decode(body)


def merged(spans: Iterable[Span]) -> list[Span]:
    """Each span once, in the version that the store would keep."""
    found: dict[tuple[str, str], tuple[bytes, Span]] = {}
    for span in spans:
        rank = stored(span).rank
        key = (span.trace, span.id)
        if key not in found or rank > found[key][0]:
            found[key] = (rank, span)
    return [span for _, span in found.values()]


def moment(nanoseconds: int) -> datetime | None:
    """The time, to the microsecond; None for one before 1970 or after 2100, or none at all."""
    if nanoseconds <= 0:
        return None
    try:
        found = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=nanoseconds // 1_000)
    except OverflowError:
        return None
    return found if EPOCH <= found < LATEST else None


def spans_of(request: Any) -> Iterator[Span]:
    """The spans of an ``ExportTraceServiceRequest`` as JSON. What has no valid ids or is misshapen is left out."""
    for resource, scope, record in _records(request, "resourceSpans", "scopeSpans", "spans"):
        span = _span(resource, scope, record)
        if span is not None:
            yield span


def count_spans(request: Any) -> int:
    """The number of spans of such a request, with those that are left out."""
    return sum(1 for _ in _records(request, "resourceSpans", "scopeSpans", "spans"))


def log_records_of(request: Any) -> Iterator[Span]:
    """The log records of an ``ExportLogsServiceRequest`` as JSON, as they were sent: their trace may be empty."""
    for resource, scope, record in _records(request, "resourceLogs", "scopeLogs", "logRecords"):
        attributes = attributes_of(record.get("attributes"))
        yield log_record(
            trace=_id(record.get("traceId"), 32),
            span=_id(record.get("spanId"), 16),
            at=_number(record.get("timeUnixNano")) or _number(record.get("observedTimeUnixNano")),
            name=_text(record.get("eventName")),
            body=value_of(record.get("body")),
            attributes=attributes,
            scope=scope,
            resource=resource,
        )


def log_record(
    *,
    trace: str,
    span: str,
    at: int,
    name: str,
    body: Any,
    attributes: dict[str, Any],
    scope: str,
    resource: dict[str, Any],
) -> Span:
    """A log record as a span. Its id covers its content, so that a repeated record is the same one."""
    named = (
        name or (body if isinstance(body, str) and _is_name(body) else "") or first_text(attributes, ("event.name",))
    )
    if body not in (None, "", named):
        attributes = {**attributes, "body": body}
    identity = _encoder.encode([trace, span, at, named, attributes])
    digest = blake2b(identity, digest_size=12).hexdigest()
    return Span(trace, f"{LOG}{digest}", span, named, at, at, attributes, scope=scope, resource=resource)


def _is_name(body: str) -> bool:
    """Whether the body of a log record is the name of its event, as older emitters have it."""
    return len(body) <= 100 and "." in body and " " not in body


def _records(
    request: Any, resources: str, scopes: str, records: str
) -> Iterator[tuple[dict[str, Any], str, dict[str, Any]]]:
    for group in _dicts(request.get(resources) if isinstance(request, dict) else None):
        resource = attributes_of(_dict(group.get("resource")).get("attributes"))
        # Releases before 1.0 of the protocol name the scope an instrumentation library.
        for part in _dicts(group.get(scopes) or group.get("instrumentationLibrarySpans")):
            scope = _text(_dict(part.get("scope") or part.get("instrumentationLibrary")).get("name"))
            for record in _dicts(part.get(records)):
                yield resource, scope, record


def _span(resource: dict[str, Any], scope: str, record: dict[str, Any]) -> Span | None:
    trace, own = _id(record.get("traceId"), 32), _id(record.get("spanId"), 16)
    if not trace or not own:
        return None
    status = _dict(record.get("status"))
    code = status.get("code")
    events = tuple(
        SpanEvent(_text(found.get("name")), _number(found.get("timeUnixNano")), attributes_of(found.get("attributes")))
        for found in _dicts(record.get("events"))
    )
    return Span(
        trace,
        own,
        _id(record.get("parentSpanId"), 16),
        _text(record.get("name")),
        _number(record.get("startTimeUnixNano")),
        _number(record.get("endTimeUnixNano")),
        attributes_of(record.get("attributes")),
        events,
        _STATUS.get(code, 0) if isinstance(code, str | int) else 0,
        _text(status.get("message")),
        scope,
        resource,
    )


_STATUS: dict[str | int, int] = {
    1: 1,
    2: 2,
    "STATUS_CODE_OK": 1,
    "STATUS_CODE_ERROR": 2,
}


def attributes_of(pairs: Any) -> dict[str, Any]:
    """Attributes by their names, from a list of keys and values."""
    return _values(pairs, MAX_DEPTH)


def value_of(value: Any, depth: int = MAX_DEPTH) -> Any:
    """The plain value of an ``AnyValue`` as JSON. Bytes stay base64; what is misshapen is None."""
    if not isinstance(value, dict) or depth == 0:
        return None
    for kind, found in value.items():
        if kind in ("stringValue", "boolValue", "bytesValue"):
            return found if isinstance(found, str | bool) else None
        if kind == "intValue":
            return _integer(found)
        if kind == "doubleValue":
            return _double(found)
        if kind == "arrayValue":
            return [value_of(item, depth - 1) for item in _list(_dict(found).get("values"))]
        if kind == "kvlistValue":
            return _values(_dict(found).get("values"), depth - 1)
    return None


def _values(pairs: Any, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in _dicts(pairs):
        key = pair.get("key")
        if isinstance(key, str):
            found[_sound(key)] = _sound_value(value_of(pair.get("value"), depth))
    return found


def _sound_value(value: Any) -> Any:
    return _sound(value) if isinstance(value, str) else value


def _sound(value: str) -> str:
    """The text without lone surrogates, which no encoding holds."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _integer(value: Any) -> int | None:
    if isinstance(value, str):
        try:
            value = int(value[:40])
        except ValueError:
            return None
    return value if type(value) is int and -MAX_INT <= value < MAX_INT else None


def _double(value: Any) -> float | None:
    try:
        found = float(value[:40] if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def _number(value: Any) -> int:
    """A time of the protocol: an unsigned number of 64 bits, as a number or as text; else 0."""
    found = _integer(value)
    return found if found is not None and found > 0 else 0


def _id(value: Any, digits: int) -> str:
    """An id in lower case; empty for one of another length, that is not hexadecimal, or that is all zeros."""
    if not isinstance(value, str) or len(value) != digits:
        return ""
    found = value.lower()
    return found if not found.strip("0123456789abcdef") and found.strip("0") else ""


def _text(value: Any) -> str:
    return _sound(value) if isinstance(value, str) else ""


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    return (item for item in _list(value) if isinstance(item, dict))
