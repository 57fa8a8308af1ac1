"""Removes what is old from the team's database: ledger rows, and whole sessions.

The ledger has no index by time. It is read in the order of its blocks, a few at a time: as fast as a scan, and no batch
reads again what the one before it deleted. Sessions go in groups, each group in one statement of one transaction, under
the lock that the batches of their workspaces take. A session that is gone leaves a row in ``pruned_sessions``.
``retention_distributed`` has what is different where Citus distributes the tables.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from time import perf_counter
from typing import NoReturn

from acode_tui.domain.errors import SyncError
from acode_tui.domain.progress import Progress
from acode_tui.storage.group_size import GroupSize
from acode_tui.storage.postgres.connection import ReadPool
from acode_tui.storage.postgres.identifiers import quoted_schema
from acode_tui.storage.postgres.migrate import check_schema
from acode_tui.storage.postgres.retention_common import (
    CHILDREN,
    COLLISIONS,
    FOLLOWERS,
    SESSIONS,
    TRIES,
    bounded,
    old_session,
)
from acode_tui.storage.postgres.retention_distributed import DistributedRemoval
from acode_tui.storage.postgres.run_rows import PostgresRunRows
from acode_tui.storage.server_ports import LedgerPart, OldSession, PruneBounds


class PostgresRetention:
    """``TeamRetention`` over a pool that the caller closes."""

    def __init__(self, pool: ReadPool, *, schema: str = "public") -> None:
        self._pool = pool
        self._schema = schema
        self._name = quoted_schema(schema)
        self._statements = _Statements(self._name)
        self._distributed: DistributedRemoval | None = None

    async def start(self, *, need_rights: bool) -> datetime:
        """Check the schema and, if ``need_rights``, that this login may delete. Returns the server's time.

        Raises SchemaMismatchError, and SyncError where it may not.
        """
        async with self._pool.connection() as connection:
            await check_schema(connection, self._schema)
            if await self._pool.is_distributed(connection, self._schema):
                self._distributed = DistributedRemoval(self._pool, self._name)
            if need_rights and (missing := await connection.fetchval(self._statements.missing_rights)):
                _refuse_login(missing)
            now: datetime = await connection.fetchval("SELECT now()")
            return now

    async def begin(self, cutoff: datetime, archive: str | None) -> str:
        """Note that a pruning begins; returns its id. From now on laptops know that old ledger rows may be gone."""
        async with self._pool.connection(writes=True) as connection:
            return str(
                await connection.fetchval(
                    f"INSERT INTO {self._name}.prunes (cutoff, archive) VALUES ($1, $2) RETURNING id",  # noqa: S608
                    cutoff,
                    archive,
                )
            )

    async def end(self, prune_id: str) -> None:
        """Note that it ended."""
        async with self._pool.connection(writes=True) as connection:
            await connection.execute(
                f"UPDATE {self._name}.prunes SET ended_at = clock_timestamp() WHERE id = $1",  # noqa: S608
                prune_id,
            )

    async def prune_ledger(self, prune_id: str | None, bounds: PruneBounds) -> AsyncIterator[LedgerPart]:
        """Delete old ledger rows, a part in each transaction; only count them without a ``prune_id``."""
        if self._distributed is not None:
            async for part in self._distributed.prune_ledger(prune_id, bounds):
                yield part
            return
        async with self._pool.connection() as connection:
            blocks, block_bytes = await connection.fetchrow(self._statements.ledger_size, f"{self._name}.sync_inbox")
        size = GroupSize(256, 16_384)
        first = 0
        while first < blocks:
            count = min(size.size, blocks - first)
            started = perf_counter()
            pruned, kept = await self._prune_blocks(prune_id, bounds, first, count)
            size.took(perf_counter() - started)
            first += count
            yield LedgerPart(pruned, kept, Progress(first * block_bytes, blocks * block_bytes, "bytes"))

    async def _prune_blocks(self, prune_id: str | None, bounds: PruneBounds, first: int, count: int) -> tuple[int, int]:
        asked = ((first, 0), (first + count, 0), bounds.cutoff, bounds.horizon)
        async with self._pool.connection(writes=True) as connection:
            if prune_id is None:
                row = await connection.fetchrow(self._statements.count_ledger, *asked)
            else:
                async with bounded(connection):
                    row = await connection.fetchrow(self._statements.prune_ledger, *asked, prune_id)
        assert row is not None
        return row["pruned"], row["kept"]

    async def old_sessions(
        self, bounds: PruneBounds, *, after: OldSession | None, limit: int
    ) -> tuple[OldSession, ...]:
        """The next sessions that may go, oldest first."""
        position = (None, None) if after is None else after
        async with self._pool.connection() as connection:
            rows = await connection.fetch(self._statements.old_sessions, *bounds, *position, limit)
        return tuple(OldSession(row["updated_at"], str(row["id"])) for row in rows)

    async def prune_sessions(self, prune_id: str, bounds: PruneBounds, ids: Sequence[str]) -> dict[str, int]:
        """Remove those of the sessions that may still go, with all their rows. Returns the removed rows by table."""
        if self._distributed is not None:
            return await self._distributed.prune_sessions(prune_id, bounds, ids)
        async with self._pool.connection(writes=True) as connection:
            for tried in range(1, TRIES + 1):
                try:
                    async with bounded(connection):
                        # A batch takes its head's lock before it looks for pruned sessions. So a session goes before a
                        # batch of its workspaces, which then knows, or after it, and is not old any more.
                        await connection.execute(self._statements.lock_heads, list(ids))
                        row = await connection.fetchrow(self._statements.prune_sessions, list(ids), *bounds, prune_id)
                    break
                except COLLISIONS:
                    if tried == TRIES:
                        raise
        assert row is not None
        return {table: int(row[table]) for table in (SESSIONS, *CHILDREN)}

    async def count_rows(self, ids: Sequence[str]) -> dict[str, int]:
        """The rows of these sessions by table."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(self._statements.count_rows, list(ids))
        assert row is not None
        return {table: int(row[table]) for table in (SESSIONS, *CHILDREN)}

    def run_rows(self) -> PostgresRunRows:
        """The rows of sessions, for an archive."""
        return PostgresRunRows(self._pool, schema=self._schema)


class _Statements:
    """The statements for one schema, whose name is quoted."""

    def __init__(self, name: str) -> None:
        tables = ", ".join(f"'{name}.{table}'::regclass" for table in (SESSIONS, *CHILDREN, *FOLLOWERS))
        self.missing_rights = f"""
            SELECT string_agg(t::text, ', ') FROM unnest(ARRAY[{tables}]) AS t
            WHERE NOT has_table_privilege(t, 'DELETE') OR (row_security_active(t) AND NOT EXISTS (
                SELECT 1 FROM pg_policy AS p, unnest(p.polroles) AS r
                WHERE p.polrelid = t AND p.polcmd = 'd' AND (r = 0 OR pg_has_role(r, 'USAGE'))
            ))
        """  # noqa: S608
        self.ledger_size = """
            SELECT (pg_relation_size($1::text::regclass) / current_setting('block_size')::int)::int AS blocks,
                current_setting('block_size')::int AS block_bytes
        """
        part = "i.ctid >= $1::tid AND i.ctid < $2::tid AND i.applied_at < $3::timestamptz"
        # The last batch of a workspace is what its laptop asks for after a server was restored or promoted.
        kept = f"""EXISTS (SELECT 1 FROM {name}.workspaces AS w WHERE w.id = i.workspace_id
            AND (i.change_seq = w.change_seq OR i.applied_at >= w.last_seen_at - (now() - $4::timestamptz)))"""  # noqa: S608
        self.count_ledger = f"""
            SELECT count(*) FILTER (WHERE NOT kept) AS pruned, count(*) FILTER (WHERE kept) AS kept
            FROM (SELECT {kept} AS kept FROM {name}.sync_inbox AS i WHERE {part}) AS old
        """  # noqa: S608
        self.prune_ledger = f"""
            WITH gone AS (DELETE FROM {name}.sync_inbox AS i WHERE {part} AND NOT {kept} RETURNING 1),
            noted AS (
                UPDATE {name}.prunes SET ledger_rows = ledger_rows + (SELECT count(*) FROM gone) WHERE id = $5::uuid
            )
            SELECT (SELECT count(*) FROM gone) AS pruned,
                (SELECT count(*) FROM {name}.sync_inbox AS i WHERE {part}) - (SELECT count(*) FROM gone) AS kept
        """  # noqa: S608
        self.old_sessions = f"""
            SELECT s.updated_at, s.id FROM {name}.sessions AS s WHERE {old_session(name, "$1", "$2")}
            AND ($3::timestamptz IS NULL OR (s.updated_at, s.id) > ($3::timestamptz, $4::uuid))
            ORDER BY s.updated_at, s.id LIMIT $5
        """  # noqa: S608
        self.lock_heads = f"""
            SELECT 1 FROM {name}.workspaces WHERE id IN (
                SELECT workspace_id FROM {name}.sessions WHERE id = ANY($1::uuid[])
                UNION SELECT workspace_id FROM {name}.sync_inbox WHERE session_id = ANY($1::uuid[])
            ) ORDER BY id FOR NO KEY UPDATE
        """  # noqa: S608
        counts = ", ".join(
            f"(SELECT count(*) FROM {name}.{table} WHERE "  # noqa: S608
            f"{'id' if table == SESSIONS else 'session_id'} = ANY($1::uuid[])) AS {table}"
            for table in (SESSIONS, *CHILDREN)
        )
        self.count_rows = f"SELECT {counts}"
        self.prune_sessions = _prune_sessions(name)


def _prune_sessions(name: str) -> str:
    """One statement: foreign keys are checked at its end. It returns how many rows it removed from each table."""
    parts = [
        f"""old AS MATERIALIZED (
            SELECT s.id FROM {name}.sessions AS s WHERE s.id = ANY($1::uuid[]) AND {old_session(name, "$2", "$3")}
        )"""  # noqa: S608
    ]
    parts += [
        f"{table}_gone AS (DELETE FROM {name}.{table} WHERE session_id IN (SELECT id FROM old) "  # noqa: S608
        "RETURNING session_id, workspace_id)"
        for table in (*CHILDREN, *FOLLOWERS)
    ]
    parts.append(
        f"{SESSIONS}_gone AS (DELETE FROM {name}.{SESSIONS} WHERE id IN (SELECT id FROM old) "  # noqa: S608
        "RETURNING id AS session_id, workspace_id)"
    )
    counted = (SESSIONS, *CHILDREN)
    rows = " UNION ALL ".join(
        f"SELECT session_id, workspace_id, '{table}' AS what FROM {table}_gone"  # noqa: S608
        for table in counted
    )
    sums = ", ".join(f"count(*) FILTER (WHERE what = '{table}') AS {table}" for table in counted)
    parts += [
        f"gone AS MATERIALIZED ({rows})",
        f"""noted AS (
            INSERT INTO {name}.pruned_sessions (session_id, workspace_id)
            SELECT DISTINCT session_id, workspace_id FROM gone ON CONFLICT DO NOTHING
        )""",  # noqa: S608
        f"""summed AS (
            UPDATE {name}.prunes SET sessions = sessions + (SELECT count(*) FROM old) WHERE id = $4::uuid
        )""",  # noqa: S608
    ]
    return f"WITH {', '.join(parts)} SELECT {sums} FROM gone"  # noqa: S608


def _refuse_login(tables: str) -> NoReturn:
    raise SyncError(
        f"this login may not remove rows of {tables}",
        hint="log in as a member of the role of `acode-tui db schema --dialect postgres --prune-role NAME`",
    )
