"""Records the spans of this process: ``provider.add_span_processor(RunSpanProcessor())``. Needs ``acode-tui[otel]``.

The spans of models, tools and agents become runs as docs/opentelemetry.md says, while they go on: the beginning of a
span is recorded too, so that what a killed process was doing is seen.
"""

import base64
import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.trace import StatusCode

from acode_tui.config.workspace_root import find_root
from acode_tui.ingest.otlp.names import Kind, kind_of
from acode_tui.ingest.otlp.records import MAX_DEPTH, MAX_INT, Span, SpanEvent
from acode_tui.integrations.span_thread import SpanThread

SHUTDOWN_SECONDS = 10.0
_STATUS = {StatusCode.UNSET: 0, StatusCode.OK: 1, StatusCode.ERROR: 2}


class RunSpanProcessor(SpanProcessor):
    """Writes spans into the workspace in the folder ``path``; without one, into that which commands use here.

    Never raises and never waits for the disk, except for ``force_flush`` and ``shutdown``. ``lost`` counts the spans
    that are not recorded.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._thread = SpanThread(Path(path if path is not None else find_root()).absolute())
        _processors.add(self)

    @property
    def lost(self) -> int:
        """How many spans, or beginnings of one, were lost; the first is logged with its reason."""
        return self._thread.losses.count

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        try:
            context = span.get_span_context()
            if context is None or not context.trace_flags.sampled:
                return
            attributes = dict(span.attributes or {})
            if span.parent is not None and kind_of(span.name, attributes) is Kind.OTHER:
                return
            # What it has now: by the time that the thread looks, the span may have ended.
            name, status = span.name, span.status
            self._thread.put(lambda: _span(span, name, attributes, 0, (), status))
        except Exception as error:  # noqa: BLE001 - recording must not break the agent; the loss is counted
            self._thread.losses.add(error)

    def on_end(self, span: ReadableSpan) -> None:
        try:
            context = span.get_span_context()
            if context is None or not context.trace_flags.sampled:
                return
            # An ended span does not change any more.
            self._thread.put(
                lambda: _span(span, span.name, span.attributes or {}, span.end_time or 0, span.events, span.status)
            )
        except Exception as error:  # noqa: BLE001 - as above
            self._thread.losses.add(error)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until the runs have the spans so far. Returns whether they have, within the time and without a loss."""
        return self._thread.flush(timeout_millis / 1_000)

    def shutdown(self) -> None:
        """The same, and close the workspace. Spans that come later are lost."""
        self._thread.end(SHUTDOWN_SECONDS)

    def _forked(self) -> None:
        self._thread.forked()


_processors: "weakref.WeakSet[RunSpanProcessor]" = weakref.WeakSet()


def _after_fork() -> None:
    for processor in list(_processors):
        processor._forked()


os.register_at_fork(after_in_child=_after_fork)


def _span(span: ReadableSpan, name: str, attributes: Mapping[str, Any], end: int, events: Any, status: Any) -> Span:
    context = span.get_span_context()
    assert context is not None
    scope = span.instrumentation_scope
    return Span(
        f"{context.trace_id:032x}",
        f"{context.span_id:016x}",
        f"{span.parent.span_id:016x}" if span.parent is not None else "",
        _text(name),
        span.start_time or 0,
        end,
        _values(attributes),
        tuple(SpanEvent(_text(each.name), each.timestamp, _values(each.attributes or {})) for each in events),
        _STATUS.get(status.status_code, 0),
        _text(status.description or ""),
        _text(scope.name) if scope is not None else "",
        _values(span.resource.attributes),
    )


def _values(attributes: Mapping[str, Any], depth: int = MAX_DEPTH) -> dict[str, Any]:
    return {_text(name): _value(value, depth) for name, value in attributes.items()}


def _value(value: Any, depth: int) -> Any:
    """The value as OTLP's JSON form has it."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if -MAX_INT <= value < MAX_INT else str(value)
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if depth == 0:
        return None
    if isinstance(value, Mapping):
        return _values(value, depth - 1)
    if isinstance(value, list | tuple):
        return [_value(item, depth - 1) for item in value]
    return _text(str(value))


def _text(value: str) -> str:
    return value if value.isascii() else value.encode("utf-8", "replace").decode()
