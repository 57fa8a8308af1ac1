"""What a request of OTLP holds, and how it is answered, in both of its forms: JSON and protobuf.

A body is decompressed up to a limit, so that a small one cannot fill the memory.
"""

import zlib
from http import HTTPStatus
from types import ModuleType
from typing import NamedTuple

import msgspec

from acode_tui.ingest.otlp.agent_logs import taken
from acode_tui.ingest.otlp.records import stored
from acode_tui.receiver import json_form
from acode_tui.receiver.errors import BadRequestError, RefusedError
from acode_tui.storage.transcript_ports import StoredSpan

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
MAX_BODY = 32 * 1024 * 1024
"""Bytes of a body, also after decompression."""
MAX_RECORDS = 100_000
"""Spans, or log records, of one request. Exporters send at most a few thousand."""
MAX_TEXT = 1_000

TRACES, LOGS, METRICS = "/v1/traces", "/v1/logs", "/v1/metrics"
SIGNALS = (TRACES, LOGS, METRICS)
_REJECTED = {TRACES: "rejectedSpans", LOGS: "rejectedLogRecords", METRICS: "rejectedDataPoints"}
_INSTALL = "protobuf needs the extra: pip install 'acode-tui[otel]'; or let the exporter send http/json"


class Received(NamedTuple):
    """What a request holds: the spans to store, and how many of its records are left out, and why."""

    spans: list[StoredSpan]
    rejected: int
    reason: str


def received(signal: str, media: str, encoding: str, body: bytes) -> Received:
    """The content of a request. Raises RefusedError."""
    form = _form(media)
    data = unpacked(encoding, body)
    if signal == METRICS:
        return Received([], form.data_points_of(data), "metrics are not recorded: runs are read from traces and logs")
    if signal == LOGS:
        logs = form.log_records_of(data, MAX_RECORDS)
        kept = [stored(span) for record in logs if (span := taken(record)) is not None]
        return Received(kept, len(logs) - len(kept), "log records that tell of no run are not recorded")
    spans, rejected = form.spans_of(data, MAX_RECORDS)
    return Received([stored(span) for span in spans], rejected, "spans without valid ids are not recorded")


def _form(media: str) -> ModuleType:
    """The module that reads bodies of this media type. Raises RefusedError."""
    if media == JSON:
        return json_form
    if media != PROTOBUF:
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send {PROTOBUF} or {JSON}")
    try:
        from acode_tui.receiver import protobuf
    except ImportError:
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, _INSTALL) from None
    return protobuf


def unpacked(encoding: str, body: bytes) -> bytes:
    """The body without its compression, in at most ``MAX_BODY`` bytes. Raises RefusedError."""
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "deflate"):
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "compress with gzip, or not at all")
    bits = 31 if encoding == "gzip" else 15
    found = bytearray()
    rest = body
    while rest:
        decompressor = zlib.decompressobj(bits)
        try:
            found += decompressor.decompress(rest, MAX_BODY + 1 - len(found))
        except zlib.error as error:
            raise BadRequestError(f"the body is not compressed with {encoding}") from error
        if len(found) > MAX_BODY:
            raise BadRequestError(f"the body has more than {MAX_BODY} bytes", too_large=True)
        if not decompressor.eof:
            raise BadRequestError("the compressed body ends too early")
        rest = decompressor.unused_data
    return bytes(found)


def success(signal: str, media: str, found: Received) -> bytes:
    """The body of a 200. It says how many records were left out, and why, where some were."""
    if not found.rejected:
        return b"{}" if media == JSON else b""
    if media == JSON:
        partial = {_REJECTED[signal]: str(found.rejected), "errorMessage": found.reason}
        return msgspec.json.encode({"partialSuccess": partial})
    inner = b"\x08" + _varint(found.rejected) + _string(2, found.reason)
    return b"\x0a" + _varint(len(inner)) + inner


def failure(media: str, code: int, text: str) -> bytes:
    """The body of a refusal: a ``google.rpc.Status``."""
    if media != PROTOBUF:
        return msgspec.json.encode({"code": code, "message": text[:MAX_TEXT]})
    return b"\x08" + _varint(code) + _string(2, text[:MAX_TEXT])


def _string(field: int, text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    return bytes([field << 3 | 2]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)
