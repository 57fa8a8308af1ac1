"""Events of a Codex rollout: turns, prompts, completed items, rollbacks, failures and usage."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from acode_tui.domain.ids import imported_id
from acode_tui.domain.states import SessionState
from acode_tui.ingest.codex.events import QUIET_EVENTS, QUIET_ITEMS, images_in
from acode_tui.ingest.codex.records import Payload
from acode_tui.ingest.codex.results import (
    record_changes,
    record_command,
    record_tool,
)
from acode_tui.ingest.codex.session import SOURCE, CodexSession
from acode_tui.ingest.contents import text_of
from acode_tui.ingest.draft import CallDraft, ImageDraft, NeedsWholeFileError
from acode_tui.ingest.finish import LastSeen
from acode_tui.ingest.observe import because
from acode_tui.ingest.records import label, text
from acode_tui.ingest.usage import Tokens, codex_usage

RecordNote = Callable[[CallDraft, dict[str, Any], datetime | None], None]
"""Notes a structured record with its call."""


class EventLines(CodexSession):
    """The reading of events."""

    def _take_event(self, line: int, event: Payload, at: datetime | None) -> None:
        kind = text(event.type)
        if kind == "user_message":
            pictures = images_in([*_list(event.images), *_list(event.local_images)])
            self._take_prompt_event(text(event.message), pictures, line, at)
        elif kind == "item_completed":
            self._take_completed(line, event.item if type(event.item) is dict else {}, at)
        elif kind == "token_count":
            self._count_tokens(event.info)
        elif kind == "task_started":
            self._has_turns = True
            self._turn = label(event.turn_id)
            # The prompt may be on the line before its turn.
            self._turn_has_prompt = self._last is LastSeen.PROMPT
        elif kind == "task_complete":
            self._turn = None
            if event.error is not None:
                self._add_failure(event.error, line, at)
            elif self._last not in (LastSeen.INTERRUPTION, LastSeen.ERROR, LastSeen.NOTHING):
                self._last = LastSeen.ANSWER
        elif kind == "turn_aborted":
            self._turn = None
            reason = label(event.reason) or "interrupted"
            self._run.interrupt(reason)
            self._last = LastSeen.INTERRUPTION
            self._timeline.change_state(SessionState.PAUSED, f"turn aborted: {reason}", line)
        elif kind == "context_compacted":
            self._timeline.note("context compacted", line)
        elif kind == "error":
            self._add_failure(event.message, line, at)
        elif kind == "thread_rolled_back":
            self._roll_back(event.num_turns, line)
        elif kind == "thread_name_updated":
            self._title = label(event.thread_name) or self._title
        elif kind == "exec_command_end":
            self._record(text(event.call_id), record_command, msgspec.to_builtins(event), at)
        elif kind == "patch_apply_end":
            self._record(text(event.call_id), record_changes, msgspec.to_builtins(event), at)
        elif kind in ("mcp_tool_call_end", "dynamic_tool_call_response"):
            self._record(text(event.call_id), record_tool, msgspec.to_builtins(event), at)
        elif kind == "collab_agent_spawn_end":
            self._note_child(text(event.call_id), label(event.new_thread_id))
        elif kind == "sub_agent_activity":
            self._timeline.note(f"subagent {label(event.kind)}: {label(event.agent_path)}", line)
        elif kind == "guardian_assessment":
            # It is written when the assessment begins, and again with its result.
            if label(event.rationale) or label(event.risk_level):
                self._note_text(f"review of an action: {label(event.status)}", text(event.rationale), line)
        elif kind not in QUIET_EVENTS:
            self._count_unknown("event_msg", kind)

    def _take_prompt_event(self, prompt: str, images: list[ImageDraft], line: int, at: datetime | None) -> None:
        self._has_messages = True
        self._has_events = True
        self._item_prompt = None
        self._images = images
        self._add_prompt(prompt, bool(images), line, at)
        self._images = []

    def _take_completed(self, line: int, item: dict[str, Any], at: datetime | None) -> None:
        """A completed item of newer versions (0.148): the structured form of what items and outputs say as text."""
        kind = text(item.get("type"))
        if kind == "UserMessage":
            content = item.get("content")
            self._take_prompt_event(text_of(content), images_in(_list(content)), line, at)
        elif kind == "CommandExecution":
            self._record(text(item.get("id")).removeprefix("exec-"), record_command, item, at)
        elif kind == "FileChange":
            # Its id is not that of the call.
            self._record("", record_changes, item, at)
        elif kind in ("McpToolCall", "DynamicToolCall"):
            self._record(text(item.get("id")), record_tool, item, at)
        elif kind not in QUIET_ITEMS:
            self._count_unknown("item_completed", kind)

    def _record(self, key: str, note: RecordNote, record: dict[str, Any], at: datetime | None) -> None:
        """Note a structured record with its call: the one that it names, else the one that is under way."""
        calls = self._run.calls
        call = calls.get(key)
        if call is None and self._run.is_resumed and key:
            # A call that has ended is not kept, and the record may be about it.
            raise NeedsWholeFileError
        if call is None:
            call = next((found for found in reversed(calls.values()) if found.is_open), None)
        if call is not None:
            note(call, record, at)
        elif self._run.is_resumed:
            raise NeedsWholeFileError

    def _note_child(self, key: str, agent: str) -> None:
        """The session that a call started."""
        call = self._run.calls.get(key)
        if call is not None and agent:
            call.facts["agentId"] = agent
            call.facts["childSessionId"] = imported_id(SOURCE, agent)

    def _roll_back(self, turns: Any, line: int) -> None:
        count = turns if type(turns) is int and 0 < turns < 10_000 else 0
        tasks = self._run.supersede(count)
        names = ", ".join(task.title for task in reversed(tasks))
        self._timeline.note(f"rolled back {count} turn{'' if count == 1 else 's'}: {names}", line)

    def _add_failure(self, error: Any, line: int, at: datetime | None) -> None:
        message = error.get("message") if type(error) is dict else error
        self._run.interrupt("error")
        self._last = LastSeen.ERROR
        self._timeline.change_state(SessionState.FAILED, f"error: {text(message) or 'unknown'}", line)

    def _count_tokens(self, info: Any) -> None:
        # Counts are repeated, and their totals may start over: each change of the total adds the last usage.
        if type(info) is not dict:
            return
        total = info.get("total_token_usage")
        because("the total before, again" if total == self._last_total else "tokens of the last call")
        if total != self._last_total:
            self._last_total = total
            used = codex_usage(info.get("last_token_usage"))
            self._tokens.add(*used)
            if self._step is not None:
                kept = self._step.metadata.get("tokens")
                step = Tokens.of(kept) if kept else Tokens()
                step.add(*used)
                self._step.metadata = {**self._step.metadata, "tokens": step.plain()}


def _list(value: Any) -> list[Any]:
    return value if type(value) is list else []
