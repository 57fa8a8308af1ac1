"""Completes a call of OpenCode: the state, the facts and the artifacts, from the state of its part."""

from datetime import datetime
from typing import Any

from acode_tui.domain.states import ArtifactType, ToolCallState
from acode_tui.ingest import contents
from acode_tui.ingest.contents import Image
from acode_tui.ingest.draft import ArtifactDraft, CallDraft, to_bytes
from acode_tui.ingest.records import label, text

_TYPES = {
    "read": ArtifactType.FILE_CONTENT,
    "write": ArtifactType.FILE_WRITE,
    "edit": ArtifactType.FILE_DIFF,
    "multiedit": ArtifactType.FILE_DIFF,
    "patch": ArtifactType.FILE_DIFF,
    "apply_patch": ArtifactType.FILE_DIFF,
    "grep": ArtifactType.SEARCH_RESULT,
    "glob": ArtifactType.SEARCH_RESULT,
    "list": ArtifactType.SEARCH_RESULT,
    "webfetch": ArtifactType.SEARCH_RESULT,
    "websearch": ArtifactType.SEARCH_RESULT,
    "task": ArtifactType.MODEL_RESPONSE,
}
UNKNOWN_TOOL = "invalid"
"""The tool by which the program completes a call of a tool that it does not have."""
_CANCELLED = ("The user rejected permission", "Tool execution aborted", "The user dismissed")


def complete(call: CallDraft, state: dict[str, Any], at: datetime | None) -> None:
    """Complete a call by the state of its part; nothing happens if it has not ended."""
    status = state.get("status")
    if status not in ("completed", "error"):
        return
    metadata = state["metadata"] if type(state.get("metadata")) is dict else {}
    shown = text(state.get("output")) if status == "completed" else text(state.get("error"))
    code = metadata.get("exit")
    outcome = ToolCallState.SUCCEEDED
    if status == "error":
        outcome = ToolCallState.CANCELLED if shown.startswith(_CANCELLED) else ToolCallState.FAILED
    elif call.name == UNKNOWN_TOOL or (type(code) is int and code != 0):
        # The program records both as completed.
        outcome = ToolCallState.FAILED
    call.complete(outcome, at, shown or "failed")
    call.facts["characters"] = len(shown)
    if type(code) is int and abs(code) < 2**31:
        call.facts["exitCode"] = code
    call.add_artifact(_artifact(call, outcome, shown, metadata, at))
    for index, attachment in enumerate(state["attachments"] if type(state.get("attachments")) is list else ()):
        image = image_of(attachment) if type(attachment) is dict else None
        if image is not None:
            name = label(attachment.get("filename")) or f"{call.name} image"
            call.add_artifact(
                ArtifactDraft(f"image {index}", ArtifactType.IMAGE, name, image.content, image.content_type, at)
            )


def image_of(part: dict[str, Any]) -> Image | None:
    """The image of a file part whose address holds its bytes."""
    address = text(part.get("url"))
    head, comma, data = address.partition(",")
    if not comma or not head.startswith("data:image/") or not head.endswith(";base64"):
        return None
    return contents.image_of(data, head.removeprefix("data:").removesuffix(";base64"))


def _artifact(
    call: CallDraft, outcome: ToolCallState, shown: str, metadata: dict[str, Any], at: datetime | None
) -> ArtifactDraft:
    parameters = call.parameters if type(call.parameters) is dict else {}
    kind = ArtifactType.COMMAND_OUTPUT
    if outcome is ToolCallState.SUCCEEDED:
        kind = _TYPES.get(call.name, kind)
    name = label(parameters.get("filePath") or parameters.get("path"), 1_000) or f"{call.name} result"
    diff = text(metadata.get("diff"))
    if kind is ArtifactType.FILE_DIFF and diff:
        return ArtifactDraft("result", kind, name, to_bytes(diff), "text/x-diff", at)
    written = parameters.get("content")
    if kind is ArtifactType.FILE_WRITE and type(written) is str:
        return ArtifactDraft("result", kind, name, to_bytes(written), "text/plain", at)
    return ArtifactDraft("result", kind, name, to_bytes(shown), "text/plain", at)
