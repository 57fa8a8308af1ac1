"""Reads one pi session, line by line.

The entries form a tree: a user who goes back to an earlier entry begins another branch there. Every branch is work that
was done; the steps that the last entry does not follow from are marked as abandoned.
"""

from pathlib import PurePath
from typing import Any

from acode_tui.ingest.contents import image_of, text_of
from acode_tui.ingest.counts import SkippedLines
from acode_tui.ingest.draft import ImageDraft
from acode_tui.ingest.finish import LastSeen
from acode_tui.ingest.format import Parsed, ReadContext
from acode_tui.ingest.pi.records import Entry, Message
from acode_tui.ingest.pi.results import attach_result
from acode_tui.ingest.records import label, number, parse_stamp, storable, text
from acode_tui.ingest.run_reader import RunReader
from acode_tui.ingest.usage import Tokens, claim_key

SOURCE = "pi"
# Bound once: until Python 3.12, finding a member in its enum takes longer than most of what is done with it.
_CALL, _RESULT, _INTERRUPTION = LastSeen.CALL, LastSeen.RESULT, LastSeen.INTERRUPTION
_QUIET = frozenset({"thinking_level_change", "custom"})
"""Entries that say nothing about the run."""


class PiReader:
    """Collects the entries of one file; ``finish`` turns them into the session."""

    def __init__(self, context: ReadContext) -> None:
        self._reader = RunReader(SOURCE, context)
        self._header: Entry | None = None
        self._started = ""
        self._title = ""
        self._parents: dict[str, str] = {}
        self._leaf = ""
        self._claimed: list[bytes] = []

    def take(self, line: int, raw: bytes, entry: Entry) -> None:
        """Read one entry. Nothing in it is trusted; an unknown type is counted."""
        reader = self._reader
        kind = entry.type
        if kind == "session":
            reader.sessions.note_session(entry.id, line)
            if self._header is None:
                self._header = entry
                self._started = entry.timestamp or ""
                reader.bounds.note(parse_stamp(entry.timestamp))
            return
        if entry.id and not reader.run.marks:
            # Entries of another session are no branch of this one.
            self._parents[entry.id] = entry.parent_id or ""
            self._leaf = entry.id
        if kind == "message" and self._is_copy(entry):
            reader.because("id and timestamp of an entry that another session has")
            return
        reader.at(line, parse_stamp(entry.timestamp))
        if kind == "message" and entry.message is not None:
            self._take_message(line, entry, entry.message)
        elif kind == "model_change":
            reader.models.note(label(entry.model_id), line)
        elif kind in ("compaction", "branch_summary"):
            what = "context compacted" if kind == "compaction" else "a branch was left"
            reader.note(what, line, text(entry.summary))
        elif kind == "custom_message":
            reader.note(f"message of {label(entry.custom_type) or 'an extension'}", line, text_of(entry.content))
        elif kind == "session_info":
            self._title = label(entry.name) or self._title
        elif kind == "label":
            reader.note(f"label: {label(entry.label)}", line)
        elif kind not in _QUIET:
            reader.count_unknown(kind)

    def _is_copy(self, entry: Entry) -> bool:
        """Whether another session has this message. A file that was branched off begins with those of its origin.

        Only they are older than the file's own header.
        """
        if not entry.timestamp or not entry.id:
            return False
        claim = claim_key(entry.id, entry.timestamp)
        self._claimed.append(claim)
        if entry.timestamp >= self._started:
            return False
        (is_own,) = self._reader.context.claims.claim(self._session_id, [claim])
        if not is_own:
            self._claimed.pop()
        return not is_own

    @property
    def _session_id(self) -> str:
        return self._reader.session_id(self._native_id)

    @property
    def _native_id(self) -> str:
        header = label(self._header.id) if self._header is not None else ""
        stem = self._reader.context.path.name.removesuffix(".jsonl")
        return header or label(stem.rpartition("_")[2]) or "unnamed"

    # -- messages

    def _take_message(self, line: int, entry: Entry, message: Message) -> None:
        reader = self._reader
        at = reader.bounds.current
        role = message.role
        if role == "user":
            key = entry.id or f"prompt:{reader.run.task_count}"
            reader.begin_task(key, text_of(message.content), at, line, _images(message.content))
        elif role == "assistant":
            self._take_answer(line, entry, message)
        elif role == "toolResult":
            call = reader.run.result_of(text(message.tool_call_id) or f"result:{line}", at, line)
            attach_result(call, message, at)
            if reader.last is not _INTERRUPTION:
                reader.last = _RESULT
        elif role == "bashExecution":
            code = message.exit_code
            how = "cancelled" if message.cancelled is True else f"exit code {code}" if type(code) is int else "no exit"
            reader.note(f"the user ran {label(message.command)} ({how})", line, text(message.output))
        elif role in ("custom", "hookMessage"):
            reader.note("message of an extension", line, text_of(message.content))
        elif role not in ("branchSummary", "compactionSummary"):
            reader.count_unknown(f"message/{label(role)}")

    def _take_answer(self, line: int, entry: Entry, message: Message) -> None:
        reader = self._reader
        at = reader.bounds.current
        key = entry.id or text(message.response_id) or f"message:{reader.run.step_count}"
        step = reader.begin_step(key, at, line, label(message.model))
        for index, block in enumerate(message.content if type(message.content) is list else ()):
            kind = block.get("type") if type(block) is dict else None
            if kind == "text":
                reader.say(step, text(block.get("text")), at)
            elif kind == "thinking":
                reader.run.reason(step, text(block.get("thinking")), at)
            elif kind == "toolCall":
                name = label(block.get("name")) or "(unnamed tool)"
                parameters = storable(block.get("arguments"), dirty=True)
                reader.run.call(step, text(block.get("id")) or f"{key}:{index}", name, parameters, at)
                step.name = step.name or name
                reader.last = _CALL
            elif kind is not None:
                reader.count_unknown(f"content/{label(kind)}")
        usage = message.usage
        if type(usage) is dict:
            cost = usage.get("cost")
            reader.note_usage(step, _tokens(usage), cost.get("total") if type(cost) is dict else None)
        reason = message.stop_reason
        if reason == "aborted":
            reader.interrupt("interrupted by the user", line)
        elif reason == "error":
            reader.fail(f"error: {text(message.error_message) or 'unknown'}", line)

    # -- the end of the file

    def finish(self, skipped: SkippedLines, last_line: int) -> Parsed:
        """The session of the lines read."""
        header = self._header or Entry()
        self._mark_abandoned()
        parent = PurePath(text(header.parent_session) or text(header.branched_from)).name.removesuffix(".jsonl")
        metadata: dict[str, Any] = {
            "cwd": label(header.cwd, 1_000),
            "formatVersion": header.version if type(header.version) is int else 1,
        }
        parsed = self._reader.finish(
            self._native_id,
            metadata,
            skipped,
            last_line,
            title=self._title,
            parent=label(parent.rpartition("_")[2]),
        )
        if parsed.graphs:
            self._reader.context.claims.claim(self._session_id, self._claimed)
            parsed.claimed = b"".join(self._claimed)
        return parsed

    def _mark_abandoned(self) -> None:
        """Mark the tasks and the steps that the last entry does not follow from."""
        if not any(self._parents.values()):
            return
        path = set()
        entry = self._leaf
        while entry and entry not in path:
            path.add(entry)
            entry = self._parents.get(entry, "")
        for task in self._reader.run.tasks:
            if task.key in self._parents and task.key not in path:
                task.metadata["abandoned"] = True
        for key, step in self._reader.run.steps.items():
            if key in self._parents and key not in path:
                step.metadata["abandoned"] = True


def _tokens(usage: dict[str, Any]) -> Tokens:
    return Tokens(
        number(usage.get("input")),
        number(usage.get("output")),
        number(usage.get("cacheRead")),
        number(usage.get("cacheWrite")),
    )


def _images(content: Any) -> list[ImageDraft]:
    found = []
    for block in content if type(content) is list else ():
        if type(block) is dict and block.get("type") == "image":
            image = image_of(block.get("data"), block.get("mimeType"))
            found.append(ImageDraft("image", image.content, image.content_type))
    return found
