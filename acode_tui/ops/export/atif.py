"""A run as an ATIF trajectory (Agent Trajectory Interchange Format 1.7), for other tools that read it.

A task is a ``user`` step, a step an ``agent`` step with its calls and their results. What the format has no place for
(a call's state and error, an artifact's type and name) stands in ``extra.acode_tui``, which an import here reads.
Written step by step: memory holds one step with its contents.
"""

from collections.abc import Iterator
from typing import IO, Any

import msgspec

from acode_tui.domain.clock import format_time
from acode_tui.domain.entities import Artifact, Entity, Session, SessionTask, Step, ToolCall
from acode_tui.domain.states import ArtifactType
from acode_tui.files import sync_file
from acode_tui.ops.export.json import About

SCHEMA_VERSION = "ATIF-v1.7"
EXTRA = "acode_tui"
"""The key in ``extra`` objects for what the format has no field for."""

_KINDS = ("input", "output", "cacheRead", "cacheWrite")


class AtifFile:
    """A ``RowSink`` for the rows of one run, in the order of ``RunRows.walk``."""

    def __init__(self, file: IO[bytes], about: About) -> None:
        self._file = file
        self._about = about
        self._pending: _Step | None = None
        self._count = 0
        self._model = ""
        self._totals = dict.fromkeys(_KINDS, 0)
        self._cost: float | None = None

    def add(self, entity: Entity) -> None:
        """The next row."""
        if isinstance(entity, Session):
            self._begin(entity)
        elif isinstance(entity, SessionTask):
            self._flush()
            self._pending = _UserStep(entity)
        elif isinstance(entity, Step):
            self._flush()
            self._pending = _AgentStep(entity, self._model)
        elif isinstance(entity, ToolCall) and isinstance(self._pending, _AgentStep):
            self._pending.add_call(entity)
        elif isinstance(entity, Artifact) and self._pending is not None:
            self._pending.add_artifact(entity)

    def close(self, counts: dict[str, int]) -> None:
        """Write the last step and the totals."""
        self._flush()
        totals = self._totals
        metrics: dict[str, Any] = {
            "total_prompt_tokens": totals["input"] + totals["cacheRead"] + totals["cacheWrite"],
            "total_completion_tokens": totals["output"],
            "total_cached_tokens": totals["cacheRead"],
            "total_steps": self._count,
        }
        if self._cost is not None:
            metrics["total_cost_usd"] = self._cost
        self._file.write(b'\n],"final_metrics":' + msgspec.json.encode(metrics) + b"}\n")
        sync_file(self._file)

    def abandon(self) -> None:
        """Do nothing: the file is its maker's."""

    def _begin(self, session: Session) -> None:
        metadata = session.metadata or {}
        models = metadata.get("models")
        self._model = str(models[0]) if isinstance(models, list) and models else ""
        agent = {
            "name": str(metadata.get("agentName") or metadata.get("source") or "acode-tui"),
            "version": str(metadata.get("agentVersion") or "unknown"),
            **({"model_name": self._model} if self._model else {}),
        }
        head = {
            "schema_version": SCHEMA_VERSION,
            "session_id": session.id,
            "trajectory_id": session.id,
            "agent": agent,
            "extra": {
                EXTRA: {
                    "state": session.state.value,
                    "task_description": session.task_description,
                    "program_version": self._about.program_version,
                    "redacted": self._about.redacted,
                }
            },
        }
        self._file.write(msgspec.json.encode(head)[:-1] + b',"steps":[')

    def _flush(self) -> None:
        step, self._pending = self._pending, None
        if step is None:
            return
        for record in step.records():
            self._file.write(b",\n" if self._count else b"\n")
            self._count += 1
            self._file.write(msgspec.json.encode({"step_id": self._count, **record}))
        tokens = step.tokens
        for kind in _KINDS:
            self._totals[kind] += tokens[kind]
        if step.cost is not None:
            self._cost = (self._cost or 0.0) + step.cost


class _Step:
    """What one row of a task or step becomes, with everything that hangs on it."""

    def __init__(self) -> None:
        self.tokens = dict.fromkeys(_KINDS, 0)
        self.cost: float | None = None

    def add_artifact(self, artifact: Artifact) -> None:
        raise NotImplementedError

    def records(self) -> Iterator[dict[str, Any]]:
        """The steps of the trajectory, without their numbers."""
        raise NotImplementedError


class _UserStep(_Step):
    def __init__(self, task: SessionTask) -> None:
        super().__init__()
        self._task = task
        self._prompts: list[str] = []
        self._others: list[dict[str, Any]] = []

    def add_artifact(self, artifact: Artifact) -> None:
        text = _text(artifact)
        if artifact.type is ArtifactType.USER_PROMPT and text is not None:
            self._prompts.append(text)
        else:
            self._others.append(_result(artifact, text, None))

    def records(self) -> Iterator[dict[str, Any]]:
        at = format_time(self._task.created_at)
        for prompt in self._prompts or [self._task.description or self._task.title]:
            yield {"timestamp": at, "source": "user", "message": prompt}
        if self._others:
            yield {"timestamp": at, "source": "system", "message": "", "observation": {"results": self._others}}


class _AgentStep(_Step):
    def __init__(self, step: Step, model: str) -> None:
        super().__init__()
        self._step = step
        metadata = step.metadata or {}
        self._model = str(metadata.get("model") or model)
        given = metadata.get("tokens")
        for kind in _KINDS:
            count = given.get(kind) if isinstance(given, dict) else None
            self.tokens[kind] = count if isinstance(count, int) and count > 0 else 0
        cost = metadata.get("cost")
        self.cost = float(cost) if isinstance(cost, (int, float)) and not isinstance(cost, bool) else None
        self._said: list[str] = []
        self._reasoned: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._results: list[dict[str, Any]] = []

    def add_call(self, call: ToolCall) -> None:
        parameters = call.parameters if isinstance(call.parameters, dict) else {"value": call.parameters}
        own = {"state": call.state.value, **({"error": call.error_message} if call.error_message else {})}
        self._calls.append(
            {
                "tool_call_id": call.id,
                "function_name": call.tool_name,
                "arguments": parameters,
                "extra": {EXTRA: own},
            }
        )
        if call.result is not None and not _is_summary(call.result):
            content = call.result if isinstance(call.result, str) else msgspec.json.encode(call.result).decode()
            self._results.append({"source_call_id": call.id, "content": content})
        elif call.error_message:
            # For tools that look for what a call returned; an import here takes it from the call.
            mark = {EXTRA: {"is_error": True}}
            self._results.append({"source_call_id": call.id, "content": call.error_message, "extra": mark})

    def add_artifact(self, artifact: Artifact) -> None:
        text = _text(artifact)
        if artifact.tool_call_id is None and text is not None and artifact.type is ArtifactType.MODEL_RESPONSE:
            self._said.append(text)
        elif artifact.tool_call_id is None and text is not None and artifact.type is ArtifactType.REASONING:
            self._reasoned.append(text)
        else:
            self._results.append(_result(artifact, text, artifact.tool_call_id))

    def records(self) -> Iterator[dict[str, Any]]:
        record: dict[str, Any] = {
            "timestamp": format_time(self._step.created_at),
            "source": "agent",
            "message": "\n\n".join(self._said),
        }
        if self._model:
            record["model_name"] = self._model
        if self._reasoned:
            record["reasoning_content"] = "\n\n".join(self._reasoned)
        if self._calls:
            record["tool_calls"] = self._calls
        if self._results:
            record["observation"] = {"results": self._results}
        if any(self.tokens.values()) or self.cost is not None:
            record["metrics"] = self._metrics()
        yield record

    def _metrics(self) -> dict[str, Any]:
        tokens = self.tokens
        metrics: dict[str, Any] = {
            "prompt_tokens": tokens["input"] + tokens["cacheRead"] + tokens["cacheWrite"],
            "completion_tokens": tokens["output"],
            "cached_tokens": tokens["cacheRead"],
        }
        if self.cost is not None:
            metrics["cost_usd"] = self.cost
        if tokens["cacheWrite"]:
            metrics["extra"] = {EXTRA: {"cache_write_tokens": tokens["cacheWrite"]}}
        return metrics


def _is_summary(result: Any) -> bool:
    """Whether a result says only how large the output is, which is an artifact."""
    return isinstance(result, dict) and not any(isinstance(value, (str, list, dict)) for value in result.values())


def _text(artifact: Artifact) -> str | None:
    """The content as text; None for an image and other bytes, which the format has no place for."""
    content = artifact.content or b""
    if b"\x00" in content:
        return None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _result(artifact: Artifact, text: str | None, call_id: str | None) -> dict[str, Any]:
    own = {"type": artifact.type.value, "name": artifact.name, "content_type": artifact.content_type}
    result: dict[str, Any] = {"extra": {EXTRA: own}}
    if call_id is not None:
        result["source_call_id"] = call_id
    result["content"] = text if text is not None else f"({artifact.name}: {artifact.size:,} bytes that are no text)"
    return result
