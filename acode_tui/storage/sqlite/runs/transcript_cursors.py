"""Which transcripts were read, and how far: stored in the transaction that stores the runs read from them."""

import sqlite3
from collections.abc import Sequence
from itertools import islice

import msgspec

from acode_tui.domain.clock import format_time, parse_time
from acode_tui.domain.entities import DELETED, TRANSCRIPT
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.ports import SaveResult, TranscriptFile
from acode_tui.storage.sqlite.readers import Readers
from acode_tui.storage.sqlite.runs.prepare import PreparedRun, prepare_run
from acode_tui.storage.sqlite.runs.save_graph import save_runs
from acode_tui.storage.sqlite.writer import Writer

_COLUMNS = ", ".join(TranscriptFile.__struct_fields__)
# The last column, which is not read here, may be larger than all others together.
_KNOWN = f"SELECT {_COLUMNS.removesuffix('resume')} x'' FROM ingest_files"  # noqa: S608
_KNOWN_OF = f"{_KNOWN} WHERE path IN (SELECT value FROM json_each(?))"  # noqa: S608
_RESUMES = "SELECT path, resume FROM ingest_files WHERE path IN (SELECT value FROM json_each(?)) AND resume <> x''"
_STORED = [
    f"SELECT id FROM {TABLES[kind].name} WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608
    for kind in (EntityType.SESSION, EntityType.SESSION_TASK, EntityType.STEP, EntityType.TOOL_CALL)
]
_WITHOUT_TRANSCRIPT = """
SELECT id FROM sessions
WHERE json_extract(metadata, '$.' || ?) = ? AND id IN (SELECT value FROM json_each(?))
"""
_SAVE = f"""
INSERT INTO ingest_files ({_COLUMNS}) VALUES ({", ".join("?" for _ in TranscriptFile.__struct_fields__)})
ON CONFLICT (path) DO UPDATE SET
{", ".join(f"{name} = excluded.{name}" for name in TranscriptFile.__struct_fields__ if name != "path")}
"""  # noqa: S608


class SqliteTranscriptLog:
    """``TranscriptLog`` over the workspace file. The importers' runs are not validated: they are made valid."""

    prepare = staticmethod(prepare_run)

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def known(self, paths: Sequence[str] | None = None) -> dict[str, TranscriptFile]:
        """Every file read so far, or those of ``paths``, by path."""

        def read(connection: sqlite3.Connection) -> dict[str, TranscriptFile]:
            if paths is None:
                return {row[0]: _file(row) for row in connection.execute(_KNOWN)}
            given = (msgspec.json.encode(paths).decode(),)
            return {row[0]: _file(row) for row in connection.execute(_KNOWN_OF, given)}

        return await self._readers.run(read)

    async def resumes(self, paths: Sequence[str]) -> dict[str, bytes]:
        """``resume`` of the given files that have one, by path."""

        def read(connection: sqlite3.Connection) -> dict[str, bytes]:
            return dict(connection.execute(_RESUMES, (msgspec.json.encode(paths).decode(),)))

        return await self._readers.run(read)

    async def stored(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that are the id of a stored session, task, step or tool call."""

        def read(connection: sqlite3.Connection) -> set[str]:
            given = (msgspec.json.encode(ids).decode(),)
            return {found for sql in _STORED for (found,) in connection.execute(sql, given)}

        return await self._readers.run(read)

    async def without_transcript(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that are of a stored session of whose transcript its prompts alone are left."""

        def read(connection: sqlite3.Connection) -> set[str]:
            given = (TRANSCRIPT, DELETED, msgspec.json.encode(ids).decode())
            return {found for (found,) in connection.execute(_WITHOUT_TRANSCRIPT, given)}

        return await self._readers.run(read)

    async def save_many(self, items: Sequence[tuple[TranscriptFile, Sequence[PreparedRun]]]) -> tuple[SaveResult, ...]:
        """Several files in one transaction: all of them, or none."""

        def unit(connection: sqlite3.Connection) -> tuple[SaveResult, ...]:
            saved = iter(save_runs(connection, [run for _, runs in items for run in runs], self._writer.clock))
            connection.executemany(_SAVE, [_row(file) for file, _ in items])
            return tuple(_sum(list(islice(saved, len(runs)))) for _, runs in items)

        return await self._writer.run(unit)


def _sum(results: Sequence[SaveResult]) -> SaveResult:
    if len(results) == 1:
        return results[0]
    total = SaveResult(inserted={}, updated={})
    for result in results:
        for mine, more in ((total.inserted, result.inserted), (total.updated, result.updated)):
            for kind, count in more.items():
                mine[kind] = mine.get(kind, 0) + count
    return msgspec.structs.replace(total, unchanged=sum(result.unchanged for result in results))


def _row(file: TranscriptFile) -> list[object]:
    values = msgspec.structs.asdict(file)
    values["session_ids"] = msgspec.json.encode(file.session_ids).decode()
    values["imported_at"] = format_time(file.imported_at)
    return list(values.values())


def _file(row: Sequence[object]) -> TranscriptFile:
    values = dict(zip(TranscriptFile.__struct_fields__, row, strict=True))
    values["session_ids"] = msgspec.json.decode(str(values["session_ids"]), type=tuple[str, ...])
    values["imported_at"] = parse_time(str(values["imported_at"]))
    return TranscriptFile(**values)  # type: ignore[arg-type]
