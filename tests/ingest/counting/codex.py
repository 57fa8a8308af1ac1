"""Counter of Codex: items, events, structured records of what was run, and files that repeat another file's lines."""

import json
import re
from collections.abc import Container, Iterable, Sequence
from contextlib import suppress
from typing import Any

from tests.ingest.counting.tally import DIFF, OUTPUT, Ids, Record, kind_of, objects, texts, whole

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
_KINDS = {
    "FileContent": ("read_file",),
    "SearchResult": ("tool_search", "grep_files", "list_dir"),
    "ModelResponse": ("spawn_agent", "wait_agent", "wait", "send_input"),
}
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
        self.changed: dict[Any, int] = {}

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
            is_failed = record.get("success") is False or record.get("status") == "failed"
            self.record(call, "failed" if is_failed else "ok")
            if not is_failed:
                self.changed[call] = max(self.changed.get(call, 0), len(record.get("changes") or ()))

    def tool(self, call: Any, record: Record) -> None:
        """The record of a call of an MCP server."""
        result = record.get("result")
        result = result if isinstance(result, dict) else {}
        inner = result.get("Ok") or {}
        failed = record.get("error") or "Err" in result or inner.get("isError") or record.get("status") == "failed"
        failed = failed or record.get("success") is False
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
    outputs: set[tuple[Any, ...]] = set()
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
                found.prompts_with(len(item.get("images") or ()) + len(item.get("local_images") or ()))
                turn_has_prompt, step, is_after_prompt = True, None, True
        elif kind == "event_msg" and name == "token_count" and item.get("info"):
            total, spent = item["info"].get("total_token_usage"), item["info"].get("last_token_usage") or {}
            if total != last_total:
                cached = whole(spent.get("cached_input_tokens"))
                fresh_input = whole(spent.get("input_tokens")) - cached
                found.tokens[number] = (fresh_input, whole(spent.get("output_tokens")), cached, 0)
            last_total = total
        elif kind == "event_msg":
            _take_record(outcomes, item, names, [call for call in names if call not in found.results])
        elif kind == "response_item" and name == "message" and item.get("role") != "assistant":
            fresh = True
            text = texts(item.get("content")).strip()
            if item.get("role") == "user" and text and not has_events and not text.startswith(_INJECTED):
                waiting = number
        elif kind == "response_item" and name in _OUTPUTS:
            fresh, is_after_prompt = True, False
            found.results.add(item["call_id"])
            how = _how_output(item.get("output"), names.get(item["call_id"], ""))
            outcomes.outputs[item["call_id"]] = how
            output = (item["call_id"], _text_of(item.get("output")), line.get("timestamp"))
            if output not in outputs:
                # A call may have several outputs, each of which is what it says. One before its call has no tool yet.
                is_of_tool = outcomes.of(item["call_id"]) == "ok" and item["call_id"] in names
                found.made[_kind_of(names[item["call_id"]], item["call_id"], outcomes) if is_of_tool else OUTPUT] += 1
            outputs.add(output)
        elif kind == "response_item" and (name in _WORK or name == "message"):
            if waiting is not None:
                found.prompts.add(waiting)
                found.prompts_with()
                waiting = None
            if fresh or step is None:
                step = number
                found.steps.add(step)
            fresh = is_after_prompt = False
            if name == "message" and texts(item.get("content")).strip():
                found.answers.add(step)
                found.says(step, texts(item["content"]))
            elif name == "reasoning" and (texts(item.get("summary")) or texts(item.get("content"))).strip():
                found.thoughts.add(step)
                found.thinks("a thought")
            elif name in _CALLS:
                call = item.get("call_id") or item.get("id") or number
                found.calls.add(call)
                names.setdefault(call, item.get("name") or name.removesuffix("_call"))
            elif name in ("web_search_call", "image_generation_call"):
                found.calls.add(number)
                if item.get("status") in (None, "completed", "failed", "incomplete"):
                    found.ended.add(number)
    for call, count in outcomes.changed.items():
        found.made[DIFF] += count if call in found.calls else 0
    found.failed = {call for call in found.calls & found.results if outcomes.of(call) == "failed"}
    found.cancelled = {call for call in found.calls & found.results if outcomes.of(call) == "cancelled"}
    return found


def _kind_of(tool: str, call: Any, outcomes: _Outcomes) -> str:
    if tool == "apply_patch":
        # The patch itself, where no record says what was changed.
        return OUTPUT if outcomes.changed.get(call) else DIFF
    return kind_of(tool, **_KINDS)


def _prompt_of(event: Record) -> str | None:
    """The prompt of an event, None for any other."""
    if event.get("type") == "user_message":
        return str(event.get("message", ""))
    item = event.get("item")
    if event.get("type") == "item_completed" and isinstance(item, dict) and item.get("type") == "UserMessage":
        return texts(item.get("content"))
    return None


def _take_record(outcomes: _Outcomes, event: Record, known: Container[Any], open_calls: list[Any]) -> None:
    """A structured record is about the call that it names, else about the latest one that is under way."""
    name = event.get("type")
    item = event.get("item") if name == "item_completed" else None
    call = str(item.get("id")).removeprefix("exec-") if isinstance(item, dict) else event.get("call_id")
    if call not in known or (isinstance(item, dict) and item.get("type") == "FileChange"):
        call = open_calls[-1] if open_calls else None
    if name == "exec_command_end":
        outcomes.command(call, event)
    elif name == "patch_apply_end":
        outcomes.changes(call, event)
    elif name in ("mcp_tool_call_end", "dynamic_tool_call_response"):
        outcomes.tool(call, event)
    elif isinstance(item, dict) and item.get("type") == "CommandExecution":
        outcomes.command(call, item)
    elif isinstance(item, dict) and item.get("type") in ("McpToolCall", "DynamicToolCall"):
        outcomes.tool(call, item)
    elif isinstance(item, dict) and item.get("type") == "FileChange":
        outcomes.changes(call, item)


def _fields_of(output: Any) -> Any:
    """What an output holds: JSON in a text is decoded."""
    if isinstance(output, str) and output.startswith("{"):
        with suppress(ValueError):
            return json.loads(output)
    return output


def _text_of(output: Any) -> str:
    given = _fields_of(output)
    if not isinstance(given, dict):
        return texts(given)
    return texts(given.get("output") or given.get("content") or given.get("text"))


def _how_output(output: Any, tool: str) -> str:
    text = _text_of(output)
    output = _fields_of(output)
    fields = output if isinstance(output, dict) else {}
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
