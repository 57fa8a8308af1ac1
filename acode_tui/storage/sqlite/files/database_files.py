"""``DatabaseFiles`` over SQLite."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from acode_tui.domain.clock import WallClock
from acode_tui.domain.redaction import Redact, unchanged
from acode_tui.domain.states import EntityType
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.ports import (
    ConflictCounts,
    FileProbe,
    LocalCounts,
    QueueFacts,
    RowChecksumReader,
    SchemaStatus,
)
from acode_tui.storage.sqlite import errors, paths
from acode_tui.storage.sqlite.files import facts, inspect, locks, rebuild, replace, vacuum
from acode_tui.storage.sqlite.files.open_unchanged import UnchangedFileReads, read_unchanged
from acode_tui.storage.sqlite.runs.checksums import SqliteRowChecksums
from acode_tui.storage.sqlite.sync.adopt import pending_among
from acode_tui.storage.sqlite.sync.retention import read_local_counts


class SqliteDatabaseFiles:
    """See ``DatabaseFiles``, and the functions of this folder that it is made of."""

    inspect = staticmethod(inspect.inspect)
    require_content = staticmethod(errors.require_content)
    require_file = staticmethod(errors.require_file)
    replace = staticmethod(replace.replace)
    remove = staticmethod(paths.remove_database)
    size = staticmethod(paths.size_with_wal)
    wal_of = staticmethod(paths.wal_of)
    measure = staticmethod(vacuum.measure)
    vacuum = staticmethod(vacuum.vacuum)

    def library_version(self) -> tuple[int, ...]:
        return inspect.library_version()

    def row_counts(self, database: Path, *, seconds: float) -> dict[str, int]:
        return read_unchanged(database, facts.read_row_counts, seconds=seconds)

    def row_checksums(self, database: Path, *, seconds: float, redact: Redact[Any] = unchanged) -> RowChecksumReader:
        return SqliteRowChecksums(UnchangedFileReads(database, seconds=seconds), redact=redact)

    def local_counts(self, database: Path, *, seconds: float, without: Sequence[str] = ()) -> LocalCounts:
        return read_unchanged(
            database, lambda connection: read_local_counts(connection, without=without), seconds=seconds
        )

    def pending_rows(
        self, database: Path, rows: Sequence[tuple[EntityType, str]], *, seconds: float
    ) -> set[tuple[EntityType, str]]:
        return read_unchanged(database, lambda connection: pending_among(connection, rows), seconds=seconds)

    def kept_aside(self, database: Path, *, seconds: float) -> set[tuple[EntityType, str]]:
        keys = read_unchanged(database, facts.read_kept_aside, seconds=seconds)
        return {(key.kind, key.id) for key in keys}

    def last_stamp(self, database: Path, *, seconds: float) -> datetime | None:
        return read_unchanged(database, facts.read_last_stamp, seconds=seconds)

    def probe(self, database: Path, *, thorough: bool, seconds: float) -> FileProbe:
        return inspect.probe(database, thorough=thorough, seconds=seconds)

    def schema(self, database: Path, *, seconds: float) -> SchemaStatus:
        known = packaged("sqlite")
        return read_unchanged(database, lambda connection: facts.read_schema_status(connection, known), seconds=seconds)

    def queue(self, database: Path, now: datetime, *, seconds: float) -> QueueFacts:
        return read_unchanged(database, lambda connection: facts.read_queue(connection, now), seconds=seconds)

    def dead_letters(self, database: Path, *, seconds: float) -> int:
        return read_unchanged(database, facts.read_dead_letters, seconds=seconds)

    def conflicts(self, database: Path, *, seconds: float) -> ConflictCounts:
        return read_unchanged(database, facts.read_conflict_counts, seconds=seconds)

    @contextmanager
    def exclusive(self, database: Path, *, seconds: float) -> Iterator[None]:
        with locks.exclusive(database, timeout_seconds=seconds):
            yield

    @contextmanager
    def shared(self, database: Path, *, seconds: float) -> Iterator[None]:
        with closing(locks.share_if_known(database, timeout_seconds=seconds)):
            yield

    def finish_replacement(self, database: Path, *, seconds: float) -> None:
        locks.finish_replacement(database, timeout_seconds=seconds)

    def require_unused(self, database: Path) -> None:
        if locks.holders(database):
            raise locks.in_use(database)

    async def open_rebuild(
        self, path: Path, *, workspace_id: str, lock_folder: Path, wall: WallClock
    ) -> rebuild.SqliteFileRebuild:
        return await rebuild.open_rebuild(path, workspace_id=workspace_id, lock_folder=lock_folder, wall=wall)
