"""Reads the list of prompts that an agent keeps of all its sessions, for those whose transcripts are gone.

Claude Code and Codex write each prompt to ``history.jsonl`` when it is sent, and keep it. A session of which nothing
else is left is a run with prompts alone; its metadata, and that of its tasks, has ``transcript: "deleted"``.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from acode_tui.domain.clock import EPOCH
from acode_tui.domain.entities import DELETED, TRANSCRIPT, SessionGraph
from acode_tui.domain.states import WorkState
from acode_tui.ingest.counts import Counts, SkippedLines
from acode_tui.ingest.format import Parsed, ReadContext, is_within
from acode_tui.ingest.records import LATEST, LineDecoder, label, parse_any, text
from acode_tui.ingest.run_reader import RunReader
from acode_tui.ingest.timeline import Checkpoint

FILE_NAME = "history.jsonl"
_PASTED = re.compile(r"\[Pasted text #(\d{1,6})(?: \+\d+ lines)?\]")
_LONG_AGO = timedelta(days=2)
"""No agent works on a session whose transcript is gone, however lately the prompt was sent."""


class Entry(msgspec.Struct):
    """A line: the fields of Claude Code (``display``), and those of Codex (``text``)."""

    display: Any = None
    project: Any = None
    timestamp: Any = None
    session: Any = msgspec.field(default=None, name="sessionId")
    pasted: Any = msgspec.field(default=None, name="pastedContents")
    text: Any = None
    ts: Any = None
    codex_session: Any = msgspec.field(default=None, name="session_id")


_decoder = LineDecoder(Entry)
_seen = msgspec.msgpack.Decoder(dict[str, tuple[Checkpoint, ...]])


def is_history(record: Any) -> bool:
    """Whether an object is a line of such a file."""
    if not isinstance(record, dict) or "type" in record or "message" in record:
        return False
    return {"display", "timestamp"} <= record.keys() or {"session_id", "ts", "text"} <= record.keys()


def begins_history(lines: Iterable[tuple[int, bytes | None]]) -> tuple[bool, Iterator[tuple[int, bytes | None]]]:
    """Whether the first record is one of a history, and all the lines."""
    rest = iter(lines)
    first = []
    found = False
    for number, line in rest:
        first.append((number, line))
        record = parse_any(line) if line else None
        if isinstance(record, dict):
            found = is_history(record)
            break
    return found, _chained(first, rest)


def _chained(
    first: Iterable[tuple[int, bytes | None]], rest: Iterator[tuple[int, bytes | None]]
) -> Iterator[tuple[int, bytes | None]]:
    yield from first
    yield from rest


def read_history(
    source: str, lines: Iterable[tuple[int, bytes | None]], context: ReadContext, kept: Collection[str]
) -> Parsed:
    """A run for each session whose transcript is not among those ``kept``; each is stored only where there is no other.

    Of those in ``context.within``, where that is not empty.
    """
    only_new: list[Counts] = []
    whole = Parsed(counts=Counts(), skipped=SkippedLines(), only_new=only_new)
    sessions: dict[str, list[tuple[int, Entry]]] = {}
    for number, entry in _entries(lines, whole.skipped):
        native = label(entry.session) or label(entry.codex_session)
        if not native:
            # Older releases do not say of which session a prompt is.
            whole.unknown["history/without a session"] = whole.unknown.get("history/without a session", 0) + 1
        elif native not in kept:
            sessions.setdefault(native, []).append((number, entry))
    seen = _seen_of(context.seen)
    graphs: list[SessionGraph] = []
    for native, entries in sessions.items():
        folder = next((label(entry.project, 1_000) for _, entry in entries if label(entry.project)), "")
        if context.within and not is_within(folder, context.within):
            continue
        parsed = _read_session(source, native, folder, entries, context, seen.get(native, ()))
        graphs += parsed.graphs
        if parsed.graphs:
            only_new.append(parsed.counts)
            seen[native] = parsed.checkpoints
    whole.graphs = tuple(graphs)
    whole.seen = msgspec.msgpack.encode(seen)
    return whole


def history_folders(path: Path) -> dict[str, int]:
    """The folders that a file of prompts names. None of its sessions counts as one that is elsewhere."""
    found: dict[str, int] = {}
    with open(path, "rb") as source:
        for line in source:
            entry = _decoder.decode(line)
            if entry is not None and label(entry.project):
                found[label(entry.project, 1_000)] = 0
    return found


def _entries(lines: Iterable[tuple[int, bytes | None]], skipped: SkippedLines) -> Iterator[tuple[int, Entry]]:
    for number, line in lines:
        entry = _decoder.decode(line) if line else None
        if entry is not None:
            skipped.count_blank()
            yield number, entry
        elif line is None or line.strip():
            skipped.count_blank()
            skipped.add(number, "line too long" if line is None else "not a JSON object")
        else:
            skipped.blank.append(number)


def _read_session(
    source: str,
    native: str,
    folder: str,
    entries: list[tuple[int, Entry]],
    context: ReadContext,
    checkpoints: tuple[Checkpoint, ...],
) -> Parsed:
    now = context.now + _LONG_AGO
    reader = RunReader(source, msgspec.structs.replace(context, now=now, checkpoints=checkpoints))
    reader.run.marks = {TRANSCRIPT: DELETED}
    line = 0
    for index, (number, entry) in enumerate(entries):
        line = number
        at = reader.at(line, _moment(entry))
        prompt = _prompt(entry)
        reader.because(f"a prompt of the session {native}, which has no transcript")
        if prompt.startswith(("/", "!")):
            # Most commands are the program's own, and no model answers them.
            reader.note("command of the user", line, prompt)
        else:
            reader.begin_task(f"history:{index}", prompt, at, line)
    parsed = reader.finish(native, {"cwd": folder, TRANSCRIPT: DELETED}, SkippedLines(), line)
    graphs = []
    for graph in parsed.graphs:
        # The file does not say whether they were answered.
        tasks = tuple(msgspec.structs.replace(task, state=WorkState.SKIPPED) for task in graph.tasks)
        graphs.append(msgspec.structs.replace(graph, tasks=tasks))
    return msgspec.structs.replace(parsed, graphs=tuple(graphs))


def _prompt(entry: Entry) -> str:
    """What the user sent. A long text that was pasted stands beside it, and is named in it."""
    pasted = entry.pasted if type(entry.pasted) is dict else {}

    def whole(found: re.Match[str]) -> str:
        piece = pasted.get(found.group(1))
        content = text(piece.get("content")) if type(piece) is dict else ""
        return content or found.group()

    return _PASTED.sub(whole, text(entry.display)) or text(entry.text)


def _moment(entry: Entry) -> datetime | None:
    """Its time: milliseconds in Claude Code, seconds in Codex."""
    seconds = entry.ts if entry.timestamp is None else entry.timestamp / 1_000 if _is_number(entry.timestamp) else None
    if not _is_number(seconds):
        return None
    try:
        moment = datetime.fromtimestamp(seconds, UTC)  # type: ignore[arg-type]
    except (ValueError, OverflowError, OSError):
        return None
    return moment if EPOCH <= moment < LATEST else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _seen_of(data: bytes) -> dict[str, tuple[Checkpoint, ...]]:
    try:
        return _seen.decode(data) if data else {}
    except msgspec.MsgspecError:
        return {}


def names_under(folder: Path) -> Iterator[str]:
    """The names of all files under a folder, without a suffix of a transcript."""
    for _, _, names in os.walk(folder):
        yield from (name.removesuffix(".zst").removesuffix(".jsonl") for name in names)
