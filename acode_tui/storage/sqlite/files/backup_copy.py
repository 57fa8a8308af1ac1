"""A copy of a live database with its manifest, while writers go on: by its bytes, or by SQLite's online backup.

Both files are written under other names and renamed when they are whole, the manifest last.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from time import perf_counter

import msgspec

from acode_tui.domain.clock import format_time
from acode_tui.domain.errors import DatabaseConnectionError, IntegrityError, TransactionError
from acode_tui.domain.progress import CheckCancelled, ReportProgress, never_cancelled, progress_after
from acode_tui.domain.schema import TABLES
from acode_tui.files import PRIVATE_FILE, make_private_folder, require_space, sync_file, sync_path
from acode_tui.storage.migrations.runner import newest, packaged, require_this_build
from acode_tui.storage.ports import Backup
from acode_tui.storage.sqlite import meta
from acode_tui.storage.sqlite.connection import connect_to, page_bytes
from acode_tui.storage.sqlite.errors import opening
from acode_tui.storage.sqlite.files.backup_catalog import (
    FORMAT_VERSION,
    Manifest,
    alone_in,
    free_stem,
    part,
    to_backup,
)
from acode_tui.storage.sqlite.files.backup_verify import file_sha256
from acode_tui.storage.sqlite.files.expected_schema import require_tables
from acode_tui.storage.sqlite.files.facts import has_table
from acode_tui.storage.sqlite.files.frozen_copy import copy_bytes, frozen_descriptor
from acode_tui.storage.sqlite.files.open_unchanged import mode_for_reading
from acode_tui.storage.sqlite.migrate import read_applied
from acode_tui.storage.sqlite.own_schema import require_own
from acode_tui.storage.sqlite.sync.records import claim_waiting

PAGES_A_STEP = 64
"""A quarter of a MiB: between two of these progress is reported and cancellation checked; see ``_Preallocation``."""

_LOCK_SECONDS = 30.0
_BEGIN = "open the dashboard, or `acode-tui import --all`, to begin one"


def back_up_file(
    database: Path,
    folder: Path,
    *,
    now: datetime,
    suffix: str = "",
    name: str | None = None,
    on_progress: ReportProgress | None = None,
    check_cancelled: CheckCancelled = never_cancelled,
) -> Backup:
    """Copy a workspace file that others may be writing to; see ``take_snapshot``. Raises AcodeError.

    A file that lost a table is refused: its copy would displace a backup that has it. So is one of another build, whose
    backup could not be restored, and one with an object that acode-tui did not make.
    The caller shares the file (see ``locks.share``), or has it alone. The file is not changed.
    """
    if not database.exists():
        raise DatabaseConnectionError(f"there is no database at {database}", hint=_BEGIN)
    with (
        opening(database),
        closing(connect_to(database, timeout_seconds=_LOCK_SECONDS, mode=mode_for_reading(database))) as source,
    ):
        source.execute("PRAGMA query_only = ON")
        source.execute("PRAGMA mmap_size = 67108864")
        version = newest(read_applied(source))
        if version is None:
            raise DatabaseConnectionError(f"there is no workspace in {database} yet: it is empty", hint=_BEGIN)
        require_this_build(packaged("sqlite"), read_applied(source))
        require_own(source, packaged("sqlite"), version)
        require_tables(source, f"cannot back up {database}")
        return take_snapshot(
            source,
            folder,
            now=now,
            suffix=suffix,
            name=name,
            schema_version=version,
            on_progress=on_progress,
            check_cancelled=check_cancelled,
        )


def take_snapshot(
    source: sqlite3.Connection,
    folder: Path,
    *,
    now: datetime,
    suffix: str = "",
    name: str | None = None,
    schema_version: str | None = None,
    on_progress: ReportProgress | None = None,
    check_cancelled: CheckCancelled = never_cancelled,
) -> Backup:
    """Copy ``source`` to ``folder/acode_backup_YYYYMMDD_HHMMSS<suffix>.db``, or to ``folder/<name>.db``.

    Raises TransactionError where there is not enough space or the copy fails, and IntegrityError where the source is
    damaged; nothing is left behind then.
    """
    try:
        make_private_folder(folder)
        with alone_in(folder, check_cancelled=check_cancelled), _one_snapshot(source):
            stem = free_stem(folder, now, suffix) if name is None else _require_free(folder, name)
            return _take(source, folder, stem, now, schema_version, on_progress, check_cancelled)
    except OSError as error:
        raise TransactionError(
            f"the backup could not be written to {folder}: {error.strerror or error}",
            hint="nothing was left behind; choose another place with --output or backup.directory",
        ) from error


def _require_free(folder: Path, name: str) -> str:
    """The name, if neither of a backup's files has it. Raises TransactionError."""
    for ending in (".db", ".json"):
        path = folder / f"{name}{ending}"
        if os.path.lexists(path):
            raise TransactionError(f"{path}: is there already", hint="choose another name")
        # What a killed run of this name left: the caller is alone in the folder, so nobody writes it.
        part(path).unlink(missing_ok=True)
    return name


def _take(
    source: sqlite3.Connection,
    folder: Path,
    stem: str,
    now: datetime,
    schema_version: str | None,
    on_progress: ReportProgress | None,
    check_cancelled: CheckCancelled,
) -> Backup:
    require_space(folder, _size(source), purpose="a backup")
    database, manifest = folder / f"{stem}.db", folder / f"{stem}.json"
    try:
        _create(part(database))
        try:
            _copy(source, part(database), on_progress, check_cancelled)
            with ThreadPoolExecutor(2) as others:
                # These three wait for different parts of the machine.
                synced = others.submit(sync_path, part(database))
                digest = others.submit(file_sha256, part(database), check_cancelled)
                counts = {table.name: _count(source, table.name) for table in TABLES.values()}
                workspace_id = meta.read(source, meta.WORKSPACE_ID) if has_table(source, "workspace_meta") else None
                synced.result()
        except sqlite3.DatabaseError as error:
            raise _copy_error(error) from error
        described_by = Manifest(
            name=stem,
            format_version=FORMAT_VERSION,
            created_at=format_time(now),
            schema_version=schema_version,
            size_bytes=part(database).stat().st_size,
            sha256=digest.result(),
            counts={name: count for name, count in counts.items() if count is not None},
            workspace_id=workspace_id,
        )
        _create(part(manifest))
        with part(manifest).open("wb") as file:
            file.write(json.dumps(msgspec.to_builtins(described_by), indent=2).encode() + b"\n")
            sync_file(file)
        part(database).rename(database)
        part(manifest).rename(manifest)
        sync_path(folder)
    except BaseException:
        for each in (part(database), part(manifest)):
            each.unlink(missing_ok=True)
        if not manifest.exists():
            # A copy without its manifest is half a backup.
            database.unlink(missing_ok=True)
        raise
    return to_backup(described_by, database)


@contextmanager
def _one_snapshot(source: sqlite3.Connection) -> Iterator[None]:
    """Hold one read transaction: the copy does not start over at every commit, and the counts fit it."""
    if source.in_transaction:
        yield
        return
    source.execute("BEGIN")
    try:
        yield
    finally:
        if source.in_transaction:
            source.execute("ROLLBACK")


def _size(source: sqlite3.Connection) -> int:
    pages, size = (int(source.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "page_size"))
    return pages * size


def _copy_error(error: sqlite3.DatabaseError) -> IntegrityError | TransactionError:
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return TransactionError(f"the backup could not be written: {error}", hint="free some space and try again")
    return IntegrityError("the database could not be copied: it is damaged")


def _copy(
    source: sqlite3.Connection, path: Path, on_progress: ReportProgress | None, check_cancelled: CheckCancelled
) -> None:
    started = perf_counter()
    page_size, whole = page_bytes(source), int(source.execute("PRAGMA page_count").fetchone()[0])

    def report(done: int, total: int) -> None:
        check_cancelled()
        if on_progress is not None:
            on_progress(progress_after(perf_counter() - started, done, total, "pages"))

    frozen = frozen_descriptor(source)
    if frozen is None:
        _copy_by_pages(source, path, page_size, whole, report)
        return
    try:
        copy_bytes(
            frozen, path, whole * page_size, PAGES_A_STEP * page_size, lambda done: report(done // page_size, whole)
        )
    except EOFError as error:
        raise IntegrityError(f"the database could not be copied: {error}") from error
    with closing(_open_target(path)) as target:
        _finish(target)


def _copy_by_pages(
    source: sqlite3.Connection, path: Path, page_size: int, whole: int, report: Callable[[int, int], object]
) -> None:
    """Copy by SQLite's online backup, which reads the pages of a snapshot from wherever they are."""

    def step(_: int, remaining: int, total: int) -> None:
        report(total - remaining, total)
        room.make(min(total - remaining + PAGES_A_STEP, total))

    with _Preallocation(path, page_size) as room, closing(_open_target(path)) as target:
        # Pages of the same size, else SQLite writes its first page again for each.
        target.execute(f"PRAGMA page_size = {page_size}")
        target.execute("PRAGMA user_version = 1")  # makes the first page, behind which room is made
        room.make(min(PAGES_A_STEP, whole))
        source.backup(target, pages=PAGES_A_STEP, progress=step)
        _finish(target)


def _open_target(path: Path) -> sqlite3.Connection:
    """A connection without journal, lock or sync: the copy is not visible before it is whole and synced."""
    target = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = OFF", "synchronous = OFF", "cache_size = -256"):
            target.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        target.close()
        raise
    return target


def _finish(target: sqlite3.Connection) -> None:
    if has_table(target, "outbox_claims"):
        claim_waiting(target)
    # A backup of a WAL database is one file, readable by anything.
    target.execute("PRAGMA journal_mode = DELETE").fetchall()


class _Preallocation:
    """Extends the file just before SQLite fills it.

    SQLite writes page by page, and letting a file grow by a page at a time costs the kernel more than the copying does:
    it is half as much when a quarter of a MiB, which a core's own cache holds, is written at once and then overwritten.
    """

    def __init__(self, path: Path, page_size: int) -> None:
        self._path = path
        self._page_size = page_size
        self._zeros = bytes(PAGES_A_STEP * page_size)
        self._made = page_size

    def __enter__(self) -> "_Preallocation":
        self._file = os.open(self._path, os.O_WRONLY)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def make(self, pages: int) -> None:
        """Extend the file to so many pages, unless it is as long already."""
        wanted = pages * self._page_size - self._made
        if wanted > 0:
            self._made += os.pwrite(self._file, memoryview(self._zeros)[:wanted], self._made)


def _count(connection: sqlite3.Connection, table: str) -> int | None:
    if not has_table(connection, table):
        return None
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - from TABLES


def _create(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE_FILE))
