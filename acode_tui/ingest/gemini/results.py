"""Completes a call of Gemini CLI: the state, the facts and the artifact, from the call's record."""

import re
from datetime import datetime
from typing import Any

from acode_tui.domain.states import ArtifactType, ToolCallState
from acode_tui.ingest.draft import ArtifactDraft, CallDraft, to_bytes
from acode_tui.ingest.records import label, text

_TYPES = {
    "read_file": ArtifactType.FILE_CONTENT,
    "read_many_files": ArtifactType.FILE_CONTENT,
    "write_file": ArtifactType.FILE_WRITE,
    "replace": ArtifactType.FILE_DIFF,
    "list_directory": ArtifactType.SEARCH_RESULT,
    "glob": ArtifactType.SEARCH_RESULT,
    "grep_search": ArtifactType.SEARCH_RESULT,
    "search_file_content": ArtifactType.SEARCH_RESULT,
    "google_web_search": ArtifactType.SEARCH_RESULT,
    "web_fetch": ArtifactType.SEARCH_RESULT,
    "invoke_agent": ArtifactType.MODEL_RESPONSE,
    "delegate_to_agent": ArtifactType.MODEL_RESPONSE,
}
_EXITED = re.compile(r"^Exit Code: (-?\d+)", re.MULTILINE)
_STATES = {
    "success": ToolCallState.SUCCEEDED,
    "error": ToolCallState.FAILED,
    "cancelled": ToolCallState.CANCELLED,
}
"""``status`` of a call that has ended; the others are those of a call under way."""


def complete(call: CallDraft, record: dict[str, Any], at: datetime | None) -> None:
    """Complete a call by its record; nothing happens if it has not ended."""
    state = _STATES.get(text(record.get("status")))
    if state is None:
        return
    output = result_text(record.get("result"))
    code = _exit_code(call.name, output)
    if state is ToolCallState.SUCCEEDED and code not in (None, 0):
        # The program records a command that failed as a success.
        state = ToolCallState.FAILED
    display = record.get("resultDisplay")
    shown = output or (display if type(display) is str else "")
    call.complete(state, at, shown or "failed")
    call.facts["characters"] = len(shown)
    if code is not None:
        call.facts["exitCode"] = code
    call.add_artifact(_artifact(call, state, shown, display, at))


def result_text(result: Any) -> str:
    """The text of a result: the outputs and the errors of its parts."""
    pieces = []
    for part in result if type(result) is list else (result,):
        response = part.get("functionResponse") if type(part) is dict else None
        given = response.get("response") if type(response) is dict else None
        if type(given) is dict:
            pieces += [text(given.get("output")) or text(given.get("error"))]
        elif type(part) is dict:
            pieces.append(text(part.get("text")))
    return "\n".join(piece for piece in pieces if piece)


def _exit_code(tool: str, output: str) -> int | None:
    found = _EXITED.search(output) if tool == "run_shell_command" else None
    return int(found.group(1)) if found else None


def _artifact(call: CallDraft, state: ToolCallState, shown: str, display: Any, at: datetime | None) -> ArtifactDraft:
    parameters = call.parameters if type(call.parameters) is dict else {}
    path = label(parameters.get("file_path") or parameters.get("absolute_path") or parameters.get("path"), 1_000)
    name = path or f"{call.name} result"
    kind = _TYPES.get(call.name, ArtifactType.COMMAND_OUTPUT)
    if state is not ToolCallState.SUCCEEDED:
        kind = ArtifactType.COMMAND_OUTPUT
    diff = display.get("fileDiff") if type(display) is dict else None
    if state is ToolCallState.SUCCEEDED and type(diff) is str and diff:
        return ArtifactDraft("result", ArtifactType.FILE_DIFF, name, to_bytes(diff), "text/x-diff", at)
    written = parameters.get("content")
    if kind is ArtifactType.FILE_WRITE and type(written) is str:
        return ArtifactDraft("result", kind, name, to_bytes(written), "text/plain", at)
    return ArtifactDraft("result", kind, name, to_bytes(shown), "text/plain", at)
