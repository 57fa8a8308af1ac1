"""Completes a call of Copilot CLI: the state, the facts and the artifact, from the event of its end."""

import re
from datetime import datetime
from typing import Any

from acode_tui.domain.states import ArtifactType, ToolCallState
from acode_tui.ingest.copilot.records import Data
from acode_tui.ingest.draft import ArtifactDraft, CallDraft, to_bytes
from acode_tui.ingest.records import label, text

_TYPES = {
    "view": ArtifactType.FILE_CONTENT,
    "create": ArtifactType.FILE_WRITE,
    "edit": ArtifactType.FILE_DIFF,
    "apply_patch": ArtifactType.FILE_DIFF,
    "grep": ArtifactType.SEARCH_RESULT,
    "glob": ArtifactType.SEARCH_RESULT,
    "task": ArtifactType.MODEL_RESPONSE,
}
_EXITED = re.compile(r"<shellId: [^>]* completed with exit code (-?\d+)>\s*$")
_REFUSED = frozenset({"denied", "rejected", "cancelled", "aborted"})
"""Codes of errors that say that the user refused the call or broke it off."""


def complete(call: CallDraft, data: Data, at: datetime | None) -> None:
    """Complete a call."""
    result = data.result if type(data.result) is dict else {}
    error = data.error if type(data.error) is dict else {}
    content = text(result.get("content")) or text(error.get("message")) or text(data.error)
    code = _exit_code(data, content)
    state = ToolCallState.SUCCEEDED
    if data.success is not True:
        state = ToolCallState.CANCELLED if text(error.get("code")) in _REFUSED else ToolCallState.FAILED
    elif code not in (None, 0):
        # The program records a command that failed as a success.
        state = ToolCallState.FAILED
    call.complete(state, at, content or label(error.get("code")) or "failed")
    call.facts["characters"] = len(content)
    if code is not None:
        call.facts["exitCode"] = code
    call.add_artifact(_artifact(call, state, content, result, at))


def _exit_code(data: Data, content: str) -> int | None:
    given = data.shell_execution.get("exitCode") if type(data.shell_execution) is dict else None
    if type(given) is int and abs(given) < 2**31:
        return given
    found = _EXITED.search(content[-200:])
    return int(found.group(1)) if found else None


def _artifact(
    call: CallDraft, state: ToolCallState, content: str, result: dict[str, Any], at: datetime | None
) -> ArtifactDraft:
    parameters = call.parameters if type(call.parameters) is dict else {}
    kind = ArtifactType.COMMAND_OUTPUT
    if state is ToolCallState.SUCCEEDED:
        kind = _TYPES.get(call.name, ArtifactType.SEARCH_RESULT if call.name.startswith("web") else kind)
    path = label(parameters.get("path"), 1_000)
    name = path or f"{call.name} result"
    detailed = text(result.get("detailedContent"))
    if kind is ArtifactType.FILE_DIFF and detailed:
        return ArtifactDraft("result", kind, name, to_bytes(detailed), "text/x-diff", at)
    written = parameters.get("file_text")
    if kind is ArtifactType.FILE_WRITE and type(written) is str:
        return ArtifactDraft("result", kind, name, to_bytes(written), "text/plain", at)
    return ArtifactDraft("result", kind, name, to_bytes(content), "text/plain", at)
