"""Counters of the formats whose transcripts are documents, folders or databases."""

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.ingest.counting.tally import DIFF, IMAGE, OUTPUT, Ids, Record, kind_of, objects, texts, whole

_REFUSED = ("The user rejected permission", "Tool execution aborted", "The user dismissed")
_NO_CALLS = ("change_agent_state", "condensation", "condensation_request", "finish", "message", "recall", "system")
_OPENCODE_KINDS = {
    "FileContent": ("read",),
    "FileWrite": ("write",),
    "FileDiff": ("edit", "multiedit", "patch", "apply_patch"),
    "SearchResult": ("grep", "glob", "list", "webfetch", "websearch"),
    "ModelResponse": ("task",),
}
_OPENHANDS_KINDS = {
    "FileContent": ("read",),
    "FileWrite": ("write",),
    "FileDiff": ("edit",),
    "SearchResult": ("browse", "glob", "grep"),
    "ModelResponse": ("finish",),
}
_EDITOR_KINDS = {"FileContent": ("view",), "FileWrite": ("create",)}
_SWE_KINDS = {
    "FileContent": ("open", "goto", "scroll_up", "scroll_down"),
    "FileWrite": ("create",),
    "SearchResult": ("find_file", "search_dir", "search_file"),
}
_SWE_FAILURES = ("EXECUTION TIMED OUT", "COMMAND TIMED OUT", "Your proposed edit has introduced new syntax error")


def opencode(export: Record) -> Ids:
    """A session as the agent exports it."""
    found = Ids()
    found.parent = export["info"].get("parentID") or ""
    for message in export["messages"]:
        info, parts = message["info"], objects(message["parts"])
        key = info["id"]
        found.at(info["time"]["created"])
        if info["role"] == "user":
            typed = [part.get("text") or "" for part in parts if part["type"] == "text" and not part.get("synthetic")]
            images = [part for part in parts if str(part.get("url", "")).startswith("data:image/")]
            if not found.parent and ("\n".join(typed).strip() or images):
                found.prompts.add(key)
                found.prompts_with(len(images))
            continue
        found.steps.add(key)
        tokens = info.get("tokens") or {}
        cache = tokens.get("cache") or {}
        spent = whole(tokens.get("output")) + whole(tokens.get("reasoning"))
        found.tokens[key] = (whole(tokens.get("input")), spent, whole(cache.get("read")), whole(cache.get("write")))
        for part in parts:
            if part["type"] == "text" and part["text"].strip() and not part.get("ignored"):
                found.answers.add(key)
                found.says(key, part["text"])
            elif part["type"] == "reasoning" and part["text"].strip():
                found.thoughts.add(key)
                found.thinks(part["text"])
            elif part["type"] == "patch":
                found.notes(", ".join(part["files"]))
            elif part["type"] == "tool":
                _opencode_call(found, (key, part["callID"]), part["tool"], part["state"])
    return found


def _opencode_call(found: Ids, call: Any, tool: str, state: Record) -> None:
    found.calls.add(call)
    if state["status"] not in ("completed", "error"):
        return
    found.results.add(call)
    found.kinds[call] = kind_of(tool, **_OPENCODE_KINDS)
    found.outputs.add((call,))
    found.made[IMAGE] += sum(
        str(part.get("url", "")).startswith("data:image/") for part in objects(state.get("attachments"))
    )
    if state["status"] == "error":
        (found.cancelled if state["error"].startswith(_REFUSED) else found.failed).add(call)
    elif tool == "invalid" or (state.get("metadata") or {}).get("exit") not in (None, 0):
        found.failed.add(call)


def opencode_tree(session: Path) -> Record:
    """A session of the tree of files, given the file of the session."""
    storage = session.parents[2]

    def folder(*names: str) -> list[Record]:
        return [json.loads(path.read_bytes()) for path in sorted(storage.joinpath(*names).glob("*.json"))]

    infos = sorted(folder("message", session.stem), key=lambda info: (info["time"]["created"], info["id"]))
    messages = [{"info": info, "parts": folder("part", info["id"])} for info in infos]
    return {"info": json.loads(session.read_bytes()), "messages": messages}


def opencode_database(path: Path) -> list[Record]:
    """The sessions of a database, with what is in its log. Opening it for writing needs a copy."""
    with closing(sqlite3.connect(path)) as connection:
        exports = []
        for session, parent in connection.execute("SELECT id, parent_id FROM session").fetchall():
            query = "SELECT id, data FROM message WHERE session_id = ? ORDER BY time_created, id"
            messages = []
            for key, data in connection.execute(query, (session,)).fetchall():
                parts = connection.execute("SELECT data FROM part WHERE message_id = ? ORDER BY id", (key,)).fetchall()
                info = {**json.loads(data), "id": key}
                messages.append({"info": info, "parts": [json.loads(part) for (part,) in parts]})
            exports.append({"info": {"id": session, "parentID": parent}, "messages": messages})
    return exports


def openhands(events: Iterable[Record], state: Record) -> Ids:
    """A conversation of either generation; the state holds the usage of the newer one."""
    found = Ids()
    total: Any = None
    for number, event in enumerate(events):
        found.at(event["timestamp"])
        if "kind" in event:
            _openhands_event(found, number, event)
        else:
            _older_event(found, number, event)
            total = (event.get("llm_metrics") or {}).get("accumulated_token_usage") or total
    parts = ((state.get("stats") or {}).get("usage_to_metrics") or {}).values()
    usages = [part["accumulated_token_usage"] for part in parts if part.get("accumulated_token_usage")]
    if not usages and total:
        usages = [total]
    if usages:
        found.tokens = {number: _openhands_tokens(usage) for number, usage in enumerate(usages)}
    return found


def _openhands_tokens(usage: Record) -> tuple[int, int, int, int]:
    details = usage.get("prompt_tokens_details") or {}
    read = whole(usage.get("cache_read_tokens")) or whole(usage.get("cache_read_input_tokens"))
    read = read or whole(details.get("cached_tokens"))
    write = whole(usage.get("cache_write_tokens")) or whole(usage.get("cache_creation_input_tokens"))
    return (whole(usage.get("prompt_tokens")) - read - write, whole(usage.get("completion_tokens")), read, write)


def _openhands_event(found: Ids, number: int, event: Record) -> None:
    kind = event["kind"]
    message = event.get("llm_message") or {}
    key = event.get("llm_response_id") or event["id"]
    if kind == "MessageEvent" and event["source"] == "user":
        if texts(message.get("content")).strip():
            found.prompts.add(number)
            found.prompts_with(sum(len(part.get("image_urls") or ()) for part in objects(message.get("content"))))
    elif kind in ("MessageEvent", "ActionEvent") and event["source"] == "agent":
        found.steps.add(key)
        if texts(event.get("thought") or message.get("content")).strip():
            found.answers.add(key)
            found.says(key, texts(event.get("thought") or message.get("content")))
        thoughts = [event, message]
        if any(part.get("reasoning_content") or part.get("thinking_blocks") for part in thoughts):
            found.thoughts.add(key)
            found.thinks("a thought")
        if kind == "ActionEvent":
            call = event["tool_call_id"]
            found.calls.add(call)
            found.kinds[call] = _openhands_kind(event["tool_name"], event.get("action") or {})
    elif kind in ("ObservationEvent", "AgentErrorEvent", "UserRejectObservation"):
        call = event["tool_call_id"]
        found.results.add(call)
        found.outputs.add((call, number))
        observation = event.get("observation") or {}
        code = observation.get("exit_code", (observation.get("metadata") or {}).get("exit_code"))
        if kind == "UserRejectObservation":
            found.cancelled.add(call)
        elif (
            kind == "AgentErrorEvent"
            or observation.get("is_error")
            or observation.get("timeout") is True
            or code not in (None, 0, -1)
        ):
            found.failed.add(call)


def _openhands_kind(tool: str, action: Record) -> str:
    if tool in ("file_editor", "str_replace_editor"):
        command = action.get("command")
        return DIFF if command not in ("view", "create") else kind_of(command, **_EDITOR_KINDS)
    return "SearchResult" if "browse" in tool else kind_of(tool, **_OPENHANDS_KINDS)


def _older_event(found: Ids, number: int, event: Record) -> None:
    args = event.get("args") or {}
    action, observation = event.get("action"), event.get("observation")
    if action == "message" and event["source"] == "user":
        if args["content"].strip():
            found.prompts.add(number)
            found.prompts_with(len(args.get("image_urls") or ()))
    elif action is not None and event["source"] == "agent":
        metadata = event.get("tool_call_metadata") or {}
        response = metadata.get("model_response") or {}
        key = response.get("id") or f"event:{number}"
        if action in ("message", "finish") or action not in _NO_CALLS:
            found.steps.add(key)
            if response.get("usage"):
                usage = response["usage"]
                found.tokens[key] = _openhands_tokens(usage)
            if (
                action == "finish"
                or str(args.get("content") if action == "message" else args.get("thought") or "").strip()
            ):
                found.answers.add(key)
                found.says(key, "an answer")
        if action not in _NO_CALLS:
            found.calls.add(event["id"])
            found.kinds[event["id"]] = _openhands_kind(metadata.get("function_name") or action, args)
    elif observation not in (None, "null", "recall", "agent_state_changed") and event.get("cause") in found.calls:
        found.results.add(event["cause"])
        found.outputs.add((event["cause"], number))
        code = ((event.get("extras") or {}).get("metadata") or event.get("extras") or {}).get("exit_code")
        if observation == "error" or code not in (None, 0, -1):
            found.failed.add(event["cause"])


def atif(document: Record, parent: str = "") -> list[tuple[str, Ids]]:
    """A trajectory, and those of its subagents, each with its id."""
    found = Ids()
    found.parent = parent
    for step in objects(document.get("steps")):
        if step.get("timestamp"):
            found.at(step["timestamp"])
        if step.get("is_copied_context"):
            continue
        key = step["step_id"]
        if step["source"] == "user" and texts(step.get("message")).strip():
            found.prompts.add(key)
            found.prompts_with(sum(part.get("type") == "image" for part in objects(step.get("message"))))
        if step["source"] == "agent":
            found.steps.add(key)
            if texts(step.get("message")).strip():
                found.answers.add(key)
                found.says(key, texts(step["message"]))
            if str(step.get("reasoning_content") or "").strip():
                found.thoughts.add(key)
                found.thinks(step["reasoning_content"])
            metrics = step.get("metrics") or {}
            cached = whole(metrics.get("cached_tokens"))
            fresh = whole(metrics.get("prompt_tokens")) - cached
            found.tokens[key] = (fresh, whole(metrics.get("completion_tokens")), cached, 0)
            calls = [(key, call["tool_call_id"]) for call in objects(step.get("tool_calls"))]
            found.calls.update(calls)
            for index, result in enumerate(objects((step.get("observation") or {}).get("results"))):
                named = (key, result.get("source_call_id"))
                if named in calls:
                    found.results.add(named)
                    found.outputs.add((named, index))
                elif not result.get("source_call_id") and len(calls) == 1:
                    found.results.add(calls[0])
                    found.outputs.add((calls[0], index))
                elif texts(result.get("content")):
                    found.made[OUTPUT] += 1
    name = document.get("trajectory_id") or document.get("session_id") or ""
    children = objects(document.get("subagent_trajectories"))
    return [(name, found), *(pair for child in children for pair in atif(child, name))]


def swe_agent(document: Record) -> Ids:
    """A trajectory; files of demonstrations have a history alone."""
    found = Ids()
    found.prompts.add("problem")
    found.prompts_with()
    turns = objects(document.get("trajectory"))
    history = [message for message in objects(document.get("history")) if not message.get("is_demo")]
    if not turns:
        for index, message in enumerate(history):
            if message["role"] == "assistant":
                after = history[index + 1] if index + 1 < len(history) else {}
                answered = after.get("role") in ("tool", "user")
                turn = {"action": message.get("action"), "thought": message.get("thought") or texts(message["content"])}
                turns.append({**turn, "observation": texts(after.get("content")) if answered else None})
    began = datetime(1970, 1, 1, tzinfo=UTC)
    for number, turn in enumerate(turns):
        # The format has no times: a turn begins when the commands before it have ended, from 1970 on.
        found.times.append(began)
        began += timedelta(seconds=turn.get("execution_time") or 1.0)
        found.steps.add(number)
        if str(turn.get("thought") or turn.get("response") or "").strip():
            found.answers.add(number)
            found.says(number, str(turn.get("thought") or turn.get("response")))
        if str(turn.get("action") or "").strip():
            found.calls.add(number)
            if turn.get("observation") is not None:
                found.results.add(number)
                found.outputs.add((number,))
                found.kinds[number] = kind_of(turn["action"].split()[0], **_SWE_KINDS)
                if texts(turn["observation"]).lstrip().startswith(_SWE_FAILURES):
                    found.failed.add(number)
    if turns and str((document.get("info") or {}).get("submission") or "").strip():
        found.made[DIFF] += 1
    stats = (document.get("info") or {}).get("model_stats") or {}
    found.tokens["session"] = (whole(stats.get("tokens_sent")), whole(stats.get("tokens_received")), 0, 0)
    return found
