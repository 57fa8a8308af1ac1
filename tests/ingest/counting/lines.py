"""Counters of the formats whose transcripts are files of lines: Gemini CLI, Copilot CLI, pi."""

import json
import re
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from tests.ingest.counting.tally import DIFF, IMAGE, Ids, Record, kind_of, moment, objects, texts, whole

_SHELL_EXIT = re.compile(r"^Exit Code: (-?\d+)", re.MULTILINE)
_COPILOT_EXIT = re.compile(r"completed with exit code (-?\d+)>\s*\Z")
_PI_EXIT = re.compile(r"Command exited with code (-?\d+)\s*\Z")
_GEMINI_KINDS = {
    "FileContent": ("read_file", "read_many_files"),
    "FileWrite": ("write_file",),
    "FileDiff": ("replace",),
    "SearchResult": ("list_directory", "glob", "grep_search", "search_file_content", "google_web_search", "web_fetch"),
    "ModelResponse": ("invoke_agent", "delegate_to_agent"),
}
_COPILOT_KINDS = {
    "FileContent": ("view",),
    "FileWrite": ("create",),
    "FileDiff": ("edit", "apply_patch"),
    "SearchResult": ("grep", "glob"),
    "ModelResponse": ("task",),
}
_PI_KINDS = {
    "FileContent": ("read",),
    "FileWrite": ("write",),
    "FileDiff": ("edit",),
    "SearchResult": ("grep", "multi_grep", "find", "ls"),
    "ModelResponse": ("subagent",),
}
_PI_ABORTED = re.compile(r"(Operation|Command|Request was) aborted\s*\Z")


def gemini(records: Iterable[Record], folder: str = "") -> Ids:
    """Messages by id; those of a rewritten context only where they are new. ``folder`` is that of the file."""
    found = Ids()
    messages: dict[Any, list[Record]] = {}
    for record in records:
        given = objects(record.get("messages"))
        context = objects(record["$set"].get("messages")) if isinstance(record.get("$set"), dict) else []
        if record.get("kind") == "subagent" and folder not in ("", "chats"):
            found.parent = folder
        for message in [*given, *([record] if "type" in record else [])]:
            messages.setdefault(message.get("id"), []).append(message)
        for message in context:
            if message.get("id") not in messages:
                messages[message.get("id")] = [message]
    for key, versions in messages.items():
        found.at(versions[0].get("timestamp"))
        for message in versions:
            _gemini_message(found, key, message)
    return found


def _gemini_message(found: Ids, key: Any, message: Record) -> None:
    content = message.get("content")
    if message["type"] == "user":
        text = texts(content).lstrip()
        injected = text.startswith(("/", "?", "<session_context>", "<hook_context>"))
        is_result = any("functionResponse" in part for part in objects(content))
        if text and not injected and not is_result and key not in found.prompts:
            found.prompts.add(key)
            found.prompts_with(sum("inlineData" in part for part in objects(content)))
        elif text.startswith(("/", "?")) and not is_result:
            found.notes(texts(content))
    elif message["type"] != "gemini":
        found.notes(texts(content))
    if message["type"] != "gemini":
        return
    found.steps.add(key)
    if texts(content).strip() and key not in found.answers:
        found.answers.add(key)
        found.says(key, texts(content))
    thoughts = [str(t.get("subject", "")) + str(t.get("description", "")) for t in objects(message.get("thoughts"))]
    if any(thoughts) and key not in found.thoughts:
        found.thoughts.add(key)
        for thought in thoughts:
            found.thinks(thought)
    tokens = message.get("tokens") or {}
    if tokens:
        cached = whole(tokens.get("cached"))
        spent = whole(tokens.get("output")) + whole(tokens.get("thoughts"))
        found.tokens[key] = (max(whole(tokens.get("input")) - cached, 0), spent, cached, 0)
    for call in objects(message.get("toolCalls")):
        found.calls.add(call["id"])
        if call["status"] not in ("success", "error", "cancelled"):
            continue
        found.results.add(call["id"])
        display = call.get("resultDisplay")
        has_diff = isinstance(display, dict) and bool(display.get("fileDiff"))
        found.kinds[call["id"]] = DIFF if has_diff else kind_of(call["name"], **_GEMINI_KINDS)
        found.outputs.add((call["id"], str(call.get("result"))))
        said = [
            part["functionResponse"]["response"] for part in objects(call.get("result")) if "functionResponse" in part
        ]
        exit_ = _SHELL_EXIT.search("\n".join(str(part.get("output", "")) for part in said))
        if call["status"] == "cancelled":
            found.cancelled.add(call["id"])
        elif call["status"] == "error" or (
            call["name"] == "run_shell_command" and exit_ is not None and exit_.group(1) != "0"
        ):
            found.failed.add(call["id"])


def copilot(records: Iterable[Record]) -> Ids:
    """Messages of the model by the request that they answer."""
    found = Ids()
    outputs: dict[Any, int] = {}
    requests: dict[Any, tuple[int, int, int, int]] = {}
    totals: Any = None
    for number, event in enumerate(records):
        kind, data = event.get("type"), event.get("data") or {}
        found.at(event.get("timestamp"))
        if kind == "user.message" and not event.get("agentId") and not data.get("source"):
            if str(data.get("content", "")).strip():
                found.prompts.add(number)
                found.prompts_with()
        elif kind == "user.message":
            found.notes(str(data.get("content", "")))
        elif kind == "session.compaction_complete":
            found.notes(str(data.get("summaryContent") or ""))
        elif kind == "session.task_complete":
            found.notes(str(data.get("summary") or ""))
        elif kind in ("session.info", "session.warning", "system.notification"):
            found.notes(str(data.get("message") or data.get("content") or ""))
        elif kind == "assistant.message":
            key = data.get("apiCallId") or data.get("messageId")
            found.steps.add(key)
            if str(data.get("content") or "").strip():
                found.answers.add(key)
                found.says(key, data["content"])
            if str(data.get("reasoningText") or "").strip():
                found.thoughts.add(key)
                found.thinks(data["reasoningText"])
            outputs[key] = max(outputs.get(key, 0), whole(data.get("outputTokens")))
            for request in objects(data.get("toolRequests")):
                found.calls.add(request["toolCallId"])
                found.kinds[request["toolCallId"]] = kind_of(str(request.get("name")), **_COPILOT_KINDS)
        elif kind == "tool.execution_start":
            found.calls.add(data["toolCallId"])
            found.kinds.setdefault(data["toolCallId"], kind_of(str(data.get("toolName")), **_COPILOT_KINDS))
        elif kind == "tool.execution_complete":
            _copilot_result(found, data)
        elif kind == "session.usage_record":
            requests[data["usage"].get("apiCallId")] = _copilot_tokens(data["usage"])
        elif kind == "session.shutdown":
            snapshot = data.get("accountingSnapshot") or data
            totals = [model["usage"] for model in (snapshot.get("modelMetrics") or {}).values()] or totals
    found.tokens = {key: (0, spent, 0, 0) for key, spent in outputs.items()}
    if requests:
        found.tokens |= requests
    elif totals:
        sums = [sum(column) for column in zip(*map(_copilot_tokens, totals), strict=True)]
        found.tokens["session"] = (sums[0], 0, sums[2], sums[3])
    return found


def _copilot_tokens(usage: Record) -> tuple[int, int, int, int]:
    read, write = whole(usage.get("cacheReadTokens")), whole(usage.get("cacheWriteTokens"))
    return (whole(usage.get("inputTokens")) - read - write, whole(usage.get("outputTokens")), read, write)


def _copilot_result(found: Ids, data: Record) -> None:
    key = data["toolCallId"]
    found.results.add(key)
    found.outputs.add((key, str(data.get("result")), str(data.get("error"))))
    text = str((data.get("result") or {}).get("content", ""))
    exit_ = _COPILOT_EXIT.search(text)
    code = (data.get("shellExecution") or {}).get("exitCode", int(exit_.group(1)) if exit_ else 0)
    if data.get("success") is True:
        if code:
            found.failed.add(key)
        return
    refused = (data.get("error") or {}).get("code") in ("denied", "rejected", "cancelled", "aborted")
    (found.cancelled if refused else found.failed).add(key)


def pi(records: Iterable[Record], counted: set[tuple[str, str]]) -> Ids:
    """Entries, each once: ``counted`` are those of the sessions before this one, by id and time."""
    found = Ids()
    started = None
    for number, entry in enumerate(records):
        stamp = entry.get("timestamp", "")
        if entry["type"] == "session":
            parent = str(entry.get("parentSession") or entry.get("branchedFrom") or "")
            found.parent = PurePath(parent).name.removesuffix(".jsonl").rpartition("_")[2]
            started = started or stamp
            found.at(stamp)
            continue
        key = (str(entry.get("id") or number), str(stamp))
        if entry.get("id") and moment(stamp) is not None and stamp < started and key in counted:
            continue
        counted.add(key)
        found.at(stamp)
        if entry["type"] == "message":
            _pi_message(found, key, entry["message"])
        elif entry["type"] in ("compaction", "branch_summary"):
            found.notes(entry.get("summary") or "")
        elif entry["type"] == "custom_message":
            found.notes(texts(entry.get("content")))
    return found


def _pi_message(found: Ids, key: Any, message: Record) -> None:
    content = message.get("content")
    role = message.get("role")
    if role == "user" and (texts(content).strip() or any(part.get("type") == "image" for part in objects(content))):
        found.prompts.add(key)
        found.prompts_with(sum(part.get("type") == "image" for part in objects(content)))
    elif role == "bashExecution":
        found.notes(message.get("output") or "")
    elif role in ("custom", "hookMessage"):
        found.notes(texts(content))
    elif role == "assistant":
        found.steps.add(key)
        for part in objects(content):
            if part["type"] == "text" and part["text"].strip():
                found.answers.add(key)
                found.says(key, part["text"])
            elif part["type"] == "thinking" and part["thinking"].strip():
                found.thoughts.add(key)
                found.thinks(part["thinking"])
            elif part["type"] == "toolCall":
                found.calls.add(part["id"])
                found.kinds[part["id"]] = kind_of(part["name"], **_PI_KINDS)
        usage = message.get("usage") or {}
        names = ("input", "output", "cacheRead", "cacheWrite")
        found.tokens[key] = (*(whole(usage.get(name)) for name in names),)  # type: ignore[assignment]
    elif role == "toolResult":
        call, text = message["toolCallId"], texts(content)
        found.results.add(call)
        found.outputs.add((call, key))
        found.made[IMAGE] += sum(part.get("type") == "image" for part in objects(content))
        exit_ = _PI_EXIT.search(text)
        code = (message.get("details") or {}).get("exitCode", int(exit_.group(1)) if exit_ else 0)
        if message.get("isError") and _PI_ABORTED.search(text):
            found.cancelled.add(call)
        elif message.get("isError") or code:
            found.failed.add(call)


def otlp(requests: Iterable[Record]) -> dict[str, Ids]:
    """The conversations of requests of spans, each of which names its own."""
    sessions: dict[str, Ids] = {}
    spans = [
        span
        for each in requests
        for group in each["resourceSpans"]
        for part in group["scopeSpans"]
        for span in part["spans"]
    ]
    for span in spans:
        fields = {pair["key"]: next(iter(pair["value"].values())) for pair in span["attributes"]}
        found = sessions.setdefault(fields["gen_ai.conversation.id"], Ids())
        for name in ("startTimeUnixNano", "endTimeUnixNano"):
            found.at(int(span[name]) / 1e6)
        trace, key = span["traceId"], (span["traceId"], span["spanId"])
        if fields["gen_ai.operation.name"] == "execute_tool":
            call = (trace, fields.get("gen_ai.tool.call.id", key))
            if call not in found.calls and "gen_ai.tool.call.id" not in fields:
                found.steps.add(key)
            found.calls.add(call)
            found.results.add(call)
            found.outputs.add((call,))
            if span["status"]:
                found.failed.add(call)
            continue
        found.steps.add(key)
        found.tokens[key] = (
            whole(int(fields.get("gen_ai.usage.input_tokens", 0))),
            whole(int(fields.get("gen_ai.usage.output_tokens", 0))),
            0,
            0,
        )
        given = [part for each in json.loads(fields.get("gen_ai.input.messages", "[]")) for part in each["parts"]]
        if trace not in found.prompts and any(part["type"] == "text" for part in given):
            found.prompts.add(trace)
            found.prompts_with()
        returned = {(trace, part["id"]) for part in given if part["type"] == "tool_call_response"}
        found.results |= returned
        found.outputs |= {(call,) for call in returned}
        for part in (part for each in json.loads(fields.get("gen_ai.output.messages", "[]")) for part in each["parts"]):
            kind = part["type"]
            if kind == "tool_call":
                found.calls.add((trace, part["id"]))
            elif part["content"].strip() and kind == "reasoning":
                found.thoughts.add(key)
                found.thinks(part["content"])
            elif part["content"].strip():
                found.answers.add(key)
                found.says(key, part["content"])
    return sessions
