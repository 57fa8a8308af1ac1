"""Attaches the output of a Codex call to it: its text, whether the call failed, and the artifact.

There is no error flag. An exit code decides where there is one, else the phrases that Codex itself writes at the
head of an output; the rest is not searched, since a command may print anything.
"""

import re
from datetime import datetime
from typing import Any

import msgspec

from acode_tui.domain.states import ArtifactType, ToolCallState
from acode_tui.domain.validation import escape, unescape
from acode_tui.ingest.contents import text_of
from acode_tui.ingest.draft import ArtifactDraft, CallDraft, to_bytes
from acode_tui.ingest.records import parse_text

HEAD_CHARS = 400
_EXITED = re.compile(r"(?:Process exited with code|Exit code:) (-?\d{1,9})")
_REJECTED = "rejected by user"
_FAILED = ("failed in sandbox", "execution error")
_SEARCHES = frozenset({"web_search_call", "web_search", "tool_search_call", "grep_files", "list_dir"})


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
        code = metadata.get("exit_code")
        duration: Any = metadata.get("duration_seconds")
        found.exit_code = code if type(code) is int and abs(code) < 2**31 else None
        found.duration = float(duration) if type(duration) in (int, float) and 0 <= duration < 1e9 else None
    if type(value.get("success")) is bool:
        found.success = value["success"]
    return found


def attach_output(call: CallDraft, output: Output, at: datetime | None) -> None:
    """Attach an output to its call: state, facts and artifact. A repeated output adds nothing."""
    head = output.text[:HEAD_CHARS].partition("\nOutput:")[0]
    code = _exit_code(output, head)
    state, error = _state(output, head, code)
    call.complete(state, at, error)
    call.facts["characters"] = len(output.text)
    if code is not None:
        call.facts["exitCode"] = code
    if output.duration is not None:
        call.facts["durationSeconds"] = output.duration
    call.add_artifact(_artifact(call, state, output.text, at))


def _exit_code(output: Output, head: str) -> int | None:
    if output.exit_code is not None:
        return output.exit_code
    found = _EXITED.search(head)
    return int(found.group(1)) if found else None


def _state(output: Output, head: str, code: int | None) -> tuple[ToolCallState, str | None]:
    if code == 0:
        return ToolCallState.SUCCEEDED, None
    message = output.text.strip() or "no output"
    if _REJECTED in head:
        return ToolCallState.CANCELLED, message
    if code is not None:
        return ToolCallState.FAILED, f"exit code {code}: {message}"
    if output.success is False or any(phrase in head for phrase in _FAILED):
        return ToolCallState.FAILED, message
    return ToolCallState.SUCCEEDED, None


def _artifact(call: CallDraft, state: ToolCallState, text: str, at: datetime | None) -> ArtifactDraft:
    name = escape(f"{call.name} output")
    if state is ToolCallState.SUCCEEDED:
        if call.name == "apply_patch":
            patch = _patch(call.parameters)
            if patch:
                content = to_bytes(unescape(patch))
                return ArtifactDraft("result", ArtifactType.FILE_DIFF, "apply_patch", content, "text/x-diff", at)
        if call.name in _SEARCHES or call.name.startswith("web"):
            return ArtifactDraft("result", ArtifactType.SEARCH_RESULT, name, to_bytes(text), "text/plain", at)
        if call.name == "read_file":
            return ArtifactDraft("result", ArtifactType.FILE_CONTENT, name, to_bytes(text), "text/plain", at)
        if call.name in ("spawn_agent", "wait_agent", "send_input"):
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
