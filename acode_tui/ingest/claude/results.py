"""Attaches a Claude Code tool result to its call: the state, the facts and the artifacts."""

from datetime import datetime
from typing import Any

from msgspec import Raw

from acode_tui.domain.states import ArtifactType, ToolCallState
from acode_tui.domain.validation import escape, unescape
from acode_tui.ingest.claude.records import ToolUseResult
from acode_tui.ingest.contents import diff_of_edit, diff_of_patch, images_of, text_of
from acode_tui.ingest.draft import ArtifactDraft, CallDraft, to_bytes
from acode_tui.ingest.records import LineDecoder, label, number, parse_any

_REJECTED = ("The user doesn't want to proceed with this tool use", "[Request interrupted by user")
_EDITS = frozenset({"Edit", "MultiEdit", "NotebookEdit", "apply_patch"})
_TYPES = {
    "Read": ArtifactType.FILE_CONTENT,
    "NotebookRead": ArtifactType.FILE_CONTENT,
    "Write": ArtifactType.FILE_WRITE,
    "Grep": ArtifactType.SEARCH_RESULT,
    "Glob": ArtifactType.SEARCH_RESULT,
    "LS": ArtifactType.SEARCH_RESULT,
    "ToolSearch": ArtifactType.SEARCH_RESULT,
    "Task": ArtifactType.MODEL_RESPONSE,
    "Agent": ArtifactType.MODEL_RESPONSE,
} | dict.fromkeys(_EDITS, ArtifactType.FILE_DIFF)

_details = LineDecoder(ToolUseResult)


def artifact_type(tool: str) -> ArtifactType:
    """The type of the artifact that a call of this tool leaves when it succeeds."""
    found = _TYPES.get(tool)
    if found is not None:
        return found
    # WebSearch, WebFetch and the server-side web_search, web_fetch.
    return ArtifactType.SEARCH_RESULT if tool.lower().startswith("web") else ArtifactType.COMMAND_OUTPUT


def read_details(raw: Raw) -> tuple[str, ToolUseResult | None]:
    """``toolUseResult`` as text or as an object; both may be absent."""
    data = bytes(raw)
    if data[:1] == b"{":
        return "", _details.decode(data)
    if data[:1] == b'"':
        found = parse_any(data)
        return (found if type(found) is str else ""), None
    return "", None


def attach_result(
    call: CallDraft,
    block: dict[str, Any],
    note: str,
    details: ToolUseResult | None,
    denied: bool,
    at: datetime | None,
) -> None:
    """Attach a result to its call. A repeated result adds nothing.

    ``note`` is ``toolUseResult`` where that is text, ``details`` where it is an object.
    """
    content = block.get("content")
    text = text_of(content)
    state = _state(block, text, note, details, denied)
    call.complete(state, at, text or note or "failed")
    _note_facts(call, details, len(text))
    for artifact in _artifacts(call, state, content, text or note, details, at):
        call.add_artifact(artifact)


def _state(block: dict[str, Any], text: str, note: str, details: ToolUseResult | None, denied: bool) -> ToolCallState:
    if denied or note.startswith("User rejected tool use") or text.startswith(_REJECTED):
        return ToolCallState.CANCELLED
    if details is not None and details.interrupted is True:
        return ToolCallState.CANCELLED
    failed = block.get("is_error") is True or note.startswith("Error:") or (details and details.is_error is True)
    return ToolCallState.FAILED if failed else ToolCallState.SUCCEEDED


def _note_facts(call: CallDraft, details: ToolUseResult | None, size: int) -> None:
    call.facts["characters"] = size
    if details is None:
        return
    if details.interrupted is True:
        call.facts["interrupted"] = True
    for name, value in (("backgroundTaskId", details.background_task_id), ("status", details.status)):
        if label(value):
            call.facts[name] = label(value)
    for name, value in (
        ("totalDurationMs", details.total_duration_ms),
        ("totalTokens", details.total_tokens),
        ("totalToolUseCount", details.total_tool_use_count),
    ):
        if number(value):
            call.facts[name] = value


def _artifacts(
    call: CallDraft, state: ToolCallState, content: Any, text: str, details: ToolUseResult | None, at: datetime | None
) -> list[ArtifactDraft]:
    if state is ToolCallState.SUCCEEDED:
        found = [_success_artifact(call, text, details, at)]
    else:
        found = [_artifact("result", ArtifactType.COMMAND_OUTPUT, f"{call.name} result", text, "text/plain", at)]
    for index, image in enumerate(images_of(content)):
        name = escape(_path(call, details))
        found.append(
            ArtifactDraft(f"image-{index}", ArtifactType.FILE_CONTENT, name, image.content, image.content_type, at)
        )
    return found


def _success_artifact(call: CallDraft, text: str, details: ToolUseResult | None, at: datetime | None) -> ArtifactDraft:
    type_ = artifact_type(call.name)
    path = _path(call, details)
    if type_ is ArtifactType.FILE_CONTENT:
        file = details.file if details is not None else None
        whole = file.get("content") if type(file) is dict else None
        return _artifact("result", type_, path, whole if type(whole) is str else text, "text/plain", at)
    if type_ is ArtifactType.FILE_WRITE:
        written = details.content if details is not None else None
        if type(written) is not str and type(call.parameters) is dict:
            written = call.parameters.get("content")
            written = unescape(written) if type(written) is str else None
        return _artifact("result", type_, path, written if type(written) is str else text, "text/plain", at)
    if type_ is ArtifactType.FILE_DIFF:
        diff = diff_of_patch(path, details.structured_patch) if details is not None else ""
        diff = diff or diff_of_edit(path, call.parameters)
        return _artifact("result", type_, path, diff or text, "text/x-diff" if diff else "text/plain", at)
    if type_ is ArtifactType.MODEL_RESPONSE:
        return _artifact("result", type_, f"{call.name} result", text, "text/markdown", at)
    if not text and details is not None:
        parts = [part for part in (details.stdout, details.stderr) if type(part) is str and part]
        text = "\n".join(parts)
    return _artifact("result", type_, f"{call.name} output", text, "text/plain", at)


def _path(call: CallDraft, details: ToolUseResult | None) -> str:
    candidates: list[Any] = []
    if details is not None:
        candidates.append(details.file_path)
        if type(details.file) is dict:
            candidates.append(details.file.get("filePath"))
    if type(call.parameters) is dict:
        candidates += [call.parameters.get(name) for name in ("file_path", "notebook_path", "path")]
    return next((found for found in map(_short_path, candidates) if found), call.name)


def _short_path(value: Any) -> str:
    if type(value) is not str or not value.strip():
        return ""
    return value if len(value) <= 500 else "…" + value[-499:]


def _artifact(
    label_: str, type_: ArtifactType, name: str, text: str, content_type: str, at: datetime | None
) -> ArtifactDraft:
    return ArtifactDraft(label_, type_, escape(name), to_bytes(text), content_type, at)
