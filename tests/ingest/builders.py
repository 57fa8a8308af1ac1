"""Builds small transcripts in each agent's format, and reads them."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from acode_tui.domain.entities import SessionGraph, StepGraph, ToolCallGraph
from acode_tui.domain.states import ArtifactType
from acode_tui.domain.validation import Limits
from acode_tui.ingest.format import Parsed, ReadContext
from acode_tui.ingest.registry import format_named
from acode_tui.ingest.timeline import Checkpoint
from acode_tui.ingest.usage import Claims

START = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)
LATER = START + timedelta(days=30)
WORKSPACE = "0190d6a1-7b2c-7def-8a3e-b4c5d6e7f890"
SESSION = "11111111-2222-4333-8444-555555555555"


def stamp(seconds: float) -> str:
    """The text of a moment after the start, as both agents write it."""
    return (START + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Transcript:
    """Builds the lines of a transcript; each line is a second later than the one before."""

    format = "claude-code"

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def raw(self, line: bytes) -> None:
        self.lines.append(line)

    def add(self, record: Any) -> None:
        self.raw(json.dumps(record).encode())

    @property
    def now(self) -> str:
        return stamp(len(self.lines))

    def until(self, count: int) -> list[bytes]:
        """What the transcript held after so many records."""
        return self.lines[:count]

    @property
    def data(self) -> bytes:
        return b"".join(line + b"\n" for line in self.lines)

    def write(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.data)
        return path


class Document(Transcript):
    """A transcript that is one JSON value: ``records`` are its turns, and ``whole`` makes the value of some of them."""

    def __init__(self, format: str, records: list[Any], whole: Callable[[list[Any]], Any]) -> None:
        super().__init__()
        self.format = format
        self._whole = whole
        self.lines = [json.dumps(record).encode() for record in records]

    def until(self, count: int) -> list[bytes]:
        return [json.dumps(self._whole([json.loads(line) for line in self.lines[:count]])).encode()]


class Claude(Transcript):
    """A Claude Code session."""

    def __init__(self, session: str = SESSION, **common: Any) -> None:
        super().__init__()
        self.session = session
        self.common = {"cwd": "/src/shop", "gitBranch": "main", "version": "2.1.39", **common}

    def record(self, type_: str, **fields: Any) -> None:
        line = {
            "parentUuid": None,
            "isSidechain": False,
            "userType": "external",
            "sessionId": self.session,
            "type": type_,
            "uuid": f"{self.session[:8]}-{len(self.lines)}",
            "timestamp": self.now,
            **self.common,
            **fields,
        }
        self.add({name: value for name, value in line.items() if value is not ...})

    def user(self, content: Any, **fields: Any) -> None:
        self.record("user", message={"role": "user", "content": content}, **fields)

    def assistant(self, message_id: str | None, *blocks: dict[str, Any], **fields: Any) -> None:
        message = {
            "id": message_id,
            "role": "assistant",
            "model": fields.pop("model", "claude-a"),
            "content": list(blocks),
            "stop_reason": None,
        }
        if "usage" in fields:
            message["usage"] = fields.pop("usage")
        self.record("assistant", message=message, requestId=fields.pop("requestId", f"req-{message_id}"), **fields)

    def says(self, message_id: str, text: str, **fields: Any) -> None:
        self.assistant(message_id, {"type": "text", "text": text}, **fields)

    def calls(self, message_id: str, call_id: str, tool: str, arguments: Any = None, **fields: Any) -> None:
        block = {"type": "tool_use", "id": call_id, "name": tool, "input": {} if arguments is None else arguments}
        self.assistant(message_id, block, **fields)

    def attach(self, type_: str, **attachment: Any) -> None:
        self.record("attachment", attachment={"type": type_, **attachment})

    def queue(self, operation: str, content: str, **fields: Any) -> None:
        line = {"type": "queue-operation", "operation": operation, "content": content, "timestamp": self.now, **fields}
        self.add({name: value for name, value in line.items() if value is not ...})

    def result(self, call_id: str, content: Any = "ok", *, is_error: bool | None = None, **fields: Any) -> None:
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": call_id, "content": content}
        if is_error is not None:
            block["is_error"] = is_error
        self.user([block], **fields)


class Codex(Transcript):
    """A Codex rollout."""

    format = "codex"

    def __init__(self, session: str = SESSION, *, meta: bool = True) -> None:
        super().__init__()
        if meta:
            git = {"commit_hash": "abc", "branch": "main"}
            self.line("session_meta", id=session, timestamp=self.now, cwd="/src/shop", cli_version="0.104.0", git=git)

    def line(self, type_: str, **payload: Any) -> None:
        self.add({"timestamp": self.now, "type": type_, "payload": payload})

    def item(self, type_: str, **payload: Any) -> None:
        self.line("response_item", type=type_, **payload)

    def event(self, type_: str, **payload: Any) -> None:
        self.line("event_msg", type=type_, **payload)

    def prompt(self, text: str) -> None:
        self.item("message", role="user", content=[{"type": "input_text", "text": text}])
        self.event("user_message", message=text)

    def says(self, text: str) -> None:
        self.event("agent_message", message=text)
        self.item("message", role="assistant", content=[{"type": "output_text", "text": text}])

    def calls(self, call_id: str, name: str = "shell", arguments: str = '{"command":["ls"]}') -> None:
        self.item("function_call", name=name, arguments=arguments, call_id=call_id)

    def output(self, call_id: str, output: Any) -> None:
        self.item("function_call_output", call_id=call_id, output=output)

    def tokens(self, total: int, last: int, **more: Any) -> None:
        self.event(
            "token_count",
            info={
                "total_token_usage": {"input_tokens": total, "output_tokens": total},
                "last_token_usage": {"input_tokens": last, "output_tokens": last, **more},
            },
        )


def context_for(
    path: Path, *, idle: timedelta = timedelta(), written: timedelta | None = None, **options: Any
) -> ReadContext:
    """What a reader is given beside the lines: the import is ``idle`` after the start."""
    now = START + idle
    return ReadContext(
        path=path,
        now=now,
        written_at=START if written is None else now - written,
        workspace_id=WORKSPACE,
        user_id="dev@example.com",
        **{"limits": Limits(), "claims": Claims(), **options},
    )


def read(
    transcript: Transcript | Iterable[bytes],
    *,
    path: str = f"/t/{SESSION}.jsonl",
    fresh: bool = False,
    idle: timedelta | None = None,
    written: timedelta | None = None,
    limits: Limits | None = None,
    checkpoints: tuple[Checkpoint, ...] = (),
    claims: Claims | None = None,
    format: str | None = None,
    resume: bytes = b"",
    claimed: bytes = b"",
    before: int = 0,
    seen: bytes = b"",
) -> Parsed:
    """The result of the format's reader for the lines; with ``resume``, of those after the first ``before`` lines.

    The import is ``idle`` after the start, and ``written`` after the file was written to, which is at the start by
    default.
    """
    lines = transcript.lines if isinstance(transcript, Transcript) else list(transcript)
    name = format or (transcript.format if isinstance(transcript, Transcript) else "claude-code")
    context = context_for(
        Path(path),
        idle=idle if idle is not None else timedelta() if fresh else LATER - START,
        written=written,
        limits=limits or Limits(),
        checkpoints=checkpoints,
        claims=claims or Claims(),
        resumable=True,
        resume=resume,
        claimed=claimed,
        seen=seen,
    )
    return format_named(name).read(enumerate(lines[before:], before + 1), context)


def graph_of(transcript: Transcript, **options: Any) -> SessionGraph:
    (graph,) = read(transcript, **options).graphs
    return graph


def steps_of(graph: SessionGraph) -> list[StepGraph]:
    return [step for task in graph.tasks for step in task.steps]


def calls_of(graph: SessionGraph) -> list[ToolCallGraph]:
    """Every call of a run."""
    return [call for step in steps_of(graph) for call in step.tool_calls]


def call_named(graph: SessionGraph, tool: str) -> ToolCallGraph:
    return next(call for call in calls_of(graph) if call.tool_name == tool)


def texts_of(graph: SessionGraph) -> list[bytes | None]:
    """The model's own words, in order."""
    kind = ArtifactType.MODEL_RESPONSE
    return [artifact.content for step in steps_of(graph) for artifact in step.artifacts if artifact.type is kind]


def story() -> Claude:
    """A session with every kind of line, answered at the end."""
    found = Claude()
    found.user("Add validation to the login form")
    found.says("m1", "I will read the form.")
    found.calls("m1", "c1", "Read", {"file_path": "login.ts"})
    found.result(
        "c1", "1\tconst a", toolUseResult={"type": "text", "file": {"filePath": "login.ts", "content": "const a"}}
    )
    found.calls("m2", "c2", "Bash", {"command": "npm test"})
    found.result("c2", "Exit code 1\nred", is_error=True, toolUseResult="Error: Exit code 1\nred")
    found.record("system", subtype="compact_boundary", compactMetadata={"trigger": "auto"})
    found.user("This session is being continued from a previous conversation", isCompactSummary=True)
    found.says("m3", "Done.", model="claude-b")
    found.user("Now the sign-up form")
    found.user("[Request interrupted by user]")
    found.user("Only the e-mail field")
    found.calls("m4", "c3", "Edit", {"file_path": "a.ts", "old_string": "x", "new_string": "y"})
    found.result("c3", "updated", toolUseResult={"filePath": "a.ts", "structuredPatch": [], "originalFile": "x" * 99})
    found.says("m5", "Finished.")
    return found
