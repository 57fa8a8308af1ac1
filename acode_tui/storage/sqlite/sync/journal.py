"""The lease, the pull cursor, the sync log and the worker's status in the workspace file, each as one unit or one read.

Every write is quiet: it does not count as a local commit, so the worker does not wake itself.
"""

import os
import socket
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from acode_tui.domain.clock import WallClock, format_time, parse_time, system_clock
from acode_tui.domain.entities import Entity
from acode_tui.domain.errors import SyncError
from acode_tui.domain.redaction import Redact, unchanged
from acode_tui.storage.delivery_protocol import RejectedRow, RowKey
from acode_tui.storage.ports import Lease, LogEntry, PullCursor, SyncSnapshot, WorkerStatus
from acode_tui.storage.sqlite import meta
from acode_tui.storage.sqlite.readers import Readers
from acode_tui.storage.sqlite.sync import adopt, conflicts, lease, quarantine, records
from acode_tui.storage.sqlite.writer import Writer

LOG_KEPT = 1_000

_LOG_COLUMNS = "at, event, state, message, synced, duplicates, superseded, conflicts, failed, pulled, duration_ms"
_LOG = f"INSERT INTO sync_log ({_LOG_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_TAIL = f"SELECT {_LOG_COLUMNS} FROM sync_log ORDER BY id DESC LIMIT ?"  # noqa: S608
_TRIM = "DELETE FROM sync_log WHERE id <= (SELECT max(id) FROM sync_log) - ?"
_WORKER_STATUS = "sync_shown"
"""The key in ``workspace_meta`` of the status that came with the last heartbeat."""


class SqliteSyncJournal:
    """``SyncJournal`` over the workspace file."""

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        *,
        workspace_id: str,
        wall: WallClock = system_clock,
        redact: Redact[Any] = unchanged,
    ) -> None:
        """``redact`` makes the form of a row that goes to the team."""
        self._redact = redact
        self.workspace_id = workspace_id
        self.host = socket.gethostname()
        self._writer = writer
        self._readers = readers
        self._wall = wall

    # Lease

    async def acquire_lease(self, token: str, *, mode: str, status: WorkerStatus) -> Lease | None:
        """Take or renew the lease; None on success, else the live lease of another worker."""

        def unit(connection: sqlite3.Connection) -> Lease | None:
            other = lease.acquire(
                connection,
                token=token,
                host=self.host,
                pid=os.getpid(),
                mode=mode,
                state=status.state,
                now=self._wall(),
            )
            if other is None:
                _store_status(connection, status)
            return other

        return await self._writer.run(unit, quiet=True)

    async def renew_lease(self, token: str, status: WorkerStatus) -> None:
        """A heartbeat, with the worker's status. Raises LeaseLostError."""

        def unit(connection: sqlite3.Connection) -> None:
            lease.renew(connection, token=token, state=status.state, now=self._wall())
            _store_status(connection, status)

        await self._writer.run(unit, quiet=True)

    async def release_lease(self, token: str, status: WorkerStatus) -> None:
        """Give the lease up, if ``token`` holds it; the time of the last sync is kept."""

        def unit(connection: sqlite3.Connection) -> None:
            if lease.release(connection, token) and status.last_sync_at is not None:
                meta.store(connection, meta.LAST_SYNC, format_time(status.last_sync_at))

        await self._writer.run(unit, quiet=True)

    async def live_lease(self) -> Lease | None:
        """The lease, if its holder may still be at work."""
        found = await self._readers.run(lease.read)
        return found if self.is_live(found) else None

    def is_live(self, found: Lease | None) -> bool:
        """Whether a lease's holder may still be at work."""
        return found is not None and lease.is_live(found, self._wall(), self.host)

    # Pull

    async def pull_cursor(self) -> PullCursor | None:
        """How far this replica pulled; None before its first sync."""
        return await self._readers.run(meta.read_pull_cursor)

    async def set_pull_cursor(self, token: str, cursor: PullCursor) -> None:
        """Begin following a central database, or start over with a new incarnation. Raises LeaseLostError."""

        def unit(connection: sqlite3.Connection) -> None:
            lease.require(connection, token)
            meta.store_pull_cursor(connection, cursor)
            # It belongs to what was followed before.
            meta.forget_last_acknowledged(connection)

        await self._writer.run(unit, quiet=True)

    async def adopt(
        self,
        token: str,
        pulled: Sequence[Entity],
        cursor: PullCursor | None,
        rejected: Sequence[RejectedRow] = (),
        gone: Sequence[RowKey] = (),
    ) -> int:
        """Write pulled rows and move the cursor, in one transaction; returns how many rows were new or newer."""

        def unit(connection: sqlite3.Connection) -> int:
            lease.require(connection, token)
            written = adopt.adopt_pulled(
                connection, self._writer.clock, pulled, rejected, now=self._wall(), redact=self._redact
            )
            quarantine.remove(connection, gone)
            if cursor is not None:
                meta.store_pull_cursor(connection, cursor)
            return written

        # Rows that came from elsewhere are no local commits to push, but the dashboard sees them by data_version.
        return await self._writer.run(unit, quiet=True)

    async def read_again(self, *, limit: int) -> list[RowKey]:
        """Rows that are kept aside and worth reading again: their parent is here, or their stamp is not ahead."""
        return await self._readers.run(lambda connection: quarantine.due(connection, now=self._wall(), limit=limit))

    async def kept_aside(self, after: RowKey | None, *, limit: int) -> list[RowKey]:
        """All rows that are kept aside, page by page."""
        return await self._readers.run(lambda connection: quarantine.after(connection, after, limit=limit))

    # Status and log

    async def snapshot(self) -> SyncSnapshot:
        """The workspace's side of the status, from one read transaction."""

        def read(connection: sqlite3.Connection) -> SyncSnapshot:
            last = meta.read(connection, meta.LAST_SYNC)
            stamp = meta.read(connection, meta.CLOCK)
            worker = meta.read(connection, _WORKER_STATUS)
            return SyncSnapshot(
                outbox=records.read_stats(connection),
                conflicts=conflicts.read_counts(connection),
                lease=lease.read(connection),
                last_sync_at=None if last is None else parse_time(last),
                duplicates=meta.read_duplicates(connection),
                last_stamp=None if stamp is None else parse_time(stamp),
                worker=None if worker is None else msgspec.json.decode(worker, type=WorkerStatus),
            )

        return await self._readers.run(read)

    async def last_acknowledged(self) -> tuple[str, str] | None:
        """Session id and key of the record that was acknowledged last; None if there is none."""
        return await self._readers.run(meta.read_last_acknowledged)

    async def append_log(self, entry: LogEntry, *, synced_at: datetime | None = None) -> None:
        """Add a row to the sync log, drop the oldest; ``synced_at`` is kept as the time of the last sync."""

        def unit(connection: sqlite3.Connection) -> None:
            row = [getattr(entry, name) for name in LogEntry.__struct_fields__]
            connection.execute(_LOG, (format_time(entry.at), *row[1:]))
            connection.execute(_TRIM, (LOG_KEPT,))
            if synced_at is not None:
                meta.store(connection, meta.LAST_SYNC, format_time(synced_at))

        await self._writer.run(unit, quiet=True)

    async def log_tail(self, limit: int) -> tuple[LogEntry, ...]:
        """The newest rows of the sync log, newest first. Raises SyncError for a negative limit."""
        if limit < 0:
            raise SyncError("the log's length cannot be negative", hint="give a number from 0")

        def read(connection: sqlite3.Connection) -> tuple[LogEntry, ...]:
            found = []
            for row in connection.execute(_TAIL, (limit,)):
                values = dict(zip(LogEntry.__struct_fields__, row, strict=True))
                found.append(LogEntry(**{**values, "at": parse_time(row[0])}))
            return tuple(found)

        return await self._readers.run(read)


def _store_status(connection: sqlite3.Connection, status: WorkerStatus) -> None:
    meta.store(connection, _WORKER_STATUS, msgspec.json.encode(status).decode())
