"""Decides how a Codex call ended, and what it left: from the structured record of it, else from its output.

Newer versions record what was run, changed and called, with exit codes (``record_command`` and its neighbours); that
comes before or after the output, and decides. Otherwise an exit code in the output does, else the phrases that Codex
itself writes at the head of an output. The rest is not searched, since a command may print anything.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from acode_tui.domain.states import ArtifactType, ToolCallState
from acode_tui.domain.validation import escape, unescape
from acode_tui.ingest.contents import text_of
from acode_tui.ingest.draft import ArtifactDraft, CallDraft, to_bytes
from acode_tui.ingest.records import label, parse_text, text

HEAD_CHARS = 400
_EXITED = re.compile(r"(?:Process exited with code|Exit code:) (-?\d{1,9})")
_PHRASES: tuple[tuple[str, ToolCallState], ...] = (
    # What Codex writes in place of an output, by version: the first phrase that the head holds decides.
    ("patch rejected by user", ToolCallState.CANCELLED),  # 0.40
    ("aborted by user", ToolCallState.CANCELLED),  # 0.58 and newer
    ("failed in sandbox", ToolCallState.FAILED),  # 0.40
    ("execution error", ToolCallState.FAILED),  # 0.40
    ("exec_command failed", ToolCallState.FAILED),  # 0.104 and newer, also where the user rejected the command
    ("write_stdin failed", ToolCallState.FAILED),  # 0.104
    ("apply_patch verification failed", ToolCallState.FAILED),  # 0.104
    ("Script failed", ToolCallState.FAILED),  # 0.148, scripts of the exec tool
    ("tool call error", ToolCallState.FAILED),  # MCP
    ("tool call failed", ToolCallState.FAILED),  # MCP
    ("unsupported call", ToolCallState.FAILED),  # every version
    ("failed to parse function arguments", ToolCallState.FAILED),  # every version
    ("rejected by user", ToolCallState.CANCELLED),
)
_SEARCHES = frozenset({"web_search", "tool_search", "grep_files", "list_dir"})
_AGENTS = frozenset({"spawn_agent", "wait_agent", "wait", "send_input"})
_REFUSED = frozenset({"declined", "rejected", "cancelled"})
RECORDED = "recorded"
"""The fact that says that a structured record has decided the call: ``succeeded``, ``failed`` or ``cancelled``."""


class Output(msgspec.Struct):
    """An output as far as it could be read. ``duration`` is in seconds."""

    text: str
    exit_code: int | None = None
    duration: float | None = None
    success: bool | None = None


def read_output(value: Any) -> Output:
    """Text and metadata of an ``output``: JSON in a string, plain text, a list of blocks, or an object."""
    if type(value) is str:
        if value.startswith("{"):
            inner = parse_text(value)
            if type(inner) is dict and "output" in inner:
                return _of_object(inner)
        return Output(value)
    if type(value) is dict:
        return _of_object(value)
    return Output(text_of(value))


def _of_object(value: dict[str, Any]) -> Output:
    found = Output("")
    for name in ("output", "content", "text"):
        if name in value:
            found.text = text_of(value[name])
            break
    metadata = value.get("metadata")
    if type(metadata) is dict:
        found.exit_code = _code(metadata.get("exit_code"))
        found.duration = _seconds(metadata.get("duration_seconds"))
    if type(value.get("success")) is bool:
        found.success = value["success"]
    return found


def attach_output(call: CallDraft, output: Output, at: datetime | None) -> None:
    """Attach an output to its call: state, facts and artifact. A repeated output adds nothing."""
    head = output.text[:HEAD_CHARS].partition("\nOutput:")[0]
    code = output.exit_code
    if code is None:
        found = _EXITED.search(head)
        code = int(found.group(1)) if found else _code(call.facts.get("exitCode"))
    state, error = _state(call, output, head, code)
    call.complete(state, at, error)
    call.facts["characters"] = len(output.text)
    if code is not None:
        call.facts["exitCode"] = code
    if output.duration is not None:
        call.facts["durationSeconds"] = output.duration
    call.add_artifact(_artifact(call, state, output.text, at))


def _state(call: CallDraft, output: Output, head: str, code: int | None) -> tuple[ToolCallState, str | None]:
    message = output.text.strip() or "no output"
    if code not in (None, 0):
        message = f"exit code {code}: {message}"
    recorded = call.facts.get(RECORDED)
    if recorded is not None:
        return _RECORDED_STATES[recorded], None if recorded == "succeeded" else message
    if code == 0:
        return ToolCallState.SUCCEEDED, None
    if code is not None:
        return (ToolCallState.CANCELLED if "rejected by user" in head else ToolCallState.FAILED), message
    for phrase, state in _PHRASES:
        if phrase in head:
            return state, message
    if output.success is False or (call.name in _AGENTS and _has_errored_agent(output.text)):
        return ToolCallState.FAILED, message
    return ToolCallState.SUCCEEDED, None


_RECORDED_STATES = {
    "succeeded": ToolCallState.SUCCEEDED,
    "failed": ToolCallState.FAILED,
    "cancelled": ToolCallState.CANCELLED,
}


def _has_errored_agent(output: str) -> bool:
    """Whether a wait for agents tells that one of them ended with an error."""
    found = parse_text(output) if output.startswith("{") else None
    status = found.get("status") if type(found) is dict else None
    states = status.values() if type(status) is dict else ()
    return any(type(state) is dict and "errored" in state for state in states)


def spawned_agent(output: Output) -> str:
    """The native id of the session that a call started; empty where it started none."""
    found = parse_text(output.text) if output.text.startswith("{") else None
    return label(found.get("agent_id")) if type(found) is dict else ""


def _artifact(call: CallDraft, state: ToolCallState, text: str, at: datetime | None) -> ArtifactDraft:
    name = escape(f"{call.name} output")
    if state is ToolCallState.SUCCEEDED:
        if call.name == "apply_patch" and not any(kept.type is ArtifactType.FILE_DIFF for kept in call.artifacts):
            patch = _patch(call.parameters)
            if patch:
                content = to_bytes(unescape(patch))
                return ArtifactDraft("result", ArtifactType.FILE_DIFF, "apply_patch", content, "text/x-diff", at)
        if call.name in _SEARCHES or call.name.startswith("web"):
            return ArtifactDraft("result", ArtifactType.SEARCH_RESULT, name, to_bytes(text), "text/plain", at)
        if call.name == "read_file":
            return ArtifactDraft("result", ArtifactType.FILE_CONTENT, name, to_bytes(text), "text/plain", at)
        if call.name in _AGENTS:
            return ArtifactDraft("result", ArtifactType.MODEL_RESPONSE, name, to_bytes(text), "text/markdown", at)
    return ArtifactDraft("result", ArtifactType.COMMAND_OUTPUT, name, to_bytes(text), "text/plain", at)


def _patch(parameters: Any) -> str:
    if type(parameters) is str:
        return parameters
    if type(parameters) is dict:
        for name in ("input", "patch"):
            if type(parameters.get(name)) is str:
                return str(parameters[name])
    return ""


# -- structured records


def record_command(call: CallDraft, record: dict[str, Any], at: datetime | None) -> None:
    """Note what a command's record says (``CommandExecution``, ``exec_command_end``)."""
    code = _code(record.get("exit_code"))
    if code is not None and call.facts.get("exitCode") in (None, 0):
        # One call may run several commands: one that failed decides.
        call.facts["exitCode"] = code
    status = text(record.get("status"))
    if status in _REFUSED:
        _record(call, "cancelled", at, text(record.get("aggregated_output")) or "refused by the user")
    elif call.facts.get("exitCode") is not None:
        failed = call.facts["exitCode"] != 0
        output = text(record.get("aggregated_output")).strip()
        _record(call, "failed" if failed else "succeeded", at, f"exit code {call.facts['exitCode']}: {output}")
    seconds = _duration(record.get("duration"))
    if seconds is not None:
        call.facts["durationSeconds"] = seconds


def record_changes(call: CallDraft, record: dict[str, Any], at: datetime | None) -> None:
    """Note what a record of changed files says (``FileChange``, ``patch_apply_end``): a diff for each that was made."""
    success = record.get("success")
    status = text(record.get("status"))
    if success is False or status in ("failed", *_REFUSED):
        what = "cancelled" if status in _REFUSED else "failed"
        _record(call, what, at, text(record.get("stderr")) or text(record.get("stdout")) or "the patch was not applied")
        return
    _record(call, "succeeded", at, "")
    for index, (path, diff) in enumerate(_diffs(record.get("changes"))):
        name = label(path, 1_000) or "patch"
        call.add_artifact(
            ArtifactDraft(f"change {index}", ArtifactType.FILE_DIFF, name, to_bytes(diff), "text/x-diff", at)
        )


def record_tool(call: CallDraft, record: dict[str, Any], at: datetime | None) -> None:
    """Note how a call of an MCP server ended (``mcp_tool_call_end``, ``McpToolCall``), or of a tool of the editor
    (``dynamic_tool_call_response``, ``DynamicToolCall``)."""
    result = record.get("result")
    error = record.get("error")
    if type(result) is dict and "Err" in result:
        error = result["Err"]
    inner = result.get("Ok") if type(result) is dict else None
    is_error = type(inner) is dict and (inner.get("isError") or inner.get("is_error")) is True
    if error or is_error or record.get("success") is False or record.get("status") == "failed":
        message = text(error) or (text(error.get("message")) if type(error) is dict else "")
        _record(call, "failed", at, message or "the tool reported an error")
    elif result is not None or record.get("success") is True or record.get("status") == "completed":
        _record(call, "succeeded", at, "")


def _record(call: CallDraft, what: str, at: datetime | None, message: str) -> None:
    """Note the decision. A failure stays one, whatever another record of the same call says."""
    if call.facts.get(RECORDED) in (None, "succeeded"):
        call.facts[RECORDED] = what
    if not call.is_open and call.state is not _RECORDED_STATES[what] and what != "succeeded":
        # The output came first, and did not say so.
        call.complete(_RECORDED_STATES[what], call.done_at or at, message or call.error)


def _diffs(changes: Any) -> Iterator[tuple[str, str]]:
    """Each changed file and its diff."""
    for path, change in changes.items() if type(changes) is dict else ():
        if type(change) is not dict:
            continue
        kind = next((name for name in ("add", "update", "delete") if name in change), text(change.get("type")))
        fields = change[kind] if type(change.get(kind)) is dict else change
        content = text(fields.get("content"))
        if kind == "add":
            yield path, _whole("+", "/dev/null", path, content)
        elif kind == "delete":
            yield path, _whole("-", path, "/dev/null", content)
        else:
            moved = text(fields.get("move_path")) or path
            yield path, f"--- {path}\n+++ {moved}\n{text(fields.get('unified_diff'))}"


def _whole(sign: str, before: str, after: str, content: str) -> str:
    lines = content.splitlines()
    range_ = f"-0,0 +1,{len(lines)}" if sign == "+" else f"-1,{len(lines)} +0,0"
    return "\n".join([f"--- {before}", f"+++ {after}", f"@@ {range_} @@", *(sign + line for line in lines), ""])


def _code(value: Any) -> int | None:
    return value if type(value) is int and abs(value) < 2**31 else None


def _seconds(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and 0 <= value < 1e9 else None


def _duration(value: Any) -> float | None:
    """Seconds of a duration with seconds and nanoseconds."""
    if type(value) is not dict:
        return None
    seconds, nanos = _seconds(value.get("secs")), _seconds(value.get("nanos"))
    return None if seconds is None else round(seconds + (nanos or 0.0) / 1e9, 6)
