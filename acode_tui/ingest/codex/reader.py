"""Reads one Codex session, line by line, and decides what becomes a task, a step, a call and a result.

A prompt is an event where its turn has one, else an item. A step begins with the first output of the model after new
input. A message of the model that appears both as item and as event is read once, from the item. What a file repeats of
the session that it was forked from is not read (``replay``).
"""

from typing import Any

from acode_tui.ingest.codex.event_lines import EventLines
from acode_tui.ingest.codex.events import QUIET_LINES
from acode_tui.ingest.codex.item_lines import ItemLines
from acode_tui.ingest.codex.records import Line, Payload
from acode_tui.ingest.observe import because
from acode_tui.ingest.records import label, parse_stamp, text


class CodexReader(EventLines, ItemLines):
    """Collects the lines of one file; ``finish`` turns them into the session."""

    def take(self, line: int, raw: bytes, record: Line) -> None:
        """Read one record. Nothing in it is trusted; an unknown shape is ignored."""
        at = parse_stamp(record.timestamp)
        if line > self._timeline.next_checkpoint:
            self._timeline.pass_checkpoint(line)
        payload = record.payload
        kind = record.type
        if self._replay.is_on and payload is not None:
            event = payload.type if kind == "event_msg" else None
            is_prompt = event == "user_message" or (payload.role == "user" and kind == "response_item")
            if self._replay.repeats(at, begins_turn=event == "task_started", is_prompt=is_prompt):
                if event == "token_count" and type(payload.info) is dict:
                    self._last_total = payload.info.get("total_token_usage")
                because("repeated from the session that this one came from")
                return
        at = self._bounds.note(at)
        if payload is None:
            # In old files without wrappers, the first line is the session and the others are its items.
            if kind is None and record.id is not None:
                self._take_meta(line, record)
            else:
                self._take_item(line, raw, record, at)
            return
        # In a wrapped file the event of a prompt may follow its item.
        self._is_wrapped = True
        if kind == "response_item":
            self._take_item(line, raw, payload, at)
        elif kind == "event_msg":
            self._take_event(line, payload, at)
        elif kind == "turn_context":
            self._note_context(payload, line)
        elif kind == "session_meta":
            self._take_meta(line, payload)
        elif kind == "compacted":
            self._note_text("context compacted", text(payload.message), line)
        elif type(kind) is not str or kind not in QUIET_LINES:
            self._count_unknown(kind)

    def _take_meta(self, line: int, meta: Payload) -> None:
        if self._meta is not None:
            # A fork repeats the meta lines of its origin, before any message: the first one is the file's own.
            if self._has_messages:
                self._sessions.note_session(meta.id, line)
                self._sessions.note_version(meta.cli_version, line)
            elif label(meta.id) != self._meta["id"]:
                self._sessions.origins.append(label(meta.id))
                if self._meta["parent"]:
                    self._replay.begin()
            return
        self._sessions.note_session(meta.id, line)
        self._sessions.note_version(meta.cli_version, line)
        git = meta.git if type(meta.git) is dict else {}
        spawn = _spawn_of(meta.source)
        self._meta = {
            "id": label(meta.id),
            "cwd": label(meta.cwd, 1_000),
            "version": label(meta.cli_version),
            "branch": label(git.get("branch"), 1_000),
            "originator": label(meta.originator),
            "parent": label(spawn.get("parent_thread_id"))
            or label(meta.parent_thread_id)
            or label(meta.forked_from_id),
            "relation": "fork" if meta.forked_from_id and not spawn else "subagent",
            "agentName": label(spawn.get("agent_nickname")),
            "agentRole": label(spawn.get("agent_role")),
        }
        self._bounds.note(parse_stamp(meta.timestamp))

    def _note_context(self, context: Payload, line: int) -> None:
        self._cwd = self._cwd or label(context.cwd, 1_000)
        sandbox = context.sandbox_policy.get("type") if type(context.sandbox_policy) is dict else context.sandbox_policy
        for name, value in (
            ("approvalPolicy", context.approval_policy),
            ("sandbox", sandbox),
            ("effort", context.effort),
        ):
            if label(value):
                self._facts[name] = label(value)
        if context.model != self._models.current:
            self._models.note(label(context.model), line)


def _spawn_of(source: Any) -> dict[str, Any]:
    """How a subagent was started: by which thread, and as whom; empty for any other session."""
    subagent = source.get("subagent") if type(source) is dict else None
    spawn = subagent.get("thread_spawn") if type(subagent) is dict else None
    return spawn if type(spawn) is dict else {}
