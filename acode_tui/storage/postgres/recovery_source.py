"""The team's database as the source of a recovery: everything that rebuilds a workspace file. Reads only."""

import re
import uuid
from collections.abc import AsyncIterator, Sequence

import asyncpg

from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.incoming import IncomingRules
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.domain.validation import Limits
from acode_tui.storage.delivery_protocol import Head, PullPage, RejectedRow
from acode_tui.storage.ports import Conflict, TeamRows, TeamWorkspace
from acode_tui.storage.postgres.connection import ReadPool
from acode_tui.storage.postgres.identifiers import quoted_schema
from acode_tui.storage.postgres.incoming import incoming_list, read_incoming
from acode_tui.storage.postgres.migrate import check_schema
from acode_tui.storage.postgres.pull import pull_page, read_head
from acode_tui.storage.postgres.rows import READABLE_CONFLICT, conflict_from_row

PAGE_ROWS = 2000
PAGE_BYTES = 4 * 1024 * 1024
"""Small enough for a slow network: a page must arrive within the command time-out."""

LEDGER_SECONDS = 600.0
"""Time limit for scanning the ledger, which has no index by workspace. A recovery scans it once."""

ROWS_PER_FETCH = {kind: 10 if kind is EntityType.ARTIFACT else 500 for kind in TABLES}
"""Rows fetched from a cursor at once; an artifact may have 10 MiB."""


class RecoverySource:
    """Reads every workspace of the team."""

    def __init__(
        self, pool: ReadPool, *, schema: str, limits: Limits | None = None, wall: WallClock = system_clock
    ) -> None:
        """``limits`` bound the values of rows that are read; ``wall`` is this machine's clock."""
        self._rules = IncomingRules(limits=limits or Limits(), wall=wall)
        self._pool = pool
        self._schema = schema
        self._name = quoted_schema(schema)

    async def require_schema(self) -> None:
        """Raise SchemaMismatchError unless the schema has this program's version."""
        async with self._pool.connection() as connection:
            await check_schema(connection, self._schema)

    async def workspaces(self, *, limit: int = 1000) -> tuple[TeamWorkspace, ...]:
        """The team's workspaces, most recently seen first."""
        return await self._select_workspaces("true", limit)

    async def find_workspaces(self, start: str, *, limit: int = 20) -> tuple[TeamWorkspace, ...]:
        """The workspaces whose ids begin with ``start``, the last seen first, found by the primary key."""
        digits = start.replace("-", "")
        if not re.fullmatch("[0-9a-f]{1,32}", digits):
            return ()
        first, last = uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))
        found = await self._select_workspaces("w.id BETWEEN $2 AND $3", limit, first, last)
        return tuple(each for each in found if each.id.startswith(start))

    async def _select_workspaces(self, condition: str, limit: int, *values: object) -> tuple[TeamWorkspace, ...]:
        async with self._pool.connection() as connection:
            rows = await connection.fetch(
                f"SELECT w.id, w.user_name, w.host, w.last_seen_at FROM {self._name}.workspaces AS w "  # noqa: S608
                f"WHERE {condition} ORDER BY w.last_seen_at DESC, w.id LIMIT $1",
                limit,
                *values,
            )
            # A statement of its own: Citus cannot join the two where they are distributed.
            counted = await connection.fetch(
                f"SELECT workspace_id, count(*) FROM {self._name}.sessions "  # noqa: S608
                "WHERE workspace_id = ANY($1::uuid[]) GROUP BY workspace_id",
                [row["id"] for row in rows],
            )
        sessions = {row["workspace_id"]: row["count"] for row in counted}
        return tuple(
            TeamWorkspace(
                id=str(row["id"]),
                user=row["user_name"],
                host=row["host"],
                last_seen_at=row["last_seen_at"],
                sessions=sessions.get(row["id"], 0),
            )
            for row in rows
        )

    async def head(self, workspace_id: str) -> Head | None:
        """The workspace's head; None if the server does not know the workspace."""
        async with self._pool.connection() as connection:
            return await read_head(connection, self._schema, workspace_id)

    async def counts(self, workspace_id: str) -> dict[str, int]:
        """The number of the workspace's rows by table."""
        counts = {}
        async with self._pool.connection() as connection:
            for table in TABLES.values():
                counts[table.name] = await connection.fetchval(
                    f"SELECT count(*) FROM {self._name}.{table.name} WHERE workspace_id = $1",  # noqa: S608
                    workspace_id,
                )
        return counts

    async def page(self, workspace_id: str, after: int) -> PullPage | None:
        """The next rows with a ``change_seq`` above ``after``, parents first; None if the workspace is not known."""
        async with self._pool.connection() as connection:
            return await pull_page(
                connection, self._schema, workspace_id, after, PAGE_ROWS, PAGE_BYTES, rules=self._rules
            )

    async def conflicts(self, workspace_id: str, *, after: Conflict | None = None) -> tuple[Conflict, ...]:
        """The next resolved conflicts, oldest first; empty at the end. Those beyond what is readable are left out."""
        sql = (
            f"SELECT * FROM {self._name}.sync_conflicts WHERE workspace_id = $1 AND {READABLE_CONFLICT} "  # noqa: S608
            "AND ($2::timestamptz IS NULL OR (detected_at, id) > ($2::timestamptz, $3::uuid)) "
            "ORDER BY detected_at, id LIMIT $4"
        )
        key = (None, None) if after is None else (after.detected_at, after.id)
        async with self._pool.connection() as connection:
            rows: list[asyncpg.Record] = await connection.fetch(sql, workspace_id, *key, PAGE_ROWS)
        return tuple(conflict_from_row(row) for row in rows)

    async def sent_elsewhere(self, workspace_id: str) -> tuple[str, ...]:
        """Sessions that this workspace has sent rows of and another workspace owns, because it sent them first."""
        sql = (
            f"SELECT DISTINCT i.session_id FROM {self._name}.sync_inbox AS i "  # noqa: S608
            f"JOIN {self._name}.sessions AS s ON s.id = i.session_id "
            "WHERE i.workspace_id = $1 AND s.workspace_id <> $1 ORDER BY i.session_id"
        )
        async with self._pool.connection() as connection:
            rows = await connection.fetch(sql, workspace_id, timeout=LEDGER_SECONDS)
        return tuple(str(row["session_id"]) for row in rows)

    async def shared(self, workspace_id: str, session_ids: Sequence[str]) -> tuple[str, ...]:
        """The given sessions that contain rows of another workspace."""
        found: set[str] = set()
        async with self._pool.connection() as connection:
            for table in TABLES.values():
                column = table.session_column
                rows = await connection.fetch(
                    f"SELECT DISTINCT {column} AS id FROM {self._name}.{table.name} "  # noqa: S608
                    f"WHERE {column} = ANY($1::uuid[]) AND workspace_id <> $2",
                    list(session_ids),
                    workspace_id,
                )
                found.update(str(row["id"]) for row in rows)
        return tuple(sorted(found))

    async def session_rows(self, session_id: str) -> AsyncIterator[TeamRows]:
        """All rows of a session, of every workspace, parents first, in small groups."""
        async with self._pool.connection() as connection, connection.transaction(readonly=True):
            for kind, table in TABLES.items():
                cursor = await connection.cursor(
                    f"SELECT {incoming_list(table, self._rules, content=True)} FROM {self._name}.{table.name} "  # noqa: S608
                    f"WHERE {table.session_column} = $1",
                    session_id,
                )
                while rows := await cursor.fetch(ROWS_PER_FETCH[kind]):
                    read = [read_incoming(kind, row, self._rules) for row in rows]
                    yield TeamRows(
                        [row for row in read if not isinstance(row, RejectedRow)],
                        [row for row in read if isinstance(row, RejectedRow)],
                    )
