"""What the sync worker asks of the workspace file, each as one unit or one read.

Its own writes are quiet: they do not count as local commits, so the worker does not wake itself.
"""

import os
import socket
import sqlite3
from collections.abc import Sequence
from datetime import datetime

import msgspec

from acode_tui.domain.clock import WallClock, format_time, parse_time, system_clock
from acode_tui.domain.entities import Entity
from acode_tui.domain.errors import SyncError
from acode_tui.storage.delivery_protocol import ApplyReply
from acode_tui.storage.ports import ConflictCounts, OutboxStats
from acode_tui.storage.sqlite import meta
from acode_tui.storage.sqlite.meta import Mark, read_mark, store_mark
from acode_tui.storage.sqlite.readers import Readers
from acode_tui.storage.sqlite.sync import adopt as adoption
from acode_tui.storage.sqlite.sync import claim as delivery
from acode_tui.storage.sqlite.sync import conflicts, lease, outbox
from acode_tui.storage.sqlite.sync import retention as upkeep
from acode_tui.storage.sqlite.sync.claim import ClaimedRecord, SameContent
from acode_tui.storage.sqlite.sync.lease import Lease
from acode_tui.storage.sqlite.sync.outbox import RetryPolicy
from acode_tui.storage.sqlite.sync.retention import Expired
from acode_tui.storage.sqlite.writer import Writer

DUPLICATES = "sync_duplicates"
SHOWN = "sync_shown"
LOG_KEPT = 1_000

_LOG = """
INSERT INTO sync_log (at, event, state, message, synced, duplicates, superseded, conflicts, failed, pulled, duration_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_LOG_COLUMNS = "at, event, state, message, synced, duplicates, superseded, conflicts, failed, pulled, duration_ms"
_TAIL = f"SELECT {_LOG_COLUMNS} FROM sync_log ORDER BY id DESC LIMIT ?"  # noqa: S608
_TRIM = "DELETE FROM sync_log WHERE id <= (SELECT max(id) FROM sync_log) - ?"


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What the lease's holder lets other processes see of it, stored with each heartbeat."""

    state: str
    reason: str = ""
    hint: str = ""
    rate: float = 0.0
    last_sync_at: datetime | None = None
    next_attempt_at: datetime | None = None
    schema_version: str | None = None
    target_schema_version: str | None = None
    latency_ms: float | None = None
    clock_offset_ms: float | None = None


class LogEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A row of the sync log: a drain that did something, or a change of state."""

    at: datetime
    event: str
    state: str
    message: str = ""
    synced: int = 0
    duplicates: int = 0
    superseded: int = 0
    conflicts: int = 0
    failed: int = 0
    pulled: int = 0
    duration_ms: int = 0


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a status line needs of the workspace file, from one snapshot."""

    outbox: OutboxStats
    conflicts: ConflictCounts
    lease: Lease | None
    last_sync_at: datetime | None
    duplicates: int
    shown: Shown | None


class SyncJournal:
    """The workspace file as the sync worker sees it."""

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        *,
        workspace_id: str,
        retry: RetryPolicy,
        same_content: SameContent,
        wall: WallClock = system_clock,
    ) -> None:
        self.workspace_id = workspace_id
        self.host = socket.gethostname()
        self._writer = writer
        self._readers = readers
        self._retry = retry
        self._same_content = same_content
        self._wall = wall

    def configure(self, retry: RetryPolicy) -> None:
        """Take over changed settings."""
        self._retry = retry

    # Delivery

    async def claim(
        self, *, max_records: int, max_bytes: int, beside: Sequence[ClaimedRecord] = ()
    ) -> tuple[ClaimedRecord, ...]:
        """The next batch, or the one after ``beside``; empty when nothing is due. Writes nothing."""
        now = format_time(self._wall())
        return await self._readers.run(
            lambda connection: delivery.claim(
                connection, now=now, max_records=max_records, max_bytes=max_bytes, beside=beside
            )
        )

    async def has_due(self) -> bool:
        """Whether ``claim`` would find anything."""
        now = format_time(self._wall())
        return await self._readers.run(lambda connection: delivery.has_due(connection, now=now))

    async def acknowledge(self, token: str, claimed: Sequence[ClaimedRecord], reply: ApplyReply) -> int:
        """Write what became of a batch; answers how many conflicts are new. Raises LeaseLostError."""

        def unit(connection: sqlite3.Connection) -> int:
            lease.require(connection, token)
            now = format_time(self._wall())
            new = delivery.acknowledge(
                connection, self._writer.clock, claimed, reply.results, now=now, same_content=self._same_content
            )
            mark = read_mark(connection)
            if mark is not None and reply.change_seq == mark.change_seq + 1:
                # Nobody else wrote in between: there is nothing to pull.
                store_mark(connection, msgspec.structs.replace(mark, change_seq=reply.change_seq))
            again = sum(result.outcome == "duplicate" for result in reply.results)
            if again:
                known = int(meta.read(connection, DUPLICATES) or 0)
                meta.store(connection, DUPLICATES, str(known + again))
            return new

        return await self._writer.run(unit, quiet=True)

    async def refuse(self, token: str, claimed: ClaimedRecord, error: str, *, dead: bool) -> bool:
        """Count a refusal; ``dead`` makes it a dead letter at once. Answers whether it is one now."""

        def unit(connection: sqlite3.Connection) -> bool:
            lease.require(connection, token)
            # The oldest record of the row stands where its lane waits; the newer ones wait behind it.
            record_id = claimed.superseded[0].id if claimed.superseded else claimed.row.record_id
            return outbox.fail(connection, record_id, error, self._wall(), self._retry, dead=dead)

        return await self._writer.run(unit, quiet=True)

    # Pull

    async def mark(self) -> Mark | None:
        """Where this replica stands; None before its first sync."""
        return await self._readers.run(read_mark)

    async def set_mark(self, token: str, mark: Mark) -> None:
        """Begin following a central database, or start over with a new one."""

        def unit(connection: sqlite3.Connection) -> None:
            lease.require(connection, token)
            store_mark(connection, mark)

        await self._writer.run(unit, quiet=True)

    async def adopt(self, token: str, pulled: Sequence[Entity], mark: Mark) -> int:
        """Write pulled rows and move the mark, in one transaction; answers how many were news."""

        def unit(connection: sqlite3.Connection) -> int:
            lease.require(connection, token)
            written = adoption.adopt_pulled(connection, self._writer.clock, pulled)
            store_mark(connection, mark)
            return written

        # Rows that came from elsewhere are no local commits to push, but the dashboard sees them by data_version.
        return await self._writer.run(unit, quiet=True)

    # Lease

    async def acquire(self, token: str, *, mode: str, shown: Shown) -> Lease | None:
        """Take or renew the lease; None on success, else the one in the way."""

        def unit(connection: sqlite3.Connection) -> Lease | None:
            rival = lease.acquire(
                connection,
                token=token,
                host=self.host,
                pid=os.getpid(),
                mode=mode,
                state=shown.state,
                now=self._wall(),
            )
            if rival is None:
                _store_shown(connection, shown)
            return rival

        return await self._writer.run(unit, quiet=True)

    async def beat(self, token: str, shown: Shown) -> None:
        """A heartbeat, with what there is to see. Raises LeaseLostError."""

        def unit(connection: sqlite3.Connection) -> None:
            lease.beat(connection, token=token, state=shown.state, now=self._wall())
            _store_shown(connection, shown)

        await self._writer.run(unit, quiet=True)

    async def release(self, token: str, shown: Shown) -> None:
        """Give the lease up, if it is held; the last sync is kept."""

        def unit(connection: sqlite3.Connection) -> None:
            if lease.release(connection, token) and shown.last_sync_at is not None:
                meta.store(connection, meta.LAST_SYNC, format_time(shown.last_sync_at))

        await self._writer.run(unit, quiet=True)

    async def live_lease(self) -> Lease | None:
        """The lease, if its holder may still be at work."""
        standing = await self._readers.run(lease.read)
        return standing if standing is not None and lease.is_live(standing, self._wall(), self.host) else None

    # Upkeep

    async def expired(self, *, before: datetime, after_id: int, limit: int) -> tuple[Expired, ...]:
        """One page of delivered records from before a moment."""
        stamp = format_time(before)
        return await self._readers.run(
            lambda connection: upkeep.expired(connection, before=stamp, after_id=after_id, limit=limit)
        )

    async def delete_records(self, ids: Sequence[int]) -> int:
        """Remove delivered records."""
        return await self._writer.run(lambda connection: upkeep.delete_records(connection, ids), quiet=True)

    async def compact(self, *, after_id: int, limit: int) -> tuple[int, int | None]:
        """Fold one page of pending records; see ``upkeep.compact``."""
        return await self._writer.run(
            lambda connection: upkeep.compact(connection, after_id=after_id, limit=limit), quiet=True
        )

    async def queue_unsent(
        self, *, after: str, limit: int, everything: bool, new_life: bool = False
    ) -> tuple[int, str | None]:
        """Queue one page of sessions; see ``upkeep.queue_unsent``."""
        return await self._writer.run(
            lambda connection: upkeep.queue_unsent(
                connection, self._writer.clock, after=after, limit=limit, everything=everything, new_life=new_life
            ),
            quiet=True,
        )

    # Standing and log

    async def standing(self) -> Standing:
        """The workspace's side of the status, from one snapshot."""

        def read(connection: sqlite3.Connection) -> Standing:
            last = meta.read(connection, meta.LAST_SYNC)
            shown = meta.read(connection, SHOWN)
            return Standing(
                outbox=outbox.read_stats(connection),
                conflicts=conflicts.read_counts(connection),
                lease=lease.read(connection),
                last_sync_at=None if last is None else parse_time(last),
                duplicates=int(meta.read(connection, DUPLICATES) or 0),
                shown=None if shown is None else msgspec.json.decode(shown, type=Shown),
            )

        return await self._readers.run(read)

    async def is_live(self, standing: Lease | None) -> bool:
        """Whether a lease's holder may still be at work."""
        return standing is not None and lease.is_live(standing, self._wall(), self.host)

    async def note(self, entry: LogEntry, *, synced_at: datetime | None = None) -> None:
        """Add a row to the sync log, oldest dropped first; ``synced_at`` is kept as the last sync."""

        def unit(connection: sqlite3.Connection) -> None:
            row = [getattr(entry, name) for name in LogEntry.__struct_fields__]
            connection.execute(_LOG, (format_time(entry.at), *row[1:]))
            connection.execute(_TRIM, (LOG_KEPT,))
            if synced_at is not None:
                meta.store(connection, meta.LAST_SYNC, format_time(synced_at))

        await self._writer.run(unit, quiet=True)

    async def tail(self, limit: int) -> tuple[LogEntry, ...]:
        """The newest rows of the sync log, newest first."""
        if limit < 0:
            raise SyncError("the log's length cannot be negative", hint="give a number from 0")

        def read(connection: sqlite3.Connection) -> tuple[LogEntry, ...]:
            found = []
            for row in connection.execute(_TAIL, (limit,)):
                values = dict(zip(LogEntry.__struct_fields__, row, strict=True))
                found.append(LogEntry(**{**values, "at": parse_time(row[0])}))
            return tuple(found)

        return await self._readers.run(read)


def _store_shown(connection: sqlite3.Connection, shown: Shown) -> None:
    meta.store(connection, SHOWN, msgspec.json.encode(shown).decode())
