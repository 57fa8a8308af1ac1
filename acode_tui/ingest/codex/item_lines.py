"""Items of a Codex rollout: input and output of the model, its calls and their results."""

from datetime import datetime
from typing import Any

from acode_tui.domain.ids import imported_id
from acode_tui.domain.states import ToolCallState
from acode_tui.ingest.codex.events import QUIET_ITEMS, is_injected
from acode_tui.ingest.codex.records import Payload
from acode_tui.ingest.codex.results import (
    attach_output,
    read_output,
    spawned_agent,
)
from acode_tui.ingest.codex.session import SOURCE, CodexSession
from acode_tui.ingest.contents import text_of
from acode_tui.ingest.draft import StepDraft
from acode_tui.ingest.finish import LastSeen
from acode_tui.ingest.observe import because
from acode_tui.ingest.records import label, needs_escape, parse_text, storable, text

_CALLS = frozenset({"function_call", "custom_tool_call", "local_shell_call", "tool_search_call"})
_OUTPUTS = frozenset(
    {"function_call_output", "custom_tool_call_output", "local_shell_call_output", "tool_search_output"}
)
_STEPS = _CALLS | {"reasoning", "web_search_call", "image_generation_call"}


class ItemLines(CodexSession):
    """The reading of items."""

    def _take_item(self, line: int, raw: bytes, item: Payload, at: datetime | None) -> None:
        kind = item.type
        if kind == "message":
            self._has_messages = True
            if item.role == "assistant":
                self._add_answer(line, item, at)
                return
            self._has_new_input = True
            if item.role != "user" or is_injected(item):
                because("the program wrote it")
            else:
                because("a prompt where its turn has no event of it")
                # It is a prompt where its turn has no event of it, which may follow.
                prompt = text_of(item.content)
                if prompt.strip():
                    self._item_prompt = (prompt, at, line)
        elif type(kind) is str and kind in _OUTPUTS:
            self._has_new_input = True
            self._add_result(line, item, at)
        elif type(kind) is str and kind in _STEPS:
            self._has_messages = True
            step = self._current_step(line, at)
            if kind == "reasoning":
                self._run.reason(step, text_of(item.summary) or text_of(item.content), at)
                self._last = LastSeen.WORK
            elif kind in _CALLS:
                self._add_call(step, line, raw, item, at)
            else:
                self._add_call_without_id(step, kind, raw, item, at)
        elif kind == "agent_message":
            # What another agent of the same run says to this one.
            self._has_new_input = True
            self._note_text(f"message of {label(item.author) or 'another agent'}", text_of(item.content), line)
        elif type(kind) is not str or kind not in QUIET_ITEMS:
            self._count_unknown("response_item", kind)

    def _add_answer(self, line: int, item: Payload, at: datetime | None) -> None:
        step = self._current_step(line, at)
        response = text_of(item.content)
        if response:
            self._run.respond(step, response, at)
        self._last = LastSeen.WORK if self._turn is not None and self._has_turns else LastSeen.ANSWER

    def _add_call(self, step: StepDraft, line: int, raw: bytes, item: Payload, at: datetime | None) -> None:
        key = text(item.call_id) or text(item.id) or f"call:{line}"
        if key in self._run.calls:
            return
        dirty = needs_escape(raw)
        name = label(item.name) or text(item.type).removesuffix("_call") or "call"
        given = item.arguments if item.arguments is not None else item.input if item.input is not None else item.action
        parameters: Any = {}
        if type(given) is str:
            parsed = parse_text(given) if given[:1] in "{[" else None
            parameters = (
                storable(parsed, dirty=dirty) if parsed is not None else {"input": storable(given, dirty=dirty)}
            )
        elif given is not None:
            parameters = storable(given, dirty=dirty)
        self._run.call(step, key, name, parameters, at)
        self._last = LastSeen.CALL
        if not step.name:
            step.name = name

    def _add_call_without_id(self, step: StepDraft, kind: str, raw: bytes, item: Payload, at: datetime | None) -> None:
        # These calls have no id and no output: their number in the file identifies them.
        self._calls_without_id += 1
        parameters = storable(item.action, dirty=needs_escape(raw)) if item.action is not None else {}
        name = kind.removesuffix("_call")
        call = self._run.call(step, f"{kind}:{self._calls_without_id}", name, parameters, at)
        if item.status in (None, "completed"):
            call.complete(ToolCallState.SUCCEEDED, at)
        elif item.status in ("failed", "incomplete"):
            call.complete(ToolCallState.FAILED, at, f"{name} {item.status}")
        self._last = LastSeen.WORK
        if not step.name:
            step.name = name

    def _add_result(self, line: int, item: Payload, at: datetime | None) -> None:
        key = text(item.call_id) or f"result:{line}"
        call = self._run.result_of(key, at, line)
        output = item.output if item.output is not None else item.tools
        if type(output) is list and item.type == "tool_search_output":
            output = ", ".join(label(tool.get("name")) for tool in output if type(tool) is dict)
        found = read_output(output)
        attach_output(call, found, at)
        agent = spawned_agent(found) if call.name == "spawn_agent" else ""
        if agent:
            call.facts["agentId"] = agent
            call.facts["childSessionId"] = imported_id(SOURCE, agent)
        if self._last is not LastSeen.INTERRUPTION:
            self._last = LastSeen.RESULT
