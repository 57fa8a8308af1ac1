"""Removal of what is old where Citus distributes the tables by session: the same promises, with other statements.

A block of the ledger is not a place in it there, so ledger rows go by the sessions that they belong to. Statements
cannot join the workspaces, which are distributed by another column, and a group is more than one statement; it is one
transaction all the same, which the nodes commit in two phases.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from time import perf_counter
from uuid import UUID

import asyncpg

from acode_tui.domain.errors import SyncError
from acode_tui.domain.progress import Progress
from acode_tui.storage.group_size import GroupSize
from acode_tui.storage.postgres.connection import ReadPool
from acode_tui.storage.postgres.identifiers import Connection
from acode_tui.storage.postgres.retention_common import (
    CHILDREN,
    COLLISIONS,
    FOLLOWERS,
    SESSIONS,
    TRIES,
    bounded,
    old_session,
)
from acode_tui.storage.server_ports import LedgerPart, PruneBounds

_SESSIONS_AT_ONCE = 20_000
"""Sessions with old ledger rows that are listed at once."""


class _CollisionError(Exception):
    """A batch wrote rows of these sessions at the same time."""


class DistributedRemoval:
    """Removes old rows over a pool of two connections or more; ``name`` is the schema, quoted."""

    def __init__(self, pool: ReadPool, name: str) -> None:
        self._pool = pool
        self._name = name
        # The arrays are the workspaces: ids, heads, and since when what they got may be sent again.
        kept = """EXISTS (SELECT 1 FROM unnest($2::uuid[], $3::bigint[], $4::timestamptz[]) AS w (id, head, since)
            WHERE w.id = i.workspace_id AND (i.change_seq = w.head OR i.applied_at >= w.since))"""
        old = f"FROM {name}.sync_inbox AS i WHERE i.applied_at < $1::timestamptz"
        self._count_ledger = f"""
            SELECT count(*) FILTER (WHERE NOT kept) AS pruned, count(*) FILTER (WHERE kept) AS kept
            FROM (SELECT {kept} AS kept {old}) AS old
        """  # noqa: S608
        self._list_ledger = f"""
            SELECT i.session_id, count(*) AS rows {old} AND NOT {kept} GROUP BY i.session_id LIMIT {_SESSIONS_AT_ONCE}
        """
        self._prune_ledger = f"DELETE {old} AND NOT {kept} AND i.session_id = ANY($5::uuid[])"
        chosen = f"s.id = ANY($1::uuid[]) AND {old_session(name, '$2', '$3')}"
        self._old_sessions = f"SELECT s.id FROM {name}.sessions AS s WHERE {chosen}"  # noqa: S608
        # The condition again: a row that a batch has changed meanwhile is compared as it is now.
        self._prune_sessions = (
            f"DELETE FROM {name}.sessions AS s WHERE {chosen} RETURNING s.id AS session_id, s.workspace_id"  # noqa: S608
        )
        self._note_sessions = (
            f"INSERT INTO {name}.pruned_sessions (session_id, workspace_id) "  # noqa: S608
            "SELECT * FROM unnest($1::uuid[], $2::uuid[]) ON CONFLICT DO NOTHING"
        )

    async def prune_ledger(self, prune_id: str | None, bounds: PruneBounds) -> AsyncIterator[LedgerPart]:
        """Delete old ledger rows, some sessions' in each transaction; only count them without a ``prune_id``."""
        async with self._pool.connection() as connection:
            asked = (bounds.cutoff, *await self._read_workspaces(connection, bounds))
            row = await connection.fetchrow(self._count_ledger, *asked)
            assert row is not None
        total, done = row["pruned"], 0
        if prune_id is None:
            yield LedgerPart(total, row["kept"], Progress(total, total, "ledger rows"))
            return
        yield LedgerPart(0, row["kept"], Progress(0, total, "ledger rows"))
        size = GroupSize(5_000, 500_000)
        while sessions := await self._list_sessions(bounds):
            before = done
            for group in _groups(sessions, size):
                started = perf_counter()
                pruned = await self._prune_group(prune_id, bounds, group)
                size.took(perf_counter() - started)
                done += pruned
                yield LedgerPart(pruned, 0, Progress(done, max(total, done), "ledger rows"))
            if done == before:
                return

    async def _list_sessions(self, bounds: PruneBounds) -> list[tuple[str, int]]:
        async with self._pool.connection() as connection:
            asked = (bounds.cutoff, *await self._read_workspaces(connection, bounds))
            return [(str(row["session_id"]), row["rows"]) for row in await connection.fetch(self._list_ledger, *asked)]

    async def _prune_group(self, prune_id: str, bounds: PruneBounds, session_ids: Sequence[str]) -> int:
        async with self._pool.connection(writes=True) as connection, bounded(connection, everywhere=True):
            workspaces = await self._read_workspaces(connection, bounds)
            done = await connection.execute(self._prune_ledger, bounds.cutoff, *workspaces, list(session_ids))
            pruned = int(done.rsplit(" ", 1)[1])
            await connection.execute(
                f"UPDATE {self._name}.prunes SET ledger_rows = ledger_rows + $1 WHERE id = $2",  # noqa: S608
                pruned,
                prune_id,
            )
        return pruned

    async def _read_workspaces(
        self, connection: Connection, bounds: PruneBounds
    ) -> tuple[list[str], list[int], list[datetime]]:
        """Every workspace's id and head, and since when what it got may be sent again.

        All three only grow, so what is read here keeps too much rather than too little.
        """
        rows = await connection.fetch(
            f"SELECT id, change_seq, last_seen_at FROM {self._name}.workspaces"  # noqa: S608
        )
        absence = await connection.fetchval("SELECT now() - $1::timestamptz", bounds.horizon)
        return (
            [str(row["id"]) for row in rows],
            [row["change_seq"] for row in rows],
            [row["last_seen_at"] - absence for row in rows],
        )

    async def prune_sessions(self, prune_id: str, bounds: PruneBounds, ids: Sequence[str]) -> dict[str, int]:
        """Remove those of the sessions that may still go, with all their rows. Returns the removed rows by table."""
        for _ in range(TRIES):
            try:
                # A batch takes its head's lock before it looks for pruned sessions. The nodes commit one after the
                # other, so another connection holds the locks until all of them have.
                async with self._pool.connection(writes=True) as locking, _group(locking):
                    await self._lock_heads(locking, ids)
                    async with self._pool.connection(writes=True) as connection, _group(connection):
                        return await self._remove(connection, prune_id, bounds, ids)
            except _CollisionError:
                continue
        raise SyncError(
            "laptops wrote rows of the sessions while these were to be removed",
            hint="run the same command again; what was removed before stays removed",
        )

    async def _lock_heads(self, connection: Connection, ids: Sequence[str]) -> None:
        """Lock the heads of all workspaces with rows of the sessions, one at a time: Citus locks within one shard."""
        found: set[UUID] = set()
        for table, column in ((SESSIONS, "id"), ("sync_inbox", "session_id")):
            rows = await connection.fetch(
                f"SELECT DISTINCT workspace_id FROM {self._name}.{table} WHERE {column} = ANY($1::uuid[])",  # noqa: S608
                list(ids),
            )
            found.update(row["workspace_id"] for row in rows)
        for workspace_id in sorted(found):
            await connection.execute(
                f"SELECT 1 FROM {self._name}.workspaces WHERE id = $1 FOR NO KEY UPDATE",  # noqa: S608
                workspace_id,
            )

    async def _remove(
        self, connection: Connection, prune_id: str, bounds: PruneBounds, ids: Sequence[str]
    ) -> dict[str, int]:
        rows = await connection.fetch(self._old_sessions, list(ids), *bounds)
        old = [row["id"] for row in rows]
        removed = Counter[str]()
        noted: set[tuple[UUID, UUID]] = set()
        if old:
            for table in (*reversed(CHILDREN), *FOLLOWERS):
                gone = await connection.fetch(
                    f"DELETE FROM {self._name}.{table} WHERE session_id = ANY($1::uuid[]) "  # noqa: S608
                    "RETURNING session_id, workspace_id",
                    old,
                )
                if table in CHILDREN:
                    removed[table] = len(gone)
                    noted.update((row["session_id"], row["workspace_id"]) for row in gone)
            gone = await connection.fetch(self._prune_sessions, old, *bounds)
            if len(gone) < len(old):
                # A batch that committed on its head's node before this group began is visible on this one only now.
                raise _CollisionError
            removed[SESSIONS] = len(gone)
            noted.update((row["session_id"], row["workspace_id"]) for row in gone)
            pairs = sorted(noted)
            await connection.execute(self._note_sessions, [each[0] for each in pairs], [each[1] for each in pairs])
            await connection.execute(
                f"UPDATE {self._name}.prunes SET sessions = sessions + $1 WHERE id = $2",  # noqa: S608
                len(old),
                prune_id,
            )
        return {table: removed[table] for table in (SESSIONS, *CHILDREN)}


@asynccontextmanager
async def _group(connection: Connection) -> AsyncIterator[None]:
    """The transaction of one group. Raises _CollisionError where a batch is in its way."""
    try:
        async with bounded(connection, everywhere=True):
            yield
    except (*COLLISIONS, asyncpg.ForeignKeyViolationError) as error:
        raise _CollisionError from error


def _groups(sessions: Sequence[tuple[str, int]], size: GroupSize) -> Iterator[list[str]]:
    """Sessions that have as many rows together as the size says when the group begins; one at least."""
    start = 0
    while start < len(sessions):
        end, rows = start, 0
        while end < len(sessions) and (end == start or rows + sessions[end][1] <= size.size):
            rows += sessions[end][1]
            end += 1
        yield [session_id for session_id, _ in sessions[start:end]]
        start = end
