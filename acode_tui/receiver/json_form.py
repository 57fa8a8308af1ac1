"""Requests in OTLP's JSON form."""

from typing import Any

import msgspec

from acode_tui.ingest.otlp import records
from acode_tui.ingest.otlp.records import Span
from acode_tui.receiver.errors import BadRequestError


def spans_of(data: bytes, limit: int) -> tuple[list[Span], int]:
    """The spans of a request, and the number of those without valid ids. Raises BadRequestError."""
    _require_few(data.count(b'"spanId"'), 4 * limit)
    request = _decoded(data)
    count = records.count_spans(request)
    _require_few(count, limit)
    found = list(records.spans_of(request))
    return found, count - len(found)


def log_records_of(data: bytes, limit: int) -> list[Span]:
    """The log records of a request, as they were sent. Raises BadRequestError."""
    _require_few(data.count(b'"attributes"'), 4 * limit)
    found = list(records.log_records_of(_decoded(data)))
    _require_few(len(found), limit)
    return found


def data_points_of(data: bytes) -> int:
    """The number of data points in a request with metrics. Raises BadRequestError."""
    return sum(_data_points(part) for part in _dicts(_decoded(data).get("resourceMetrics")))


def _data_points(value: Any, depth: int = 6) -> int:
    """Counts the data points below a part of the request: they lie in lists of that name."""
    if not isinstance(value, dict) or depth == 0:
        return 0
    count = 0
    for name, inner in value.items():
        if name == "dataPoints":
            count += len(_dicts(inner))
        elif isinstance(inner, list):
            count += sum(_data_points(each, depth - 1) for each in inner)
        else:
            count += _data_points(inner, depth - 1)
    return count


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        request = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError("the body is no JSON") from error
    if not isinstance(request, dict):
        raise BadRequestError("the body is no JSON object")
    return request


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _require_few(count: int, limit: int) -> None:
    # Counted in the text too, before it is decoded: objects take many times the memory of their text.
    if count > limit:
        raise BadRequestError(f"more than {limit} records in one request", too_large=True)
