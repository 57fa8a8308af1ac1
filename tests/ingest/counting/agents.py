"""Counters of Claude Code and Codex."""

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from tests.ingest.counting.tally import Ids, Record, objects, texts, whole

_NOT_TYPED = (
    *("<local-command-", "<task-notification>", "<bash-", "Caveat:", "This session is being continued"),
    *("[Request interrupted", "<teammate-message", "<system-reminder>", "Stop hook feedback"),
)
_COMMANDS = ("<command-name>", "<command-message>")
_REFUSED = ("The user doesn't want to proceed with this tool use", "[Request interrupted by user")
_EXITED = re.compile(r"(?:Process exited with code|Exit code:) (-?\d+)")
_INJECTED = ("<environment_context>", "<user_instructions>", "<turn_aborted>", "# AGENTS.md", "<INSTRUCTIONS>")
_CODEX_CALLS = ("function_call", "custom_tool_call", "local_shell_call", "tool_search_call")
_CODEX_OUTPUTS = (*(f"{name}_output" for name in _CODEX_CALLS[:3]), "tool_search_output")
_CODEX_WORK = (*_CODEX_CALLS, "reasoning", "web_search_call", "image_generation_call")


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
        if not isinstance(message, dict):
            continue
        if kind == "assistant":
            if command is not None and message.get("model") != "<synthetic>":
                found.prompts.add(command)
                command = None
            _claude_answer(found, record, message, counted, own, given)
        elif kind == "user":
            has_results = _claude_results(found, record, message)
            text = texts(message.get("content")).strip()
            if record.get("isMeta") or record.get("isCompactSummary") or has_results or "toolUseResult" in record:
                continue
            if (record.get("origin") or {}).get("kind", "human") != "human":
                continue
            if text.startswith(_COMMANDS):
                command = (record.get("uuid"), text)
            elif text and not text.startswith(_NOT_TYPED):
                if record.get("isSidechain") and text in given:
                    continue
                command = None
                found.prompts.add((_uuid(record), text))
            elif not text and any(part.get("type") == "image" for part in objects(message.get("content"))):
                found.prompts.add((record.get("uuid"), "image"))
    counted |= own
    return found


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
        found.prompts.add((record.get("uuid"), prompt))


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
        if block["type"] == "text" and block["text"].strip():
            found.answers.add(key)
        elif block["type"] == "thinking" and block.get("thinking", "").strip():
            found.thoughts.add(key)
        elif block["type"] in ("tool_use", "server_tool_use", "mcp_tool_use"):
            found.calls.add(block.get("id") or id(block))
            if block["name"] in ("Task", "Agent"):
                given.add(str((block.get("input") or {}).get("prompt", "")).strip())
        elif block["type"].endswith("_tool_result"):
            found.results.add(block["tool_use_id"])
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
        refused = note.startswith("User rejected tool use") or text.startswith(_REFUSED)
        if refused or record.get("toolDenialKind") == "user-rejected" or fields.get("interrupted") is True:
            found.cancelled.add(call)
        elif block.get("is_error") is True or note.startswith("Error:") or fields.get("isError") is True:
            found.failed.add(call)
    return bool(blocks)


def codex(records: Iterable[Record]) -> Ids:
    """A rollout of which nothing is a copy of another one's."""
    found = Ids()
    lines = list(records)
    is_old = not any("payload" in line for line in lines)
    events = [line["payload"].get("type") for line in lines if line.get("type") == "event_msg"]
    fresh, last_total, turn, turn_has_prompt = True, None, None, False
    header = False
    waiting: Any = None
    step: Any = None
    for number, line in enumerate(lines):
        found.at(line.get("timestamp"))
        kind, item = ("response_item", line) if is_old else (line.get("type"), line.get("payload") or {})
        name = item.get("type")
        if kind == "session_meta" and not header:
            header = True
            found.at(item.get("timestamp"))
            found.parent = item.get("parent_thread_id") or item.get("forked_from_id") or ""
        elif kind == "event_msg" and name == "task_started":
            turn = item.get("turn_id") or "turn"
            turn_has_prompt = bool(found.prompts) and step is None
        elif kind == "event_msg" and name in ("task_complete", "turn_aborted"):
            turn = None
        elif kind == "event_msg" and name == "user_message":
            fresh = True
            if str(item.get("message", "")).strip() and not (turn and turn_has_prompt):
                found.prompts.add(number)
                turn_has_prompt = True
                step = None
        elif kind == "event_msg" and name == "token_count" and item.get("info"):
            total, spent = item["info"].get("total_token_usage"), item["info"].get("last_token_usage") or {}
            if total != last_total:
                cached = whole(spent.get("cached_input_tokens"))
                fresh_input = whole(spent.get("input_tokens")) - cached
                found.tokens[number] = (fresh_input, whole(spent.get("output_tokens")), cached, 0)
            last_total = total
        elif kind == "response_item" and name == "message" and item.get("role") != "assistant":
            fresh = True
            text = texts(item.get("content")).strip()
            if item.get("role") == "user" and text and "user_message" not in events and not text.startswith(_INJECTED):
                waiting = number
        elif kind == "response_item" and name in _CODEX_OUTPUTS:
            fresh = True
            _codex_output(found, item)
        elif kind == "response_item" and (name in _CODEX_WORK or name == "message"):
            if waiting is not None:
                found.prompts.add(waiting)
                waiting = None
            if fresh or step is None:
                step = number
                found.steps.add(step)
            fresh = False
            if name == "message" and texts(item.get("content")).strip():
                found.answers.add(step)
            elif name == "reasoning" and (texts(item.get("summary")) or texts(item.get("content"))).strip():
                found.thoughts.add(step)
            elif name in _CODEX_CALLS:
                found.calls.add(item.get("call_id") or item.get("id") or number)
            elif name in ("web_search_call", "image_generation_call"):
                found.calls.add(number)
                if item.get("status") in (None, "completed", "failed", "incomplete"):
                    found.ended.add(number)
    return found


def _codex_output(found: Ids, item: Record) -> None:
    call, output = item["call_id"], item.get("output")
    found.results.add(call)
    if isinstance(output, str) and output.startswith("{"):
        with suppress(ValueError):
            output = json.loads(output)
    metadata = output.get("metadata") or {} if isinstance(output, dict) else {}
    text = texts(output.get("output") or output.get("content") if isinstance(output, dict) else output)
    head = text[:400].partition("\nOutput:")[0]
    exited = _EXITED.search(head)
    code = metadata.get("exit_code", int(exited.group(1)) if exited else None)
    refused = "rejected by user" in head and code != 0
    failed = code not in (None, 0) or (isinstance(output, dict) and output.get("success") is False)
    failed = failed or (code is None and any(words in head for words in ("failed in sandbox", "execution error")))
    found.cancelled.discard(call)
    found.failed.discard(call)
    if refused:
        found.cancelled.add(call)
    elif failed:
        found.failed.add(call)
