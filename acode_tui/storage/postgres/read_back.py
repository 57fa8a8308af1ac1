"""The team's database as a source to rebuild a workspace file from. Reads only, over a pool."""

from collections.abc import AsyncIterator, Iterable, Sequence

import asyncpg

from acode_tui.domain.codec import canonical_digest
from acode_tui.domain.entities import Entity
from acode_tui.domain.schema import TABLES, Table
from acode_tui.domain.states import EntityType
from acode_tui.storage.delivery_protocol import Head, PullPage
from acode_tui.storage.ports import Conflict, RowChecksums, TeamWorkspace
from acode_tui.storage.postgres.apply_batch import conflict_from_row
from acode_tui.storage.postgres.connection import ReadPool
from acode_tui.storage.postgres.identifiers import Connection, quoted_schema
from acode_tui.storage.postgres.migrate import check_schema
from acode_tui.storage.postgres.rows import entity_from_row, select_list

MAX_PAGE_BYTES = 16 * 1024 * 1024
"""Artifact content in one page, in bytes; a single batch may be larger and still goes in one."""


async def pull_page(
    connection: Connection, schema: str, workspace_id: str, after: int, limit: int, max_bytes: int
) -> PullPage | None:
    """The next page after a number; None if the workspace is not known."""
    name = quoted_schema(schema)
    row = await connection.fetchrow(
        f"SELECT change_seq, incarnation FROM {name}.workspaces WHERE id = $1",  # noqa: S608
        workspace_id,
    )
    if row is None:
        return None
    head = Head(change_seq=row["change_seq"], incarnation=str(row["incarnation"]))
    if head.change_seq <= after:
        return PullPage(rows=(), upto=after, head=head)
    sizes = await connection.fetch(_sizes(name), workspace_id, after, limit + 1)
    upto = page_end([(size["change_seq"], size["size"]) for size in sizes], limit, max_bytes)
    upto = head.change_seq if upto is None else upto
    return PullPage(rows=await _rows(connection, name, workspace_id, after, upto), upto=upto, head=head)


def page_end(rows: Sequence[tuple[int, int]], limit: int, max_bytes: int) -> int | None:
    """The number a page ends with; None if everything fits. ``rows`` are (number, bytes) in order, at most one row
    more than ``limit``. A page has whole numbers only, and at least the first.
    """
    total = 0
    ended: int | None = None
    for position, (number, size) in enumerate(rows):
        if position and number != rows[position - 1][0]:
            ended = rows[position - 1][0]
        total += size
        if position >= limit or total > max_bytes:
            return ended if ended is not None else rows[0][0]
    return None


def _sizes(name: str) -> str:
    parts = []
    for table in TABLES.values():
        size = "size" if table.kind is EntityType.ARTIFACT else "0::bigint AS size"
        parts.append(
            f"(SELECT change_seq, {size} FROM {name}.{table.name} "  # noqa: S608
            "WHERE workspace_id = $1 AND change_seq > $2 ORDER BY change_seq LIMIT $3)"
        )
    return f"{' UNION ALL '.join(parts)} ORDER BY change_seq LIMIT $3"


async def _rows(connection: Connection, name: str, workspace_id: str, after: int, upto: int) -> tuple[Entity, ...]:
    """From the leaves up, so that each table's statement can ask for the parents that the ones below it need."""
    needed: dict[EntityType, set[str]] = {kind: set() for kind in TABLES}
    found: dict[EntityType, list[Entity]] = {}
    for kind, table in reversed(TABLES.items()):
        records = await connection.fetch(
            _select(name, table), workspace_id, after, upto, sorted(needed[kind]), sorted(_sessions(found))
        )
        entities = [entity_from_row(kind, record) for record in records]
        found[kind] = entities
        if table.parent is not None:
            column, parent = table.parent
            needed[parent].update(getattr(entity, column) for entity in entities)
        if kind is not EntityType.SESSION:
            needed[EntityType.SESSION].update(entity.session_id for entity in entities)  # type: ignore[attr-defined]
    return tuple(entity for kind in TABLES for entity in found[kind])


def _sessions(found: dict[EntityType, list[Entity]]) -> Iterable[str]:
    return {entity.session_id for rows in found.values() for entity in rows}  # type: ignore[attr-defined]


def _select(name: str, table: Table) -> str:
    of_session = "id" if table.kind is EntityType.SESSION else "session_id"
    return (
        f"SELECT {select_list(table, content=True)} FROM {name}.{table.name} "  # noqa: S608
        "WHERE (workspace_id = $1 AND change_seq > $2 AND change_seq <= $3) "
        f"OR ({of_session} = ANY($5::uuid[]) AND id = ANY($4::uuid[])) ORDER BY change_seq, id"
    )


PAGE_ROWS = 2000
PAGE_BYTES = 4 * 1024 * 1024
"""Small enough for a slow line: a page has to arrive within the command time-out."""

LEDGER_SECONDS = 600.0
"""The ledger has no index by workspace: it is read through, once."""

ROWS_AT_ONCE = {kind: 10 if kind is EntityType.ARTIFACT else 500 for kind in TABLES}
"""An artifact may be 10 MiB."""


class RecoverySource:
    """Every workspace of the team, to be read row by row."""

    def __init__(self, pool: ReadPool, *, schema: str) -> None:
        self._pool = pool
        self._schema = schema
        self._name = quoted_schema(schema)

    async def require_schema(self) -> None:
        """Raise SchemaMismatchError unless the schema is exactly this program's."""
        async with self._pool.connection() as connection:
            await check_schema(connection, self._schema)

    async def workspaces(self, *, limit: int = 1000) -> tuple[TeamWorkspace, ...]:
        """Those that there are, the one seen last first."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(
                "SELECT w.id, w.user_name, w.host, w.last_seen_at, "  # noqa: S608
                f"(SELECT count(*) FROM {self._name}.sessions AS s WHERE s.workspace_id = w.id) AS sessions "
                f"FROM {self._name}.workspaces AS w ORDER BY w.last_seen_at DESC, w.id LIMIT $1",
                limit,
            )
        return tuple(
            TeamWorkspace(
                id=str(row["id"]),
                user=row["user_name"],
                host=row["host"],
                last_seen_at=row["last_seen_at"],
                sessions=row["sessions"],
            )
            for row in rows
        )

    async def head(self, workspace_id: str) -> Head | None:
        """Where a workspace stands; None if it is not known."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(
                f"SELECT change_seq, incarnation FROM {self._name}.workspaces WHERE id = $1",  # noqa: S608
                workspace_id,
            )
        return row and Head(change_seq=row["change_seq"], incarnation=str(row["incarnation"]))

    async def counts(self, workspace_id: str) -> dict[str, int]:
        """Rows a table that are this workspace's."""
        counts = {}
        async with self._pool.connection() as connection:
            for table in TABLES.values():
                counts[table.name] = await connection.fetchval(
                    f"SELECT count(*) FROM {self._name}.{table.name} WHERE workspace_id = $1",  # noqa: S608
                    workspace_id,
                )
        return counts

    async def page(self, workspace_id: str, after: int) -> PullPage | None:
        """The rows after a central number, parents first; None if the workspace is not known (any more)."""
        async with self._pool.connection() as connection:
            return await pull_page(connection, self._schema, workspace_id, after, PAGE_ROWS, PAGE_BYTES)

    async def conflicts(self, workspace_id: str, *, after: Conflict | None = None) -> tuple[Conflict, ...]:
        """The next settled conflicts, the oldest first; empty at the end."""
        sql = (
            f"SELECT * FROM {self._name}.sync_conflicts WHERE workspace_id = $1 "  # noqa: S608
            "AND ($2::timestamptz IS NULL OR (detected_at, id) > ($2::timestamptz, $3::uuid)) "
            "ORDER BY detected_at, id LIMIT $4"
        )
        place = (None, None) if after is None else (after.detected_at, after.id)
        async with self._pool.connection() as connection:
            rows: list[asyncpg.Record] = await connection.fetch(sql, workspace_id, *place, PAGE_ROWS)
        return tuple(conflict_from_row(row) for row in rows)

    async def sent_elsewhere(self, workspace_id: str) -> tuple[str, ...]:
        """Sessions that this workspace has sent rows of, and another one had sent before: that one owns them."""
        sql = (
            f"SELECT DISTINCT i.session_id FROM {self._name}.sync_inbox AS i "  # noqa: S608
            f"JOIN {self._name}.sessions AS s ON s.id = i.session_id "
            "WHERE i.workspace_id = $1 AND s.workspace_id <> $1 ORDER BY i.session_id"
        )
        async with self._pool.connection() as connection:
            rows = await connection.fetch(sql, workspace_id, timeout=LEDGER_SECONDS)
        return tuple(str(row["session_id"]) for row in rows)

    async def shared(self, workspace_id: str, session_ids: Sequence[str]) -> tuple[str, ...]:
        """Those of the sessions in which another workspace has rows of its own."""
        found: set[str] = set()
        async with self._pool.connection() as connection:
            for table in TABLES.values():
                column = _session_column(table)
                rows = await connection.fetch(
                    f"SELECT DISTINCT {column} AS id FROM {self._name}.{table.name} "  # noqa: S608
                    f"WHERE {column} = ANY($1::uuid[]) AND workspace_id <> $2",
                    list(session_ids),
                    workspace_id,
                )
                found.update(str(row["id"]) for row in rows)
        return tuple(sorted(found))

    async def session_rows(self, session_id: str) -> AsyncIterator[tuple[Entity, ...]]:
        """Every row of a session, whoever sent it, parents first, a few at a time."""
        async with self._pool.connection() as connection, connection.transaction(readonly=True):
            for kind, table in TABLES.items():
                cursor = await connection.cursor(
                    f"SELECT {select_list(table, content=True)} FROM {self._name}.{table.name} "  # noqa: S608
                    f"WHERE {_session_column(table)} = $1",
                    session_id,
                )
                while rows := await cursor.fetch(ROWS_AT_ONCE[kind]):
                    yield tuple(entity_from_row(kind, row) for row in rows)


def _session_column(table: Table) -> str:
    return "id" if table.kind is EntityType.SESSION else "session_id"


CHECKSUM_ROWS_AT_ONCE = 1000


class PostgresRowChecksums:
    """``RowChecksumReader`` over the team's database, for the sessions of one workspace and any it is asked for."""

    def __init__(self, pool: ReadPool, *, schema: str, workspace_id: str) -> None:
        self._pool = pool
        self._schema = quoted_schema(schema)
        self._workspace_id = workspace_id

    async def session_ids(self, *, after: str, limit: int) -> tuple[str, ...]:
        """The next ids of the workspace's sessions in order."""
        async with self._pool.connection() as connection:
            found = await connection.fetch(
                f"SELECT id FROM {self._schema}.sessions "  # noqa: S608
                "WHERE workspace_id = $1 AND ($2::text = '' OR id > NULLIF($2::text, '')::uuid) ORDER BY id LIMIT $3",
                self._workspace_id,
                after,
                limit,
            )
        return tuple(str(row["id"]) for row in found)

    async def of_sessions(self, ids: tuple[str, ...]) -> dict[str, RowChecksums]:
        """By session: each row's checksum by (table, id). Sessions that are not there have none."""
        checksums: dict[str, RowChecksums] = {each: {} for each in ids}
        async with self._pool.connection() as connection, connection.transaction(readonly=True):
            for kind, table in TABLES.items():
                # A cursor, for a run may have any number of rows, and results of any size.
                cursor = await connection.cursor(self._select(table), list(ids))
                while found := await cursor.fetch(CHECKSUM_ROWS_AT_ONCE):
                    for row in found:
                        session_id = str(row["id"] if kind is EntityType.SESSION else row["session_id"])
                        content = row["content_sha256"] if kind is EntityType.ARTIFACT else None
                        entity = entity_from_row(kind, row)
                        checksums[session_id][table.name, entity.id] = canonical_digest(
                            entity, without=("workspaceId",), content_sha256=content
                        )
        return checksums

    def _select(self, table: Table) -> str:
        of_session = "id" if table.kind is EntityType.SESSION else "session_id"
        content = ", encode(sha256(content), 'hex') AS content_sha256" if table.kind is EntityType.ARTIFACT else ""
        return (
            f"SELECT {select_list(table)}{content} FROM {self._schema}.{table.name} "  # noqa: S608
            f"WHERE {of_session} = ANY($1::uuid[])"
        )
