"""Counter of Claude Code."""

import json
import re
from collections.abc import Iterable
from typing import Any

from tests.ingest.counting.tally import ANSWER, IMAGE, Ids, Record, kind_of, objects, texts, whole

_NOT_TYPED = (
    *("<local-command-", "<task-notification>", "<bash-", "Caveat:", "This session is being continued"),
    *("[Request interrupted", "<teammate-message", "<system-reminder>", "Stop hook feedback"),
    *("[SYSTEM NOTIFICATION", "Another Claude session sent a message:"),
)
_KINDS = {
    "FileContent": ("Read", "NotebookRead"),
    "FileWrite": ("Write",),
    "FileDiff": ("Edit", "MultiEdit", "NotebookEdit", "apply_patch"),
    "SearchResult": ("Grep", "Glob", "LS", "ToolSearch", "WebSearch", "WebFetch", "web_search", "web_fetch"),
    "ModelResponse": ("Task", "Agent"),
}
_TAGS = re.compile(r"<(system-reminder|ide_opened_file|ide_selection|ide_diagnostics)>(.*?)</\1>", re.DOTALL)
_COMMANDS = ("<command-name>", "<command-message>")
_CAVEATS = ("Caveat:", "<local-command-caveat>")
_ATTACHED = (
    *("content", "stdout", "stderr", "blockingError", "message", "decision", "reason", "planFilePath", "planContent"),
    *("skills", "skillNames", "addedLines", "removedTypes", "addedBlocks", "removedNames", "path", "filename"),
    *("snippet", "description", "status", "deltaSummary", "agentType", "server", "uri", "files", "banner", "messages"),
)
"""The fields of attachments that hold text, whatever an attachment is."""
_REPEATED = (
    *("file", "compact_file_reference", "already_read_file", "opened_file_in_ide", "selected_lines_in_ide"),
    *("todo", "relevant_memories", "current_session_memory", "output_style", "team_context", "companion_intro"),
    *("deferred_tools_delta", "structured_output", "compaction_reminder"),
)
"""Attachments that repeat what the agent reads in a file, or what it knows from elsewhere."""
_REFUSED = ("The user doesn't want to proceed with this tool use", "[Request interrupted by user")


def claude(records: Iterable[Record], counted: set[tuple[str, str]], parent: str = "") -> Ids:
    """Messages by id. ``counted`` are the messages of the sessions before this one, by their id and request."""
    found = Ids()
    found.parent = parent
    command: Any = None
    given: set[str] = set()
    own: set[tuple[str, str]] = set()
    for record in records:
        found.at(record.get("timestamp"))
        kind, message = record.get("type"), record.get("message")
        if kind == "attachment":
            _queued(found, record)
            found.notes(_attached(record.get("attachment") or {}))
        elif kind == "system":
            said = str(record.get("content") or "").strip()
            found.notes("" if said.startswith(_CAVEATS) else said)
        elif kind == "queue-operation" and record.get("operation") in ("enqueue", "popAll"):
            queued = str(record.get("content") or "").strip()
            found.notes("" if queued.startswith(_NOT_TYPED) else queued)
        if not isinstance(message, dict):
            continue
        if kind == "assistant":
            if command is not None and message.get("model") != "<synthetic>":
                found.prompts.add(command)
                found.prompts_with()
                command = None
            _claude_answer(found, record, message, counted, own, given)
        elif kind == "user":
            has_results = _claude_results(found, record, message)
            text = texts(message.get("content")).strip()
            if has_results or "toolUseResult" in record:
                continue
            for tag in _TAGS.finditer(text):
                found.notes(tag.group(2).strip())
            text = _TAGS.sub("", text).strip()
            images = sum(part.get("type") == "image" for part in objects(message.get("content")))
            is_human = (record.get("origin") or {}).get("kind", "human") == "human"
            if record.get("isMeta") or record.get("isCompactSummary") or not is_human:
                found.notes("" if text.startswith(_CAVEATS) else text)
            elif text.startswith(_COMMANDS):
                command = (record.get("uuid"), text)
            elif text and not text.startswith(_NOT_TYPED):
                if record.get("isSidechain") and text in given:
                    continue
                command = None
                _typed(found, (_uuid(record), text), images)
            elif not text and images:
                _typed(found, (record.get("uuid"), "image"), images)
            else:
                found.notes("" if text.startswith(_CAVEATS) else text)
    counted |= own
    return found


def _attached(attachment: Record) -> str:
    """The text of an attachment that no other line has."""
    kind = str(attachment.get("type"))
    is_reminder = kind.endswith("_reminder") and kind != "critical_system_reminder"
    if kind == "queued_command" or kind in _REPEATED or is_reminder:
        return ""
    # A hook's output may be given twice.
    parts = dict.fromkeys(_words(attachment.get(name)) for name in _ATTACHED)
    return "\n".join(part for part in parts if part)


def _words(value: Any) -> str:
    """The text of a field: of a record in it the part that says something, else its JSON."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        return "\n".join(found for found in map(_words, value) if found)
    if not isinstance(value, dict):
        return ""
    said = (_words(value.get(name)) for name in ("blockingError", "content", "text", "message", "name"))
    return next((found for found in said if found), json.dumps(value) if value else "")


def _typed(found: Ids, key: Any, images: int) -> None:
    if key not in found.prompts:
        found.prompts.add(key)
        found.prompts_with(images)


def _uuid(record: Record) -> Any:
    """The id of a line; one with blanks in it is a placeholder, which identifies nothing."""
    uuid = record.get("uuid")
    return object() if isinstance(uuid, str) and " " in uuid else uuid


def _queued(found: Ids, record: Record) -> None:
    """A prompt that was typed while the agent worked."""
    attachment = record.get("attachment")
    if not isinstance(attachment, dict) or attachment.get("type") != "queued_command":
        return
    prompt = texts(attachment.get("prompt")).strip()
    if prompt and attachment.get("commandMode", "prompt") == "prompt":
        _typed(found, (record.get("uuid"), prompt), 0)


def _claude_answer(
    found: Ids,
    record: Record,
    message: Record,
    counted: set[tuple[str, str]],
    own: set[tuple[str, str]],
    given: set[str],
) -> None:
    key = message.get("id") or record["uuid"]
    found.steps.add(key)
    content = message.get("content")
    blocks = objects([{"type": "text", "text": content}] if isinstance(content, str) else content)
    for block in blocks:
        if block["type"] == "text":
            found.says(key, block["text"])
            if block["text"].strip():
                found.answers.add(key)
        elif block["type"] == "thinking" and block.get("thinking", "").strip():
            found.thoughts.add(key)
            found.thinks(block["thinking"])
        elif block["type"] in ("tool_use", "server_tool_use", "mcp_tool_use"):
            call = block.get("id") or id(block)
            given_to = block.get("input") or {}
            if call not in found.calls and block["name"] == "ExitPlanMode" and str(given_to.get("plan", "")).strip():
                found.made[ANSWER] += 1
            if call not in found.calls and block["name"] == "StructuredOutput":
                # What the run returns is its answer.
                found.answers.add(key)
                found.made[ANSWER] += 1
            found.calls.add(call)
            found.kinds[call] = kind_of(block["name"], **_KINDS)
            if block["name"] in ("Task", "Agent"):
                given.add(str((block.get("input") or {}).get("prompt", "")).strip())
        elif block["type"].endswith("_tool_result"):
            found.results.add(block["tool_use_id"])
            found.outputs.add((block["tool_use_id"], texts(block.get("content"))))
    usage, request = message.get("usage"), record.get("requestId")
    if not usage or message.get("model") == "<synthetic>" or (key, request) in counted:
        return
    if request:
        own.add((key, request))
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    before = found.tokens.get(key, (0, 0, 0, 0))
    found.tokens[key] = tuple(max(old, whole(usage.get(name))) for old, name in zip(before, names, strict=True))  # type: ignore[assignment]


def _claude_results(found: Ids, record: Record, message: Record) -> bool:
    blocks = [block for block in objects(message.get("content")) if block.get("type") == "tool_result"]
    details = record.get("toolUseResult") if len(blocks) == 1 else None
    fields = details if isinstance(details, dict) else {}
    note = details if isinstance(details, str) else ""
    for block in blocks:
        call = block.get("tool_use_id") or id(block)
        found.results.add(call)
        found.failed.discard(call)
        found.cancelled.discard(call)
        text = texts(block.get("content"))
        output = (call, text, record.get("timestamp"))
        if output not in found.outputs:
            found.made[IMAGE] += sum(part.get("type") == "image" for part in objects(block.get("content")))
        found.outputs.add(output)
        refused = note.startswith("User rejected tool use") or text.startswith(_REFUSED)
        if refused or record.get("toolDenialKind") == "user-rejected" or fields.get("interrupted") is True:
            found.cancelled.add(call)
        elif block.get("is_error") is True or note.startswith("Error:") or fields.get("isError") is True:
            found.failed.add(call)
    return bool(blocks)
