"""Reads one Claude Code session, line by line, and decides what becomes a task, a step, a call and a result.

The order is that of the lines: time stamps in these files go back and forth. ``parentUuid`` often points at lines that
say nothing; it is asked only which earlier record a prompt follows (see ``branches``).
"""

from acode_tui.ingest.claude.model_lines import ModelLines
from acode_tui.ingest.claude.other_lines import OtherLines
from acode_tui.ingest.claude.records import Progress, ProgressLine, Record
from acode_tui.ingest.observe import because
from acode_tui.ingest.records import LineDecoder, label, parse_stamp, text

QUIET_LINES = frozenset(
    {
        "mode",
        "last-prompt",
        "file-history-snapshot",
        "file-history-delta",
        "agent-color",
        "agent-setting",
        "tag",
        "task-summary",
        "relocated",
        "worktree-state",
        "bridge-session",
        "atis-latch",
        "frame-link",
        "attribution-snapshot",
        "content-replacement",
        "speculation-accept",
        "fork-context-ref",
        "dev-mods",
        "started",
        "result",
    }
)
"""Lines about the program's own state, which say nothing about the run."""
_progress = LineDecoder(Progress)


class ClaudeReader(OtherLines, ModelLines):
    """Collects the lines of one file; ``finish`` turns them into the session."""

    def take(self, line: int, raw: bytes, record: Record | ProgressLine) -> None:
        """Read one record. Nothing in it is trusted; an unknown shape is ignored."""
        copies = self._copies
        if not copies.is_settled and (copies.count if isinstance(record, ProgressLine) else copies.is_copy(record)):
            because("a copy of a record of the session that this one came from")
            return
        at = parse_stamp(record.timestamp)
        if line > self._timeline.next_checkpoint:
            self._timeline.pass_checkpoint(line)
        at = self._bounds.note(at)
        if isinstance(record, ProgressLine):
            self._take_progress(record.data, record.parent_tool_use_id)
            return
        kind = text(record.type)
        if kind == "progress":
            # A progress line that the fast decoder did not recognise.
            self._take_progress(_progress.decode(bytes(record.data)), text(record.parent_tool_use_id))
            return
        self._facts.note_header(record)
        if record.session_id != self._sessions.current:
            self._sessions.note_session(record.session_id, line)
        if record.version != self._sessions.version:
            self._sessions.note_version(record.version, line)
        if kind == "assistant":
            self._take_assistant(line, raw, record, at)
        elif kind == "user":
            self._take_user(line, record, at)
        elif kind not in QUIET_LINES:
            self._take_other(line, raw, record, at)
        if type(record.uuid) is str and " " not in record.uuid:
            self._branches.task_of.setdefault(record.uuid, self._run.task_count)

    def _take_progress(self, data: Progress | None, call: str) -> None:
        if data is not None and data.type == "agent_progress" and label(data.agent_id):
            self._agents.setdefault(call, label(data.agent_id))
