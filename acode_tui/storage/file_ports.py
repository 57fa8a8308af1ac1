"""The ports of a workspace's database file and of its backups, for work on files that no workspace has open.

Every method blocks; asynchronous callers run it in a thread. ``seconds`` bounds how long a method waits for locks.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from acode_tui.domain.clock import WallClock
from acode_tui.domain.entities import Entity
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.progress import CheckCancelled, ReportProgress, ReportStep
from acode_tui.domain.redaction import Redact, unchanged
from acode_tui.domain.states import EntityType
from acode_tui.storage.conflict_ports import Conflict, ConflictCounts
from acode_tui.storage.delivery_protocol import RejectedRow
from acode_tui.storage.run_ports import RowChecksumReader
from acode_tui.storage.schema_ports import SchemaStatus
from acode_tui.storage.sync_ports import OutboxStats, PullCursor

BackupKind = Literal["manual", "pre_migrate", "pre_restore"]


class Backup(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A backup as its manifest describes it, and the path of its database. ``counts`` are rows by table."""

    name: str
    path: str
    kind: BackupKind
    created_at: str
    schema_version: str | None
    size_bytes: int
    sha256: str
    counts: dict[str, int]
    workspace_id: str | None

    @property
    def database(self) -> Path:
        """The copy of the database."""
        return Path(self.path)

    @property
    def manifest(self) -> Path:
        """The file that describes the copy."""
        return self.database.with_suffix(".json")


class IncompleteBackup(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is named like a backup and cannot be used as one."""

    name: str
    path: str
    reason: str


class Check(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One finding of ``db check``."""

    name: str
    ok: bool
    description: str


class Depth(StrEnum):
    """How thoroughly a file is inspected."""

    HEADER = "header"
    """Whether the file exists and holds anything. Takes no time."""

    CONTENT = "content"
    """Whose file it is, what it counts, and SQLite's quick check. Reads the file once."""

    FULL = "full"
    """Every check of ``db check``. Reads the file several times, and reports the checks alone."""


class FileReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an inspection found. Fields that its depth does not reach are None or empty.

    ``reason`` says why the file is not sound, and is empty where it is. A file that is not sound need not be damaged:
    it may belong to another or a newer program, or be unreadable to this user. ``pending`` counts the records that were
    never sent. ``checks`` are the findings of the full depth.
    """

    exists: bool
    is_damaged: bool = False
    reason: str = ""
    workspace_id: str | None = None
    pending: int | None = None
    sessions: int | None = None
    checks: tuple[Check, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong with the file, as far as the depth went."""
        return self.exists and not self.reason


class FileProbe(msgspec.Struct, frozen=True, kw_only=True):
    """How a file answers right now.

    ``read_ms`` is how long a first read took, in milliseconds. ``damage`` is what is wrong with the file, None where
    there was not time enough to read all of it. ``lock_wait`` is how long a writer waits for the lock, in seconds, or
    why nothing can be written.
    """

    read_ms: float
    damage: tuple[str, ...] | None
    lock_wait: float | AcodeError


class QueueFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The backlog; since when its oldest sendable record waits; when a record was last finished."""

    outbox: OutboxStats
    oldest_due_at: datetime | None = None
    last_finished_at: datetime | None = None


class FileSpace(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of a file with its WAL, and how many of them rows and indexes use."""

    total: int
    used: int


class LocalCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Rows by kind in a workspace file, how many of them were delivered, and the last central number seen here."""

    workspace_id: str
    total: dict[EntityType, int]
    delivered: dict[EntityType, int]
    change_seq: int


class FileInspection(Protocol):
    """Reads of files that leave every byte of them as it is."""

    def inspect(
        self,
        database: Path,
        depth: Depth,
        *,
        seconds: float = 5.0,
        deep: bool = False,
        expect_content: bool = False,
        on_step: ReportStep | None = None,
        check_cancelled: CheckCancelled = ...,
    ) -> FileReport:
        """Inspect a file. Never raises for what is in the file; the full depth raises AcodeError for a missing file
        and for one that cannot be opened for another reason than damage.

        The other parameters are of the full depth: ``deep`` compares every artifact with its hash, and with
        ``expect_content`` an empty file is damage. ``on_step`` receives each check's name before it runs.
        """
        ...

    def require_content(self, database: Path, *, expected: bool) -> None:
        """Raise IntegrityError where content is ``expected`` and the file is empty, or its WAL stands alone.

        Raises DatabaseConnectionError for what is no file.
        """
        ...

    def library_version(self) -> tuple[int, ...]:
        """The version of the database library."""
        ...

    def row_counts(self, database: Path, *, seconds: float) -> dict[str, int]:
        """Rows by table."""
        ...

    def row_checksums(self, database: Path, *, seconds: float, redact: Redact[Any] = unchanged) -> RowChecksumReader:
        """The file's rows, as ``redact`` makes them, in a form that can be compared with another tier's."""
        ...

    def local_counts(self, database: Path, *, seconds: float, without: Sequence[str] = ()) -> LocalCounts:
        """How many rows the file holds and has delivered, those of the sessions ``without`` left out."""
        ...

    def pending_rows(
        self, database: Path, rows: Sequence[tuple[EntityType, str]], *, seconds: float
    ) -> set[tuple[EntityType, str]]:
        """Those of the rows that an unsent record is about."""
        ...

    def kept_aside(self, database: Path, *, seconds: float) -> set[tuple[EntityType, str]]:
        """The rows of the team's database that are kept aside because they are not valid."""
        ...


class FileHealth(Protocol):
    """What the health checks ask of a file. Every method raises AcodeError and takes about ``seconds`` at most."""

    def require_content(self, database: Path, *, expected: bool) -> None: ...

    def library_version(self) -> tuple[int, ...]: ...

    def last_stamp(self, database: Path, *, seconds: float) -> datetime | None:
        """The last stamp that the workspace's clock has issued; None before the first."""
        ...

    def probe(self, database: Path, *, thorough: bool, seconds: float) -> FileProbe:
        """Measure a read and the wait for the write lock; ``thorough`` reads the whole file for damage too."""
        ...

    def schema(self, database: Path, *, seconds: float) -> SchemaStatus:
        """The schema's version and what is pending. Raises SchemaMismatchError where the schema is newer."""
        ...

    def queue(self, database: Path, now: datetime, *, seconds: float) -> QueueFacts:
        """The state of the outbox at ``now``."""
        ...

    def dead_letters(self, database: Path, *, seconds: float) -> int:
        """How many records the server refused for the last time."""
        ...

    def conflicts(self, database: Path, *, seconds: float) -> ConflictCounts:
        """How many conflicts there are, and how many are not reviewed."""
        ...


class FileAccess(Protocol):
    """Who has a file open, and putting another file in its place."""

    def exclusive(self, database: Path, *, seconds: float) -> AbstractContextManager[None]:
        """Have the file alone for the length of the block; the caller has no connection to it open.

        A replacement that was killed halfway is finished first. Raises TransactionError where another process keeps
        the file open for longer than ``seconds``, and DatabaseConnectionError for what is no file.
        """
        ...

    def shared(self, database: Path, *, seconds: float) -> AbstractContextManager[None]:
        """Keep others from replacing the file for the length of the block; makes no file.

        Raises TransactionError where another process has the file alone for longer than ``seconds``.
        """
        ...

    def finish_replacement(self, database: Path, *, seconds: float) -> None:
        """Finish a replacement that was killed halfway. Raises TransactionError as ``shared`` does."""
        ...

    def wal_of(self, database: Path) -> Path:
        """The write-ahead log beside the file."""
        ...

    def require_file(self, database: Path) -> None:
        """Raise DatabaseConnectionError where the path is something else than a file, such as a folder."""
        ...

    def require_unused(self, database: Path) -> None:
        """Raise TransactionError where another process has the workspace open."""
        ...

    def replace(self, database: Path, new: Path, *, keep_as: str | None = None) -> Path | None:
        """Put the closed database ``new`` in the place of ``database``, which the caller has alone.

        The old file stays with the suffix ``keep_as``, and goes without one. Returns where it is now.
        """
        ...

    def remove(self, database: Path) -> None:
        """Remove a closed database and the files beside it."""
        ...

    def size(self, database: Path) -> int:
        """Bytes of the file and its WAL."""
        ...


class BackupStore(Protocol):
    """Backups of workspace files in a folder."""

    def list(self, folder: Path) -> tuple[tuple[Backup, ...], tuple[IncompleteBackup, ...]]:
        """The backups in a folder, newest first, and what only looks like one."""
        ...

    def find(self, folder: Path, name: str) -> Backup | IncompleteBackup:
        """The backup of a name, of a unique beginning of one, or at a path; ``latest`` is the newest.

        Raises NotFoundError, AmbiguousIdError.
        """
        ...

    def copy(
        self,
        database: Path,
        folder: Path,
        *,
        now: datetime,
        suffix: str = "",
        name: str | None = None,
        on_progress: ReportProgress | None = None,
        check_cancelled: CheckCancelled = ...,
    ) -> Backup:
        """Copy a file that others may be writing to. Progress is in pages. Raises AcodeError, and leaves nothing then.

        Without a ``name`` it is made of the time and the suffix; one that is taken is refused.
        The caller has the file ``shared`` or ``exclusive``.
        """
        ...

    def verify(
        self,
        backup: Backup | IncompleteBackup,
        *,
        deep: bool = False,
        on_progress: ReportProgress | None = None,
        check_cancelled: CheckCancelled = ...,
    ) -> tuple[Check, ...]:
        """Check manifest, size, hash, integrity and schema. Progress is in bytes."""
        ...

    def verify_copy(self, database: Path, *, check_cancelled: CheckCancelled = ...) -> tuple[Check, ...]:
        """Check integrity and schema of a copied file that is not in use."""
        ...

    def delete(self, backup: Backup) -> None:
        """Delete a backup; the caller has its folder ``alone_in``. Raises OSError."""
        ...

    def alone_in(self, folder: Path, *, check_cancelled: CheckCancelled = ...) -> AbstractContextManager[None]:
        """Be the only one that changes a folder of backups. Raises TransactionError."""
        ...


class FileVacuum(Protocol):
    """Giving back the space that a file no longer uses."""

    def measure(
        self, database: Path, *, seconds: float, check_cancelled: CheckCancelled, expect_content: bool
    ) -> FileSpace:
        """How much space a file uses. Raises AcodeError, SchemaMismatchError for another or a newer program's file."""
        ...

    def vacuum(
        self,
        database: Path,
        *,
        seconds: float,
        on_step: ReportStep,
        check_cancelled: CheckCancelled,
        expect_content: bool,
    ) -> FileSpace:
        """Rewrite a file and its search indexes; returns the space before.

        Raises AcodeError, and changes nothing then.
        """
        ...

    def size(self, database: Path) -> int: ...


class FileRebuild(Protocol):
    """A workspace file that is being built from the team's rows; ends with ``finish`` or ``abandon``."""

    @property
    def checksums(self) -> RowChecksumReader:
        """The rows written so far, in a form that can be compared with the team's."""
        ...

    async def cursor(self) -> PullCursor | None:
        """How far the rows are pulled; None at the beginning."""
        ...

    async def adopt(
        self, pulled: Sequence[Entity], rejected: Sequence[RejectedRow] = (), cursor: PullCursor | None = None
    ) -> int:
        """Write rows, and the cursor after them, in one transaction; returns how many rows were new.

        ``rejected`` rows are kept aside, and with them those without a parent.
        """
        ...

    async def kept_aside(self) -> set[tuple[str, str]]:
        """The rows that are kept aside, by table and id."""
        ...

    async def adopt_conflicts(self, found: Sequence[Conflict]) -> None:
        """Write conflicts that were settled before."""
        ...

    async def counts(self) -> dict[str, int]:
        """Rows by table."""
        ...

    async def finish(self, *, synced_at: str) -> None:
        """Check and close the file. Raises IntegrityError where it is not sound."""
        ...

    async def abandon(self) -> None:
        """Close the file as it is; a later rebuild may continue it."""
        ...


class FileRebuilding(Protocol):
    """Where rebuilds begin."""

    async def open_rebuild(self, path: Path, *, workspace_id: str, lock_folder: Path, wall: WallClock) -> FileRebuild:
        """A new rebuild, or one that was begun for the same workspace; any other file at the path is removed."""
        ...

    def remove(self, database: Path) -> None: ...


class DatabaseFiles(FileInspection, FileHealth, FileAccess, FileVacuum, FileRebuilding, Protocol):
    """Everything that maintenance does with workspace files. The narrower ports name what one operation needs."""
