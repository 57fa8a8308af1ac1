"""``DatabaseFiles`` over SQLite."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from acode_tui.domain.clock import WallClock
from acode_tui.domain.progress import CheckCancelled, ReportStep, never_cancelled
from acode_tui.domain.states import EntityType
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.ports import (
    ConflictCounts,
    Depth,
    FileProbe,
    FileReport,
    FileSpace,
    LocalCounts,
    QueueFacts,
    RowChecksumReader,
    SchemaStatus,
)
from acode_tui.storage.sqlite import errors
from acode_tui.storage.sqlite.files import facts, inspect, locks, paths, rebuild, vacuum
from acode_tui.storage.sqlite.files import replace as replacement
from acode_tui.storage.sqlite.files.open_unchanged import UnchangedFileReads, read_unchanged
from acode_tui.storage.sqlite.runs.checksums import SqliteRowChecksums
from acode_tui.storage.sqlite.sync.adopt import pending_among
from acode_tui.storage.sqlite.sync.retention import read_local_counts


class SqliteDatabaseFiles:
    """See ``DatabaseFiles``, and the functions of this folder."""

    def inspect(
        self,
        database: Path,
        depth: Depth,
        *,
        seconds: float = 5.0,
        deep: bool = False,
        expect_content: bool = False,
        on_step: ReportStep | None = None,
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> FileReport:
        return inspect.inspect(
            database,
            depth,
            seconds=seconds,
            deep=deep,
            expect_content=expect_content,
            on_step=on_step,
            check_cancelled=check_cancelled,
        )

    def require_content(self, database: Path, *, expected: bool) -> None:
        errors.require_content(database, expected=expected)

    def library_version(self) -> tuple[int, ...]:
        return inspect.library_version()

    def row_counts(self, database: Path, *, seconds: float) -> dict[str, int]:
        return read_unchanged(database, facts.read_row_counts, seconds=seconds)

    def row_checksums(self, database: Path, *, seconds: float) -> RowChecksumReader:
        return SqliteRowChecksums(UnchangedFileReads(database, seconds=seconds))

    def local_counts(self, database: Path, *, seconds: float) -> LocalCounts:
        return read_unchanged(database, read_local_counts, seconds=seconds)

    def pending_rows(
        self, database: Path, rows: Sequence[tuple[EntityType, str]], *, seconds: float
    ) -> set[tuple[EntityType, str]]:
        return read_unchanged(database, lambda connection: pending_among(connection, rows), seconds=seconds)

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

    def wal_of(self, database: Path) -> Path:
        return paths.wal_of(database)

    def require_file(self, database: Path) -> None:
        errors.require_file(database)

    def require_unused(self, database: Path) -> None:
        if locks.holders(database):
            raise locks.in_use(database)

    def replace(self, database: Path, new: Path, *, keep_as: str | None = None) -> Path | None:
        return replacement.replace(database, new, keep_as=keep_as)

    def remove(self, database: Path) -> None:
        paths.remove_database(database)

    def size(self, database: Path) -> int:
        return paths.size_with_wal(database)

    def measure(
        self, database: Path, *, seconds: float, check_cancelled: CheckCancelled, expect_content: bool
    ) -> FileSpace:
        return vacuum.measure(database, seconds=seconds, check_cancelled=check_cancelled, expect_content=expect_content)

    def vacuum(
        self,
        database: Path,
        *,
        seconds: float,
        on_step: ReportStep,
        check_cancelled: Callable[[], None],
        expect_content: bool,
    ) -> FileSpace:
        return vacuum.vacuum(
            database,
            seconds=seconds,
            on_step=on_step,
            check_cancelled=check_cancelled,
            expect_content=expect_content,
        )

    async def open_rebuild(
        self, path: Path, *, workspace_id: str, lock_folder: Path, wall: WallClock
    ) -> rebuild.SqliteFileRebuild:
        return await rebuild.open_rebuild(path, workspace_id=workspace_id, lock_folder=lock_folder, wall=wall)
