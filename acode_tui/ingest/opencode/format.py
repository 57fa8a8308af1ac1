"""The format of OpenCode: a database of all sessions, a tree of files before 1.2, or the export of one session."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.errors import IngestError
from acode_tui.ingest.counts import Counts, SkippedLines
from acode_tui.ingest.documents import DocumentShape
from acode_tui.ingest.format import FileStat, Layout, Parsed, ReadContext, TranscriptFormat, is_within
from acode_tui.ingest.opencode import database, tree
from acode_tui.ingest.opencode.database import ForeignDatabase
from acode_tui.ingest.opencode.reader import OpenCodeReader
from acode_tui.ingest.opencode.records import Export, Message, Seen, SeenSessions
from acode_tui.ingest.records import parse_any, text
from acode_tui.ingest.timeline import Checkpoint

NAME = "opencode"
MAX_BYTES = 64 * 1024 * 1024
"""So many bytes of a database's sessions are read and stored at once, and then the next: memory is bounded by them."""

_BEFORE_ALL = (0, "")
_TOO_LONG = "a session of more than 256 MiB"
_DAMAGED = "a session that the database does not give: it is damaged"
_NO_SESSION = "not a session of OpenCode"

_SHAPE = DocumentShape({"messages": frozenset({"info", "parts"})}, frozenset({"info"}))
_DATABASE = re.compile(r"/opencode(?:-[\w.]+)?\.db$")
_SESSION = re.compile(r"/storage/session/[^/]+/[^/]+\.json$")
_decode = msgspec.json.Decoder(Export).decode
_seen = msgspec.msgpack.Decoder(SeenSessions)
_checkpoints = msgspec.msgpack.Decoder(tuple[Checkpoint, ...])


class OpenCode(TranscriptFormat):
    """OpenCode."""

    name = NAME

    def recognises(self, records: Sequence[Mapping[str, Any]]) -> bool:
        for record in records[:1]:
            info = record.get("info")
            if isinstance(info, dict) and isinstance(record.get("messages"), list) and "time" in info:
                return True
        return False

    def hints(self, path: Path) -> bool:
        text = path.as_posix()
        return _DATABASE.search(text) is not None or _SESSION.search(text) is not None

    def roots(self, environ: Mapping[str, str], home: Path) -> list[Path]:
        data = Path(environ.get("XDG_DATA_HOME", "").strip() or home / ".local" / "share")
        configured = environ.get("OPENCODE_DB", "").strip()
        return [data / "opencode", *([Path(configured).parent] if configured else [])]

    def layout(self, path: Path) -> Layout:
        return Layout.PARTS if self.hints(path) or path.suffix == ".db" else Layout.DOCUMENT

    def shape(self) -> DocumentShape | None:
        return _SHAPE

    def folder(self, path: Path) -> str:
        return tree.folder(path) if _SESSION.search(path.as_posix()) else ""

    def folders(self, path: Path) -> dict[str, int] | None:
        if path.suffix != ".db":
            return None
        with database.opened(path) as connection:
            return database.folders(connection)

    def stat(self, path: Path) -> FileStat:
        size, changed = database.stat_size(path)
        return FileStat(os.stat(path).st_ino, size, changed)

    def parts(self, path: Path, context: ReadContext) -> Iterator[tuple[int, bytes | None]]:
        if path.suffix == ".db":
            yield from _changed_sessions(path, context)
        elif not _has_session(tree.database_beside(path), path.stem):
            export, damaged = tree.export(path)
            yield 1, msgspec.json.encode(export)
            for name in damaged:
                yield 1, msgspec.json.encode({"info": {}, "damaged": name})

    def read(self, lines: Iterable[tuple[int, bytes | None]], context: ReadContext) -> Parsed:
        whole = Parsed(counts=Counts(), skipped=SkippedLines())
        seen = _seen_of(context.seen)
        seen.after = _BEFORE_ALL
        graphs: list[SessionGraph] = []
        for number, line in lines:
            export = _export(line, whole.skipped) if line else None
            if export is None:
                whole.skipped.add(number, _TOO_LONG if line is None else _DAMAGED if not line else _NO_SESSION)
            elif export.damaged and self.layout(context.path) is Layout.PARTS:
                whole.skipped.add(number, f"{export.damaged}: not a JSON object")
            elif export.after is not None and self.layout(context.path) is Layout.PARTS:
                seen.after, whole.is_partial = export.after, True
            else:
                self._add_session(export, context, seen.sessions, whole, graphs)
        whole.graphs = tuple(graphs)
        ends = [kept.until for kept in seen.sessions.values() if kept.until]
        whole.until = min((datetime.fromtimestamp(end, UTC) for end in ends), default=None)
        whole.seen = msgspec.msgpack.encode(seen)
        return whole

    def _add_session(
        self,
        export: Export,
        context: ReadContext,
        seen: dict[str, Seen],
        whole: Parsed,
        graphs: list[SessionGraph],
    ) -> None:
        native = str(export.info.get("id"))
        kept = seen.get(native) or Seen("", 0, b"")
        checkpoints = _checkpoints.decode(kept.checkpoints) if kept.checkpoints else ()
        parsed = OpenCodeReader(msgspec.structs.replace(context, checkpoints=checkpoints)).read(export)
        until = int(parsed.until.timestamp()) if parsed.until is not None else 0
        seen[native] = Seen(export.key, until, msgspec.msgpack.encode(parsed.checkpoints))
        graphs += parsed.graphs
        whole.counts.add(parsed.counts)
        for type_, count in parsed.unknown.items():
            whole.unknown[type_] = whole.unknown.get(type_, 0) + count


def _export(line: bytes, skipped: SkippedLines) -> Export | None:
    """The session of a record, or None where it is none. A message of another form is counted, and left out."""
    try:
        return _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = parse_any(line)
    if not isinstance(value, dict) or not isinstance(value.get("info"), dict):
        return None
    given = value["messages"] if isinstance(value.get("messages"), list) else []
    messages: list[Message | None] = []
    for number, message in enumerate(given, 1):
        fields = message if isinstance(message, dict) else {}
        info, parts = fields.get("info"), fields.get("parts", [])
        if isinstance(info, dict) and isinstance(parts, list):
            messages.append(Message(info, parts))
        else:
            messages.append(None)
            if message is not None:
                skipped.add(number, "not a message of OpenCode")
    return Export(value["info"], messages, key=text(value.get("key")))


def _changed_sessions(path: Path, context: ReadContext) -> Iterator[tuple[int, bytes | None]]:
    """The sessions of a database that have changed since they were read, or whose states do not hold any more.

    After ``MAX_BYTES`` the last record says where to go on. Where such a reading has come to the end, it says to look
    from the first session on: what was passed by may have changed meanwhile. A session that is damaged, or too large,
    costs itself alone.
    """
    seen = _seen_of(context.seen)
    now = context.now.timestamp()
    left = MAX_BYTES
    number = 0
    with database.opened(path) as opened:
        try:
            for created, session, key, folder in database.keys(opened, seen.after):
                number += 1
                kept = seen.sessions.get(session)
                if context.within and not is_within(folder, context.within):
                    continue
                if kept is not None and kept.key == key and not 0 < kept.until <= now:
                    continue
                line = _session(opened, session, key)
                yield number, line
                left -= len(line or b"")
                if left <= 0:
                    yield number, _going_on_after(created, session)
                    return
        except IngestError:
            if not number:
                raise
            yield number + 1, b""
    if seen.after != _BEFORE_ALL:
        yield number + 1, _going_on_after(*_BEFORE_ALL)


def _session(opened: ForeignDatabase, session: str, key: str) -> bytes | None:
    """A session as a line; empty where it is damaged, None where it is too large."""
    try:
        export = database.export(opened, session)
    except database.TooLargeError:
        return None
    except (IngestError, ValueError, TypeError, KeyError):
        return b""
    return msgspec.json.encode({**export, "key": key})


def _going_on_after(created: int, session: str) -> bytes:
    return msgspec.json.encode({"info": {}, "after": (created, session)})


def _has_session(path: Path, session: str) -> bool:
    if not path.is_file():
        return False
    try:
        with database.opened(path) as opened:
            return database.has_session(opened, session)
    except (OSError, IngestError):
        return False


def _seen_of(data: bytes) -> SeenSessions:
    try:
        return _seen.decode(data) if data else SeenSessions()
    except msgspec.MsgspecError:
        return SeenSessions()
