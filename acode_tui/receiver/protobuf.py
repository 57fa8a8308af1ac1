"""Requests in OTLP's binary form. They become the same spans as those in its JSON form. Needs the extra ``otel``."""

import base64
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from acode_tui.ingest.otlp.records import MAX_DEPTH, Span, SpanEvent, log_record
from acode_tui.receiver.errors import BadRequestError


def spans_of(data: bytes, limit: int) -> tuple[list[Span], int]:
    """The spans of a request, and the number of those without valid ids. Raises BadRequestError."""
    request = _parsed(ExportTraceServiceRequest, data)
    count = sum(len(part.spans) for group in request.resource_spans for part in group.scope_spans)
    _require_few(count, limit)
    found = []
    for group in request.resource_spans:
        resource = _attributes(group.resource.attributes)
        for part in group.scope_spans:
            found += [span for each in part.spans if (span := _span(each, part.scope.name, resource)) is not None]
    return found, count - len(found)


def log_records_of(data: bytes, limit: int) -> list[Span]:
    """The log records of a request, as they were sent. Raises BadRequestError."""
    request = _parsed(ExportLogsServiceRequest, data)
    _require_few(sum(len(part.log_records) for group in request.resource_logs for part in group.scope_logs), limit)
    found = []
    for group in request.resource_logs:
        resource = _attributes(group.resource.attributes)
        for part in group.scope_logs:
            found += [_log_record(each, part.scope.name, resource) for each in part.log_records]
    return found


def data_points_of(data: bytes) -> int:
    """The number of data points in a request with metrics. Raises BadRequestError."""
    request = _parsed(ExportMetricsServiceRequest, data)
    return sum(
        len(getattr(metric, metric.WhichOneof("data")).data_points)
        for group in request.resource_metrics
        for part in group.scope_metrics
        for metric in part.metrics
        if metric.WhichOneof("data")
    )


def _parsed(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except (DecodeError, ValueError, RecursionError) as error:
        raise BadRequestError("the body is no such request in protobuf") from error


def _require_few(count: int, limit: int) -> None:
    if count > limit:
        raise BadRequestError(f"more than {limit} records in one request", too_large=True)


def _span(span: Any, scope: str, resource: dict[str, Any]) -> Span | None:
    trace, own = _id(span.trace_id, 16), _id(span.span_id, 8)
    if not trace or not own:
        return None
    return Span(
        trace,
        own,
        _id(span.parent_span_id, 8),
        span.name,
        _time(span.start_time_unix_nano),
        _time(span.end_time_unix_nano),
        _attributes(span.attributes),
        tuple(SpanEvent(each.name, _time(each.time_unix_nano), _attributes(each.attributes)) for each in span.events),
        span.status.code if span.status.code in (1, 2) else 0,
        span.status.message,
        scope,
        resource,
    )


def _log_record(record: Any, scope: str, resource: dict[str, Any]) -> Span:
    return log_record(
        trace=_id(record.trace_id, 16),
        span=_id(record.span_id, 8),
        at=_time(record.time_unix_nano) or _time(record.observed_time_unix_nano),
        name=record.event_name,
        body=_value(record.body, MAX_DEPTH),
        attributes=_attributes(record.attributes),
        scope=scope,
        resource=resource,
    )


def _attributes(pairs: Iterable[Any], depth: int = MAX_DEPTH) -> dict[str, Any]:
    return dict(_pairs(pairs, depth))


def _pairs(pairs: Iterable[Any], depth: int) -> Iterator[tuple[str, Any]]:
    for pair in pairs:
        yield pair.key, _value(pair.value, depth)


def _value(value: Any, depth: int) -> Any:
    kind = value.WhichOneof("value")
    if kind is None or depth == 0:
        return None
    found = getattr(value, kind)
    if kind == "array_value":
        return [_value(item, depth - 1) for item in found.values]
    if kind == "kvlist_value":
        return _attributes(found.values, depth - 1)
    if kind == "bytes_value":
        return base64.b64encode(found).decode()
    if kind == "double_value":
        return found if abs(found) < float("inf") else None
    return found if isinstance(found, str | bool | int) else None


def _id(value: bytes, length: int) -> str:
    return value.hex() if len(value) == length and any(value) else ""


def _time(nanoseconds: int) -> int:
    return nanoseconds if nanoseconds < 2**63 else 0
