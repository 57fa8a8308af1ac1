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
from acode_tui.ingest.format import FileStat, Layout, Parsed, ReadContext, TranscriptFormat, is_within
from acode_tui.ingest.opencode import database, tree
from acode_tui.ingest.opencode.reader import OpenCodeReader
from acode_tui.ingest.opencode.records import Export, Seen
from acode_tui.ingest.timeline import Checkpoint

NAME = "opencode"
MAX_BYTES = 256 * 1024 * 1024
"""So many bytes of a database's sessions are read at once; the next import goes on with the others."""

_DATABASE = re.compile(r"/opencode(?:-[\w.]+)?\.db$")
_SESSION = re.compile(r"/storage/session/[^/]+/[^/]+\.json$")
_decode = msgspec.json.Decoder(Export).decode
_seen = msgspec.msgpack.Decoder(dict[str, Seen])
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
            yield 1, msgspec.json.encode(tree.export(path))

    def read(self, lines: Iterable[tuple[int, bytes | None]], context: ReadContext) -> Parsed:
        whole = Parsed(counts=Counts(), skipped=SkippedLines())
        seen = _seen_of(context.seen)
        graphs: list[SessionGraph] = []
        for number, line in lines:
            try:
                export = _decode(line) if line is not None else None
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                export = None
            if export is None:
                whole.skipped.add(number, "line too long" if line is None else "not a session of OpenCode")
                continue
            parsed = self._read_session(export, context, seen)
            graphs += parsed.graphs
            whole.counts.add(parsed.counts)
            for type_, count in parsed.unknown.items():
                whole.unknown[type_] = whole.unknown.get(type_, 0) + count
        whole.graphs = tuple(graphs)
        ends = [kept.until for kept in seen.values() if kept.until]
        whole.until = min((datetime.fromtimestamp(end, UTC) for end in ends), default=None)
        whole.seen = msgspec.msgpack.encode(seen)
        return whole

    def _read_session(self, export: Export, context: ReadContext, seen: dict[str, Seen]) -> Parsed:
        native = str(export.info.get("id"))
        kept = seen.get(native) or Seen("", 0, b"")
        checkpoints = _checkpoints.decode(kept.checkpoints) if kept.checkpoints else ()
        parsed = OpenCodeReader(msgspec.structs.replace(context, checkpoints=checkpoints)).read(export)
        until = int(parsed.until.timestamp()) if parsed.until is not None else 0
        key = str(export.info.get("changeKey", ""))
        seen[native] = Seen(key, until, msgspec.msgpack.encode(parsed.checkpoints))
        return parsed


def _changed_sessions(path: Path, context: ReadContext) -> Iterator[tuple[int, bytes | None]]:
    """The sessions of a database that have changed since they were read, or whose states do not hold any more."""
    seen = _seen_of(context.seen)
    now = context.now.timestamp()
    left = MAX_BYTES
    with database.opened(path) as connection:
        for number, (session, key, folder) in enumerate(database.keys(connection), 1):
            if context.within and not is_within(folder, context.within):
                continue
            kept = seen.get(session)
            if kept is not None and kept.key == key and not 0 < kept.until <= now:
                continue
            left -= database.size_of(connection, session)
            export = database.export(connection, session)
            export["info"]["changeKey"] = key
            yield number, msgspec.json.encode(export)
            if left <= 0:
                return


def _has_session(path: Path, session: str) -> bool:
    if not path.is_file():
        return False
    try:
        with database.opened(path) as connection:
            return connection.execute("SELECT 1 FROM session WHERE id = ?", (session,)).fetchone() is not None
    except IngestError:
        return False


def _seen_of(data: bytes) -> dict[str, Seen]:
    try:
        return _seen.decode(data) if data else {}
    except msgspec.MsgspecError:
        return {}
