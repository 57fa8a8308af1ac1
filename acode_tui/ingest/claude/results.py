"""Attaches a Claude Code tool result to its call: the state, the facts and the artifacts."""

from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Raw

from acode_tui.domain.states import ArtifactType, ToolCallState
from acode_tui.domain.validation import escape, unescape
from acode_tui.ingest.claude.persisted import named_file, read_persisted
from acode_tui.ingest.claude.records import ToolUseResult
from acode_tui.ingest.contents import Image, decoded, diff_of_edit, diff_of_patch, text_of
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
    transcript: Path,
) -> None:
    """Attach a result to its call. A repeated result adds nothing.

    ``note`` is ``toolUseResult`` where that is text, ``details`` where it is an object. ``transcript`` is the file that
    holds the result.
    """
    content = block.get("content")
    text = text_of(content)
    if text.startswith("<persisted-output>") or (details is not None and type(details.persisted_output_path) is str):
        text = _persisted(call, text, details, transcript)
    state = _state(block, text, note, details, denied)
    call.complete(state, at, text or note or "failed")
    _note_facts(call, details, len(text))
    for artifact in _artifacts(call, state, content, text or note, details, at):
        call.add_artifact(artifact)


def _persisted(call: CallDraft, text: str, details: ToolUseResult | None, transcript: Path) -> str:
    """The whole output, from the file that the result names; the text as it is where that file is gone."""
    named = details.persisted_output_path if details is not None else None
    named = named if type(named) is str else named_file(text)
    if not named:
        return text
    found = read_persisted(named, transcript)
    call.facts["outputFile"] = label(found.name)
    call.facts["outputWhole"] = found.is_whole
    return text if found.content is None else found.content


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
    for name, value in (
        ("backgroundTaskId", details.background_task_id),
        ("runId", details.run_id),
        ("status", details.status),
    ):
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
    plan = details.plan if details is not None else None
    if type(plan) is str and plan.strip() and plan != plan_of(call.parameters):
        found.append(_artifact("plan", ArtifactType.MODEL_RESPONSE, "plan", plan, "text/markdown", at))
    for index, image in enumerate(image_blocks(content)):
        name = escape(_path(call, details))
        found.append(ArtifactDraft(f"image-{index}", ArtifactType.IMAGE, name, image.content, image.content_type, at))
    return found


def plan_of(parameters: Any) -> str:
    """The plan that a call of ExitPlanMode proposes; empty where it is in a file."""
    plan = parameters.get("plan") if type(parameters) is dict else None
    return plan if type(plan) is str and plan.strip() else ""


def image_blocks(content: Any) -> list[Image]:
    """The images in a content list. Those that the transcript only names have no content."""
    found = []
    for block in content if type(content) is list else ():
        if type(block) is not dict or block.get("type") != "image":
            continue
        source = block.get("source")
        source = source if type(source) is dict else {}
        found.append(decoded(source.get("data"), source.get("media_type")) or Image(b"", "application/octet-stream"))
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
