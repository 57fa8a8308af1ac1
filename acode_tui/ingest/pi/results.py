"""Attaches the result of a pi tool to its call: the state, the facts and the artifact."""

import re
from datetime import datetime

from acode_tui.domain.states import ArtifactType, ToolCallState
from acode_tui.ingest.contents import image_of, text_of
from acode_tui.ingest.draft import ArtifactDraft, CallDraft, to_bytes
from acode_tui.ingest.pi.records import Message

# Bound once: until Python 3.12, finding a member in its enum takes longer than most of what is done with it.
_SUCCEEDED, _FAILED = ToolCallState.SUCCEEDED, ToolCallState.FAILED
_OUTPUT, _SEARCH = ArtifactType.COMMAND_OUTPUT, ArtifactType.SEARCH_RESULT
_WRITE, _DIFF = ArtifactType.FILE_WRITE, ArtifactType.FILE_DIFF
_TYPES = {
    "read": ArtifactType.FILE_CONTENT,
    "write": _WRITE,
    "edit": _DIFF,
    "grep": _SEARCH,
    "multi_grep": _SEARCH,
    "find": _SEARCH,
    "ls": _SEARCH,
    "subagent": ArtifactType.MODEL_RESPONSE,
}
_EXITED = re.compile(r"Command exited with code (-?\d+)\s*$")
_ABORTED = re.compile(r"(?:Operation|Command|Request was) aborted\s*$")


def attach_result(call: CallDraft, message: Message, at: datetime | None) -> None:
    """Attach a result to its call."""
    content = text_of(message.content)
    details = message.details if type(message.details) is dict else {}
    exit_code = _exit_code(content, details.get("exitCode"))
    state = _state(message, content, exit_code)
    call.complete(state, at, content or "failed")
    call.facts["characters"] = len(content)
    if exit_code is not None:
        call.facts["exitCode"] = exit_code
    call.add_artifact(_artifact(call, state, content, details, at))
    for index, block in enumerate(message.content if type(message.content) is list else ()):
        if type(block) is dict and block.get("type") == "image":
            image = image_of(block.get("data"), block.get("mimeType"))
            name = f"{call.name} image"
            call.add_artifact(
                ArtifactDraft(f"image {index}", ArtifactType.IMAGE, name, image.content, image.content_type, at)
            )


def _exit_code(content: str, given: object) -> int | None:
    if type(given) is int and abs(given) < 2**31:
        return given
    found = _EXITED.search(content[-80:])
    return int(found.group(1)) if found else None


def _state(message: Message, content: str, exit_code: int | None) -> ToolCallState:
    if message.is_error is True and _ABORTED.search(content[-40:]):
        return ToolCallState.CANCELLED
    # Some extensions replace the shell's tool, and leave its exit code as the only sign.
    failed = message.is_error is True or exit_code not in (None, 0)
    return _FAILED if failed else _SUCCEEDED


def _artifact(
    call: CallDraft, state: ToolCallState, content: str, details: dict[str, object], at: datetime | None
) -> ArtifactDraft:
    kind = _OUTPUT
    if state is _SUCCEEDED:
        kind = _TYPES.get(call.name, _SEARCH if call.name.startswith("web") else kind)
    parameters = call.parameters if type(call.parameters) is dict else {}
    path = parameters.get("path")
    name = path if type(path) is str and path else f"{call.name} result"
    if kind is _WRITE and type(parameters.get("content")) is str:
        content = parameters["content"]
    diff = details.get("patch") or details.get("diff")
    if kind is _DIFF and type(diff) is str:
        return ArtifactDraft("result", kind, name, to_bytes(diff), "text/x-diff", at)
    return ArtifactDraft("result", kind, name, to_bytes(content), "text/plain", at)
