"""Runs as spans, one request of OpenTelemetry's protocol a line, for other tools that read them.

A task is a trace: its own span and those of its steps and calls, by the conventions for generative AI. What these have
no name for (a call's state, an artifact that is neither prompt, answer, reasoning nor a result) stands in attributes
that begin with ``acode_tui.``, which an import here reads. Written step by step: memory holds one step with its
contents.
"""

import base64
from datetime import UTC, datetime
from hashlib import blake2b
from typing import IO, Any

import msgspec

from acode_tui.domain.entities import Artifact, Entity, Session, SessionTask, Step, ToolCall
from acode_tui.domain.states import ArtifactType, ToolCallState, WorkState
from acode_tui.files import sync_file
from acode_tui.ops.export.json import About

ARTIFACTS, STATE, TASK = "acode_tui.artifacts", "acode_tui.state", "acode_tui.task"
"""Attributes: a JSON list of artifacts; the state of a call where a span has none like it; that a span is a task's."""

_ERROR = 2
_OPEN = (ToolCallState.PENDING, ToolCallState.EXECUTING)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class OtlpFile:
    """A ``RowSink`` for the rows of runs, in the order of ``RunRows.walk``."""

    def __init__(self, file: IO[bytes], about: About) -> None:
        self._file = file
        self._about = about
        self._session: Session | None = None
        self._task: SessionTask | None = None
        self._prompts: list[dict[str, Any]] = []
        self._pending: _Span | None = None
        self._calls: list[_Span] = []

    def add(self, entity: Entity) -> None:
        """The next row."""
        if isinstance(entity, Session):
            self._flush()
            self._session, self._task = entity, None
        elif isinstance(entity, SessionTask):
            self._flush()
            self._task, self._prompts = entity, []
            self._pending = _task_span(entity, _agent_of(self._session))
        elif isinstance(entity, Step) and self._task is not None:
            self._flush()
            self._pending = _step_span(entity, self._task)
        elif isinstance(entity, ToolCall) and self._pending is not None and self._task is not None:
            self._pending.requests.append(_request(entity))
            self._calls.append(_call_span(entity, self._task))
        elif isinstance(entity, Artifact) and self._pending is not None:
            self._add_artifact(entity, self._pending)

    def close(self, counts: dict[str, int]) -> None:
        """Write the last step."""
        self._flush()
        sync_file(self._file)

    def abandon(self) -> None:
        """Do nothing: the file is its maker's."""

    def _add_artifact(self, artifact: Artifact, holder: "_Span") -> None:
        text = _text(artifact)
        if artifact.tool_call_id is not None:
            call = next((span for span in self._calls if span.row == artifact.tool_call_id), None)
            if call is not None:
                call.artifacts.append(_plain(artifact, text))
        elif text is not None and artifact.step_id is None and artifact.type is ArtifactType.USER_PROMPT:
            self._prompts.append({"role": "user", "parts": [{"type": "text", "content": text}]})
        elif text is not None and artifact.step_id is not None and artifact.type in _PARTS:
            holder.parts.append({"type": _PARTS[artifact.type], "content": text})
        else:
            holder.artifacts.append(_plain(artifact, text))

    def _flush(self) -> None:
        """Write the pending row's span, and those of its calls, as one request."""
        span, self._pending = self._pending, None
        calls, self._calls = self._calls, []
        if span is None or self._session is None:
            return
        session = self._session
        if span.is_task or span.is_first:
            # The first step has the prompt too: it is where other tools look for it.
            span.attributes["gen_ai.input.messages"] = _json(self._prompts) if self._prompts else None
        metadata = session.metadata or {}
        resource = {
            "service.name": _agent_of(session),
            "service.version": metadata.get("agentVersion"),
            "process.working_directory": metadata.get("cwd"),
        }
        records = [each.record(session.id) for each in (span, *calls)]
        scope = {"name": "acode-tui", "version": self._about.program_version}
        request = {
            "resourceSpans": [
                {
                    "resource": {"attributes": _attributes(resource)},
                    "scopeSpans": [{"scope": scope, "spans": records}],
                }
            ]
        }
        self._file.write(msgspec.json.encode(request) + b"\n")


_PARTS = {ArtifactType.MODEL_RESPONSE: "text", ArtifactType.REASONING: "reasoning"}


class _Span:
    """A span, and what hangs on its row. ``order`` puts spans that begin in one microsecond in order."""

    def __init__(self, row: str, trace: str, name: str, start: datetime, order: int, **attributes: Any) -> None:
        self.row = row
        self.trace = trace
        self.name = name
        self.start = _nanoseconds(start) + order % 1_000
        self.end = 0
        self.error = ""
        self.is_task = False
        self.is_first = False
        self.attributes: dict[str, Any] = {key.replace("__", "."): value for key, value in attributes.items()}
        self.parts: list[dict[str, Any]] = []
        self.requests: list[dict[str, Any]] = []
        self.artifacts: list[dict[str, Any]] = []

    def record(self, session: str) -> dict[str, Any]:
        """The span as JSON."""
        attributes = {"gen_ai.conversation.id": session, **self.attributes}
        parts = [*self.parts, *self.requests]
        if parts:
            attributes["gen_ai.output.messages"] = _json([{"role": "assistant", "parts": parts}])
        if self.artifacts:
            attributes[ARTIFACTS] = _json(self.artifacts)
        return {
            "traceId": self.trace.replace("-", ""),
            "spanId": _span_id(self.row),
            **({} if self.is_task else {"parentSpanId": _span_id(self.trace)}),
            "name": self.name,
            "startTimeUnixNano": str(self.start),
            "endTimeUnixNano": str(max(self.end, self.start) if self.end else 0),
            "attributes": _attributes(attributes),
            "status": {"code": _ERROR, "message": self.error} if self.error else {},
        }


def _task_span(task: SessionTask, agent: str) -> _Span:
    metadata = task.metadata or {}
    span = _Span(
        task.id,
        task.id,
        task.title,
        task.created_at,
        task.order,
        gen_ai__operation__name="invoke_agent",
        gen_ai__agent__name=agent,
    )
    span.attributes[TASK] = True
    span.is_task = True
    if task.state not in (WorkState.PENDING, WorkState.IN_PROGRESS):
        span.end = _nanoseconds(task.updated_at)
    if task.state is WorkState.FAILED:
        span.error = str(metadata.get("reason") or "failed")
    return span


def _step_span(step: Step, task: SessionTask) -> _Span:
    metadata = step.metadata or {}
    tokens = metadata["tokens"] if isinstance(metadata.get("tokens"), dict) else {}
    count = {kind: value for kind, value in tokens.items() if isinstance(value, int) and value > 0}
    cached = count.get("cacheRead", 0) + count.get("cacheWrite", 0)
    span = _Span(
        step.id,
        task.id,
        step.name,
        step.created_at,
        step.order,
        gen_ai__operation__name="chat",
        gen_ai__request__model=metadata.get("model"),
        gen_ai__usage__input_tokens=count.get("input", 0) + cached or None,
        gen_ai__usage__output_tokens=count.get("output"),
        gen_ai__usage__cost=metadata.get("cost"),
    )
    span.attributes["gen_ai.usage.cache_read.input_tokens"] = count.get("cacheRead")
    span.attributes["gen_ai.usage.cache_creation.input_tokens"] = count.get("cacheWrite")
    span.is_first = step.order == 0
    if step.state not in (WorkState.PENDING, WorkState.IN_PROGRESS):
        span.end = _nanoseconds(step.updated_at)
    return span


def _request(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_call", "id": call.id, "name": call.tool_name, "arguments": call.parameters}


def _call_span(call: ToolCall, task: SessionTask) -> _Span:
    span = _Span(
        call.id,
        task.id,
        call.tool_name,
        call.created_at,
        call.order,
        gen_ai__operation__name="execute_tool",
        gen_ai__tool__name=call.tool_name,
        gen_ai__tool__call__id=call.id,
        gen_ai__tool__call__arguments=_json(call.parameters),
    )
    if isinstance(call.result, str) or _has_content(call.result):
        span.attributes["gen_ai.tool.call.result"] = call.result if isinstance(call.result, str) else _json(call.result)
    if call.state not in _OPEN:
        span.end = _nanoseconds(call.completed_at or call.updated_at)
    if call.state in (ToolCallState.FAILED, ToolCallState.CANCELLED):
        span.error = call.error_message or "failed"
        span.attributes[STATE] = call.state.value
    return span


def _has_content(result: Any) -> bool:
    """Whether a result is more than the size of the output, which is an artifact."""
    return result is not None and not (
        isinstance(result, dict) and not any(isinstance(value, (str, list, dict)) for value in result.values())
    )


def _plain(artifact: Artifact, text: str | None) -> dict[str, Any]:
    content = {"text": text} if text is not None else {"base64": base64.b64encode(artifact.content or b"").decode()}
    return {"type": artifact.type.value, "name": artifact.name, "contentType": artifact.content_type, **content}


def _text(artifact: Artifact) -> str | None:
    try:
        return (artifact.content or b"").decode("utf-8")
    except UnicodeDecodeError:
        return None


def _agent_of(session: Session | None) -> str:
    metadata = (session.metadata if session is not None else None) or {}
    return str(metadata.get("agentName") or metadata.get("source") or "acode-tui")


def _span_id(row: str) -> str:
    return blake2b(row.encode(), digest_size=8).hexdigest()


def _nanoseconds(at: datetime) -> int:
    passed = at - _EPOCH
    return ((passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds) * 1_000


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value is not None]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": str(value)}
