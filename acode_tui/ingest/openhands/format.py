"""The format of OpenHands: a folder per conversation, with one file per event."""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from acode_tui.ingest.format import FileStat, Layout, Parsed, ReadContext, TranscriptFormat, stat_of
from acode_tui.ingest.lines import MAX_LINE_BYTES
from acode_tui.ingest.openhands.reader import OpenHandsReader
from acode_tui.ingest.openhands.records import Record
from acode_tui.ingest.read_records import read_records
from acode_tui.ingest.records import LineDecoder

NAME = "openhands"
EVENTS = "events"
STATE = "base_state.json"

_SOURCES = ("user", "agent", "environment")
_KINDS = ("SystemPromptEvent", "MessageEvent", "ActionEvent", "ObservationEvent")
_EVENT = re.compile(r"(?:event-(\d{5,})-[0-9a-f-]{8,}|(\d+))\.json")
_decoder = LineDecoder(Record)


class OpenHands(TranscriptFormat):
    """OpenHands: the command line and the SDK (events by kind), and the older server (actions and observations)."""

    name = NAME

    def recognises(self, records: Sequence[Mapping[str, Any]]) -> bool:
        # A conversation is recognised as a folder; an export holds the same events in one file.
        return any(
            record.get("source") in _SOURCES
            and isinstance(record.get("timestamp"), str)
            and (record.get("kind") in _KINDS or isinstance(record.get("action") or record.get("observation"), str))
            for record in records
        )

    def hints(self, path: Path) -> bool:
        # Most paths are files of other formats, and are not looked at.
        return not path.suffix and path.is_dir() and self.is_transcript(path, _names(path))

    def roots(self, environ: Mapping[str, str], home: Path) -> list[Path]:
        base = Path(environ.get("OPENHANDS_PERSISTENCE_DIR", "").strip() or home / ".openhands")
        conversations = Path(environ.get("OPENHANDS_CONVERSATIONS_DIR", "").strip() or base / "conversations")
        return [conversations, base / "sessions", base / "users"]

    def layout(self, path: Path) -> Layout:
        return Layout.PARTS if not path.suffix and path.is_dir() else super().layout(path)

    def is_transcript(self, folder: Path, names: Collection[str]) -> bool:
        if EVENTS not in names:
            return False
        return STATE in names or any(_EVENT.fullmatch(name) for name in _names(folder / EVENTS))

    def stat(self, path: Path) -> FileStat:
        """An event's file never changes, so the folder's own time is that of the newest one."""
        events = stat_of(os.stat(path / EVENTS))
        try:
            state = stat_of(os.stat(path / STATE))
        except OSError:
            state = FileStat(0, 0, 0)
        return FileStat(events.inode, state.size, max(events.mtime_ns, state.mtime_ns))

    def parts(self, path: Path, context: ReadContext) -> Iterator[tuple[int, bytes | None]]:
        numbered = []
        for name in _names(path / EVENTS):
            found = _EVENT.fullmatch(name)
            if found:
                numbered.append((int(found.group(1) or found.group(2)) + 1, name))
        numbered.sort()
        for number, name in numbered:
            yield number, _contents(path / EVENTS / name)
        if (path / STATE).is_file():
            yield (numbered[-1][0] if numbered else 0), _contents(path / STATE)

    def read(self, lines: Iterable[tuple[int, bytes | None]], context: ReadContext) -> Parsed:
        reader = OpenHandsReader(context)
        return reader.finish(*read_records(lines, _decoder, reader.take))


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _contents(path: Path) -> bytes | None:
    with open(path, "rb") as source:
        data = source.read(MAX_LINE_BYTES + 1)
    return data if len(data) <= MAX_LINE_BYTES else None
