"""Counters of the formats whose transcripts are documents, folders or databases."""

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.ingest.counting.tally import Ids, Record, objects, texts, whole

_REFUSED = ("The user rejected permission", "Tool execution aborted", "The user dismissed")
_NO_CALLS = ("change_agent_state", "condensation", "condensation_request", "finish", "message", "recall", "system")
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
            continue
        found.steps.add(key)
        tokens = info.get("tokens") or {}
        cache = tokens.get("cache") or {}
        spent = whole(tokens.get("output")) + whole(tokens.get("reasoning"))
        found.tokens[key] = (whole(tokens.get("input")), spent, whole(cache.get("read")), whole(cache.get("write")))
        for part in parts:
            if part["type"] == "text" and part["text"].strip() and not part.get("ignored"):
                found.answers.add(key)
            elif part["type"] == "reasoning" and part["text"].strip():
                found.thoughts.add(key)
            elif part["type"] == "tool":
                _opencode_call(found, (key, part["callID"]), part["tool"], part["state"])
    return found


def _opencode_call(found: Ids, call: Any, tool: str, state: Record) -> None:
    found.calls.add(call)
    if state["status"] not in ("completed", "error"):
        return
    found.results.add(call)
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
    elif kind in ("MessageEvent", "ActionEvent") and event["source"] == "agent":
        found.steps.add(key)
        if texts(event.get("thought") or message.get("content")).strip():
            found.answers.add(key)
        thoughts = [event, message]
        if any(part.get("reasoning_content") or part.get("thinking_blocks") for part in thoughts):
            found.thoughts.add(key)
        if kind == "ActionEvent":
            found.calls.add(event["tool_call_id"])
    elif kind in ("ObservationEvent", "AgentErrorEvent", "UserRejectObservation"):
        call = event["tool_call_id"]
        found.results.add(call)
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


def _older_event(found: Ids, number: int, event: Record) -> None:
    args = event.get("args") or {}
    action, observation = event.get("action"), event.get("observation")
    if action == "message" and event["source"] == "user":
        if args["content"].strip():
            found.prompts.add(number)
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
        if action not in _NO_CALLS:
            found.calls.add(event["id"])
    elif observation not in (None, "null", "recall", "agent_state_changed") and event.get("cause") in found.calls:
        found.results.add(event["cause"])
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
        if step["source"] == "agent":
            found.steps.add(key)
            if texts(step.get("message")).strip():
                found.answers.add(key)
            if str(step.get("reasoning_content") or "").strip():
                found.thoughts.add(key)
            metrics = step.get("metrics") or {}
            cached = whole(metrics.get("cached_tokens"))
            fresh = whole(metrics.get("prompt_tokens")) - cached
            found.tokens[key] = (fresh, whole(metrics.get("completion_tokens")), cached, 0)
            calls = [(key, call["tool_call_id"]) for call in objects(step.get("tool_calls"))]
            found.calls.update(calls)
            for result in objects((step.get("observation") or {}).get("results")):
                named = (key, result.get("source_call_id"))
                if named in calls:
                    found.results.add(named)
                elif not result.get("source_call_id") and len(calls) == 1:
                    found.results.add(calls[0])
    name = document.get("trajectory_id") or document.get("session_id") or ""
    children = objects(document.get("subagent_trajectories"))
    return [(name, found), *(pair for child in children for pair in atif(child, name))]


def swe_agent(document: Record) -> Ids:
    """A trajectory; files of demonstrations have a history alone."""
    found = Ids()
    found.prompts.add("problem")
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
        if str(turn.get("action") or "").strip():
            found.calls.add(number)
            if turn.get("observation") is not None:
                found.results.add(number)
                if texts(turn["observation"]).lstrip().startswith(_SWE_FAILURES):
                    found.failed.add(number)
    stats = (document.get("info") or {}).get("model_stats") or {}
    found.tokens["session"] = (whole(stats.get("tokens_sent")), whole(stats.get("tokens_received")), 0, 0)
    return found
