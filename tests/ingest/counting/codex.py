"""Counter of Codex: items, events, structured records of what was run, and files that repeat another file's lines."""

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from tests.ingest.counting.tally import Ids, Record, objects, texts, whole

_EXITED = re.compile(r"(?:Process exited with code|Exit code:) (-?\d+)")
_INJECTED = (
    *("<environment_context>", "<user_instructions>", "<turn_aborted>", "# AGENTS.md", "<INSTRUCTIONS>"),
    *("<skill>", "<subagent_notification>"),
)
_REFUSED = ("patch rejected by user", "aborted by user")
_FAILED = (
    *("failed in sandbox", "execution error", "exec_command failed", "write_stdin failed", "Script failed"),
    *("apply_patch verification failed", "tool call error", "tool call failed", "unsupported call"),
)
_CALLS = ("function_call", "custom_tool_call", "local_shell_call", "tool_search_call")
_OUTPUTS = (*(f"{name}_output" for name in _CALLS[:3]), "tool_search_output")
_WORK = (*_CALLS, "reasoning", "web_search_call", "image_generation_call")
_DECLINED = ("declined", "rejected", "cancelled")


def parent_of(lines: Sequence[Record]) -> str:
    """The thread that a file was forked from, or that spawned it; empty for any other."""
    meta: Record = next((line["payload"] for line in lines if line.get("type") == "session_meta"), {})
    source = meta.get("source")
    subagent = source.get("subagent") if isinstance(source, dict) else None
    spawn = (subagent.get("thread_spawn") if isinstance(subagent, dict) else None) or {}
    return str(spawn.get("parent_thread_id") or meta.get("parent_thread_id") or meta.get("forked_from_id") or "")


def own_lines(lines: Sequence[Record], origin: Iterable[Record]) -> tuple[list[Record], Any]:
    """The lines without those of the origin that the file begins with; and the last total of tokens among these.

    A repeated line has the origin's payload, under a time of its own.
    """
    waiting = [json.dumps(line.get("payload"), sort_keys=True) for line in origin]
    own, total = list(lines[:1]), None
    for index, line in enumerate(lines[1:], 1):
        payload = json.dumps(line.get("payload"), sort_keys=True)
        if line.get("type") == "session_meta":
            continue
        if payload not in waiting:
            own += lines[index:]
            break
        del waiting[: waiting.index(payload) + 1]
        with suppress(KeyError, TypeError):
            total = line["payload"]["info"]["total_token_usage"]
    return own, total


class _Outcomes:
    """How each call ended: by its structured record, else by its output."""

    def __init__(self) -> None:
        self.recorded: dict[Any, str] = {}
        self.codes: dict[Any, int] = {}
        self.outputs: dict[Any, str] = {}

    def record(self, call: Any, how: str) -> None:
        """A structured record; that a call failed is not taken back."""
        if self.recorded.get(call, "ok") == "ok":
            self.recorded[call] = how

    def command(self, call: Any, record: Record) -> None:
        """The record of a command; one call may run several."""
        if isinstance(record.get("exit_code"), int) and not self.codes.get(call):
            self.codes[call] = record["exit_code"]
        if record.get("status") in _DECLINED:
            self.record(call, "cancelled")
        elif call in self.codes:
            self.record(call, "failed" if self.codes[call] else "ok")

    def changes(self, call: Any, record: Record) -> None:
        """The record of changed files."""
        if record.get("status") in _DECLINED:
            self.record(call, "cancelled")
        else:
            self.record(call, "failed" if record.get("success") is False or record.get("status") == "failed" else "ok")

    def tool(self, call: Any, record: Record) -> None:
        """The record of a call of an MCP server."""
        result = record.get("result")
        result = result if isinstance(result, dict) else {}
        inner = result.get("Ok") or {}
        failed = record.get("error") or "Err" in result or inner.get("isError") or record.get("status") == "failed"
        self.record(call, "failed" if failed else "ok")

    def of(self, call: Any) -> str:
        return self.recorded.get(call) or self.outputs.get(call, "ok")


def codex(records: Iterable[Record], last_total: Any = None) -> Ids:
    """A rollout without the lines that it repeats of another one, of whose tokens the last total is given."""
    found, outcomes = Ids(), _Outcomes()
    lines = list(records)
    is_old = not any("payload" in line for line in lines)
    has_events = any(_prompt_of(line.get("payload") or {}) is not None for line in lines if not is_old)
    fresh, turn, turn_has_prompt, header = True, None, False, False
    waiting: Any = None
    step: Any = None
    is_after_prompt = False
    names: dict[Any, str] = {}
    for number, line in enumerate(lines):
        found.at(line.get("timestamp"))
        kind, item = ("response_item", line) if is_old else (line.get("type"), line.get("payload") or {})
        name = item.get("type")
        if kind == "session_meta" and not header:
            header = True
            found.at(item.get("timestamp"))
        elif kind == "event_msg" and name == "task_started":
            turn = item.get("turn_id") or "turn"
            # The prompt may stand before the line that begins its turn.
            turn_has_prompt = is_after_prompt
        elif kind == "event_msg" and name in ("task_complete", "turn_aborted"):
            turn, is_after_prompt = None, False
        elif kind == "event_msg" and _prompt_of(item) is not None:
            fresh = True
            if str(_prompt_of(item)).strip() and not (turn and turn_has_prompt):
                found.prompts.add(number)
                turn_has_prompt, step, is_after_prompt = True, None, True
        elif kind == "event_msg" and name == "token_count" and item.get("info"):
            total, spent = item["info"].get("total_token_usage"), item["info"].get("last_token_usage") or {}
            if total != last_total:
                cached = whole(spent.get("cached_input_tokens"))
                fresh_input = whole(spent.get("input_tokens")) - cached
                found.tokens[number] = (fresh_input, whole(spent.get("output_tokens")), cached, 0)
            last_total = total
        elif kind == "event_msg":
            _take_record(outcomes, item, [call for call in found.calls if call not in found.results])
        elif kind == "response_item" and name == "message" and item.get("role") != "assistant":
            fresh = True
            text = texts(item.get("content")).strip()
            if item.get("role") == "user" and text and not has_events and not text.startswith(_INJECTED):
                waiting = number
        elif kind == "response_item" and name in _OUTPUTS:
            fresh, is_after_prompt = True, False
            found.results.add(item["call_id"])
            outcomes.outputs[item["call_id"]] = _how_output(item.get("output"), names.get(item["call_id"], ""))
        elif kind == "response_item" and (name in _WORK or name == "message"):
            if waiting is not None:
                found.prompts.add(waiting)
                waiting = None
            if fresh or step is None:
                step = number
                found.steps.add(step)
            fresh = is_after_prompt = False
            if name == "message" and texts(item.get("content")).strip():
                found.answers.add(step)
            elif name == "reasoning" and (texts(item.get("summary")) or texts(item.get("content"))).strip():
                found.thoughts.add(step)
            elif name in _CALLS:
                call = item.get("call_id") or item.get("id") or number
                found.calls.add(call)
                names[call] = item.get("name") or ""
            elif name in ("web_search_call", "image_generation_call"):
                found.calls.add(number)
                if item.get("status") in (None, "completed", "failed", "incomplete"):
                    found.ended.add(number)
    found.failed = {call for call in found.calls & found.results if outcomes.of(call) == "failed"}
    found.cancelled = {call for call in found.calls & found.results if outcomes.of(call) == "cancelled"}
    return found


def _prompt_of(event: Record) -> str | None:
    """The prompt of an event, None for any other."""
    if event.get("type") == "user_message":
        return str(event.get("message", ""))
    item = event.get("item")
    if event.get("type") == "item_completed" and isinstance(item, dict) and item.get("type") == "UserMessage":
        return texts(item.get("content"))
    return None


def _take_record(outcomes: _Outcomes, event: Record, open_calls: list[Any]) -> None:
    name, call = event.get("type"), event.get("call_id")
    item = event.get("item") if name == "item_completed" else None
    if " " in str(call) or (isinstance(item, dict) and " " in str(item.get("id"))):
        # A placeholder, which names no call.
        return
    if name == "exec_command_end":
        outcomes.command(call, event)
    elif name == "patch_apply_end":
        outcomes.changes(call, event)
    elif name == "mcp_tool_call_end":
        outcomes.tool(call, event)
    elif isinstance(item, dict) and item.get("type") == "CommandExecution":
        outcomes.command(str(item.get("id")).removeprefix("exec-"), item)
    elif isinstance(item, dict) and item.get("type") == "McpToolCall":
        outcomes.tool(item.get("id"), item)
    elif isinstance(item, dict) and item.get("type") == "FileChange" and len(open_calls) == 1:
        outcomes.changes(open_calls[0], item)


def _how_output(output: Any, tool: str) -> str:
    if isinstance(output, str) and output.startswith("{"):
        with suppress(ValueError):
            output = json.loads(output)
    fields = output if isinstance(output, dict) else {}
    text = texts(fields.get("output") or fields.get("content") if fields else output)
    head = text[:400].partition("\nOutput:")[0]
    exited = _EXITED.search(head)
    code = (fields.get("metadata") or {}).get("exit_code", int(exited.group(1)) if exited else None)
    if code is not None:
        return "ok" if code == 0 else "cancelled" if "rejected by user" in head else "failed"
    if any(words in head for words in _REFUSED):
        return "cancelled"
    agents = fields.get("status") if tool in ("wait", "wait_agent") else None
    errored = any("errored" in state for state in objects(list(agents.values()) if isinstance(agents, dict) else []))
    if errored or fields.get("success") is False or any(words in head for words in _FAILED):
        return "failed"
    return "cancelled" if "rejected by user" in head else "ok"
