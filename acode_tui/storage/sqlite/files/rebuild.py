"""A workspace file that is rebuilt beside the real one, from rows that the team's database has.

It is what a first pull would make of an empty file: remote versions, an empty outbox, the cursor where the pull ended.
Each page moves the cursor in its own transaction, so a rebuild that was killed can be continued or removed whole.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from acode_tui.domain.clock import MonotonicClock, WallClock
from acode_tui.domain.entities import Entity
from acode_tui.domain.errors import AcodeError, IntegrityError
from acode_tui.domain.schema import TABLES
from acode_tui.storage.delivery_protocol import RejectedRow
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.ports import Conflict, PullCursor
from acode_tui.storage.sqlite import meta
from acode_tui.storage.sqlite.checkpoints import Checkpoints
from acode_tui.storage.sqlite.connection import FunctionConnection, SqliteConnectionFactory, page_bytes, prepare_file
from acode_tui.storage.sqlite.errors import translated
from acode_tui.storage.sqlite.files.facts import read_row_counts
from acode_tui.storage.sqlite.meta import read_pull_cursor, store_pull_cursor
from acode_tui.storage.sqlite.migrate import migrate, plan
from acode_tui.storage.sqlite.paths import remove_database
from acode_tui.storage.sqlite.readers import Readers
from acode_tui.storage.sqlite.runs.checksums import SqliteRowChecksums
from acode_tui.storage.sqlite.sync import quarantine
from acode_tui.storage.sqlite.sync.adopt import adopt_pulled
from acode_tui.storage.sqlite.sync.conflicts import insert_conflict
from acode_tui.storage.sqlite.writer import Writer

_TIMEOUT_SECONDS = 600.0
"""No other process waits for this file, so a page may take long."""
_WAL_BYTES = 64 * 1024 * 1024


class SqliteFileRebuild:
    """An open rebuild. Made by ``open_rebuild``; ends with ``finish`` or ``abandon``."""

    def __init__(self, path: Path, connection: FunctionConnection, writer: Writer, wall: WallClock) -> None:
        self._wall = wall
        self.path = path
        self.readers = Readers(SqliteConnectionFactory(path, timeout_seconds=_TIMEOUT_SECONDS))
        self._connection = connection
        self._writer = writer

    @property
    def checksums(self) -> SqliteRowChecksums:
        """The rows written so far, in a form that can be compared with the team's."""
        return SqliteRowChecksums(self.readers)

    async def cursor(self) -> PullCursor | None:
        """How far the rows are pulled; None at the beginning."""
        return await self._writer.run(read_pull_cursor)

    async def adopt(
        self, pulled: Sequence[Entity], rejected: Sequence[RejectedRow] = (), cursor: PullCursor | None = None
    ) -> int:
        """Write rows, and the cursor after them, in one transaction; returns how many rows were new.

        ``rejected`` rows are kept aside, and with them those without a parent.
        """

        def unit(connection: sqlite3.Connection) -> int:
            written = adopt_pulled(connection, self._writer.clock, pulled, rejected, now=self._wall())
            if cursor is not None:
                store_pull_cursor(connection, cursor)
            return written

        return await self._writer.run(unit)

    async def kept_aside(self) -> set[tuple[str, str]]:
        """The rows that are kept aside, by table and id."""
        keys = await self.readers.run(lambda connection: quarantine.after(connection, None, limit=-1))
        return {(TABLES[key.kind].name, key.id) for key in keys}

    async def adopt_conflicts(self, found: Sequence[Conflict]) -> None:
        """Write conflicts that were settled before."""

        def unit(connection: sqlite3.Connection) -> None:
            for conflict in found:
                insert_conflict(connection, conflict)

        await self._writer.run(unit)

    async def counts(self) -> dict[str, int]:
        """Rows by table."""
        return await self.readers.run(read_row_counts)

    async def finish(self, *, synced_at: str) -> None:
        """Check and close the file, so that it is one whole file. Raises IntegrityError if it is not sound."""
        await self._writer.run(lambda connection: meta.store(connection, meta.LAST_SYNC, synced_at))
        await self.readers.close()
        await self._connection.run(_check_and_fold)
        await self._writer.close()

    async def abandon(self) -> None:
        """Close the file as it is; a later rebuild may continue it."""
        await self.readers.close()
        await self._writer.close()


async def open_rebuild(path: Path, *, workspace_id: str, lock_folder: Path, wall: WallClock) -> SqliteFileRebuild:
    """A new rebuild, or one that was begun for the same workspace; one that cannot be continued is removed first."""
    if await asyncio.to_thread(path.exists):
        try:
            begun = await _open(path, workspace_id, lock_folder, wall)
        except AcodeError:
            begun = None
        if begun is not None:
            return begun
        await asyncio.to_thread(remove_database, path)
    made = await _open(path, workspace_id, lock_folder, wall)
    assert made is not None
    return made


async def _open(path: Path, workspace_id: str, lock_folder: Path, wall: WallClock) -> SqliteFileRebuild | None:
    known = packaged("sqlite")
    await asyncio.to_thread(prepare_file, path)
    with translated(f"cannot open {path}", at_open=True):
        connections = SqliteConnectionFactory(path, timeout_seconds=_TIMEOUT_SECONDS)
        connection = await connections.open_writer(check=lambda connection: plan(connection, known))
    writer = Writer(
        connection, MonotonicClock(wall), Checkpoints(SqliteConnectionFactory(path)), timeout_seconds=_TIMEOUT_SECONDS
    )
    try:
        with translated(f"cannot write {path}"):
            await connection.run(_relax_durability)
            await connection.run(
                lambda raw: migrate(raw, known, lock_path=lock_folder / "migrate.lock", backup=None, wall=wall)
            )
        if await writer.run(lambda raw: _claim(raw, workspace_id)):
            return SqliteFileRebuild(path, connection, writer, wall)
    except BaseException:
        await writer.close()
        raise
    await writer.close()
    return None


def _relax_durability(connection: sqlite3.Connection) -> None:
    """Let commits reach the disk late: only the whole file counts, and it is synced before it is used."""
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_BYTES // page_bytes(connection)}")
    connection.execute("PRAGMA cache_size = -65536")


def _claim(connection: sqlite3.Connection, workspace_id: str) -> bool:
    """Whether the file is this workspace's; a new one becomes so."""
    known = meta.read(connection, meta.WORKSPACE_ID)
    if known is None:
        meta.store(connection, meta.WORKSPACE_ID, workspace_id)
    return known in (None, workspace_id)


def _check_and_fold(connection: sqlite3.Connection) -> None:
    with translated("the recovered database cannot be completed"):
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise IntegrityError(f"the recovered database is not sound: {found}", hint="check the disk, then try again")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
