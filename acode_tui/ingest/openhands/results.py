"""Completes a call of OpenHands: the state, the facts and the artifact, from what was observed."""

from datetime import datetime
from typing import Any

from acode_tui.domain.states import ArtifactType, ToolCallState
from acode_tui.ingest.contents import text_of
from acode_tui.ingest.draft import ArtifactDraft, CallDraft, to_bytes
from acode_tui.ingest.records import label, text

FINISH = "finish"

_EDITORS = frozenset({"file_editor", "str_replace_editor"})
_EDITS = {
    "view": ArtifactType.FILE_CONTENT,
    "create": ArtifactType.FILE_WRITE,
    "str_replace": ArtifactType.FILE_DIFF,
    "insert": ArtifactType.FILE_DIFF,
    "undo_edit": ArtifactType.FILE_DIFF,
}
_TYPES = {
    "read": ArtifactType.FILE_CONTENT,
    "write": ArtifactType.FILE_WRITE,
    "edit": ArtifactType.FILE_DIFF,
    "browse": ArtifactType.SEARCH_RESULT,
    "glob": ArtifactType.SEARCH_RESULT,
    "grep": ArtifactType.SEARCH_RESULT,
    FINISH: ArtifactType.MODEL_RESPONSE,
}
_NO_EXIT = -1
"""The exit code of a command that still runs."""


class Observed:
    """What came of a call. ``failed`` is the format's own word; a command fails by its exit code as well."""

    def __init__(self, content: str, fields: dict[str, Any], *, failed: bool) -> None:
        self.content = content
        self.failed = failed
        details = fields["metadata"] if type(fields.get("metadata")) is dict else {}
        code = fields.get("exit_code", details.get("exit_code"))
        self.exit_code = code if type(code) is int and abs(code) < 2**31 and code != _NO_EXIT else None
        self.diff = text(fields.get("diff"))
        self.new_content = text(fields.get("new_content"))
        self.path = label(fields.get("path"), 1_000)
        self.timeout = fields.get("timeout") is True


def observed(observation: dict[str, Any]) -> Observed:
    """What an observation of the newer generation says."""
    content = text_of(observation.get("content")) or text(observation.get("output"))
    return Observed(content, observation, failed=observation.get("is_error") is True)


def complete(call: CallDraft, found: Observed, at: datetime | None) -> None:
    """Complete a call by what was observed."""
    failed = found.failed or found.timeout or found.exit_code not in (None, 0)
    state = ToolCallState.FAILED if failed else ToolCallState.SUCCEEDED
    call.complete(state, at, found.content or "failed")
    call.facts["characters"] = len(found.content)
    if found.exit_code is not None:
        call.facts["exitCode"] = found.exit_code
    call.add_artifact(_artifact(call, state, found, at))


def refuse(call: CallDraft, reason: str, at: datetime | None) -> None:
    """The user refused the call."""
    shown = reason or "refused by the user"
    call.complete(ToolCallState.CANCELLED, at, shown)
    call.add_artifact(_artifact(call, ToolCallState.CANCELLED, Observed(shown, {}, failed=True), at))


def _artifact(call: CallDraft, state: ToolCallState, found: Observed, at: datetime | None) -> ArtifactDraft:
    parameters = call.parameters if type(call.parameters) is dict else {}
    kind = ArtifactType.COMMAND_OUTPUT
    if state is ToolCallState.SUCCEEDED:
        if call.name in _EDITORS:
            kind = _EDITS.get(text(parameters.get("command")), ArtifactType.FILE_DIFF)
        else:
            kind = _TYPES.get(call.name, ArtifactType.SEARCH_RESULT if "browse" in call.name else kind)
    name = found.path or label(parameters.get("path"), 1_000) or f"{call.name} result"
    if kind is ArtifactType.FILE_DIFF and found.diff:
        return ArtifactDraft("result", kind, name, to_bytes(found.diff), "text/x-diff", at)
    written = text(parameters.get("file_text")) or text(parameters.get("content")) or found.new_content
    if kind is ArtifactType.FILE_WRITE and written:
        return ArtifactDraft("result", kind, name, to_bytes(written), "text/plain", at)
    content_type = "text/markdown" if kind is ArtifactType.MODEL_RESPONSE else "text/plain"
    return ArtifactDraft("result", kind, name, to_bytes(found.content), content_type, at)
