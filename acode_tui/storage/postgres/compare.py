"""Reads that compare a workspace with its rows in the team's database: counts, changes and row checksums."""

from collections.abc import Sequence

from acode_tui.domain.codec import canonical_digest
from acode_tui.domain.incoming import IncomingRules
from acode_tui.domain.schema import TABLES, Table
from acode_tui.domain.states import EntityType
from acode_tui.storage.ports import RowChecksums, TeamCounts
from acode_tui.storage.postgres.connection import ReadPool
from acode_tui.storage.postgres.identifiers import quoted_schema
from acode_tui.storage.postgres.incoming import incoming_list, read_bounded

ROWS_PER_FETCH = 1000


async def count_rows(pool: ReadPool, schema: str, workspace_id: str) -> TeamCounts:
    """Count the workspace's rows on the server."""
    name = quoted_schema(schema)
    async with pool.connection() as connection:
        rows = {
            kind: int(
                await connection.fetchval(
                    f"SELECT count(*) FROM {name}.{table.name} WHERE workspace_id = $1",  # noqa: S608
                    workspace_id,
                )
            )
            for kind, table in TABLES.items()
        }
        head = await connection.fetchval(
            f"SELECT change_seq FROM {name}.workspaces WHERE id = $1",  # noqa: S608
            workspace_id,
        )
    return TeamCounts(rows=rows, change_seq=head)


async def pruned_sessions(pool: ReadPool, schema: str, workspace_id: str) -> tuple[str, ...]:
    """The sessions with rows of the workspace that were removed from the server because of their age."""
    async with pool.connection() as connection:
        rows = await connection.fetch(
            f"SELECT session_id FROM {quoted_schema(schema)}.pruned_sessions WHERE workspace_id = $1",  # noqa: S608
            workspace_id,
        )
    return tuple(str(row["session_id"]) for row in rows)


async def pruned_among(pool: ReadPool, schema: str, session_ids: Sequence[str]) -> set[str]:
    """The sessions among these that were removed from the server because of their age."""
    async with pool.connection() as connection:
        rows = await connection.fetch(
            f"SELECT session_id FROM {quoted_schema(schema)}.pruned_sessions "  # noqa: S608
            "WHERE session_id = ANY($1::uuid[])",
            list(session_ids),
        )
    return {str(row["session_id"]) for row in rows}


async def count_unindexed(pool: ReadPool, schema: str, workspace_id: str) -> int:
    """Count the workspace's sessions that ``session_search`` has no row of; one that was delivered has at least one."""
    name = quoted_schema(schema)
    async with pool.connection() as connection:
        missing = await connection.fetchval(
            f"SELECT count(*) FROM {name}.sessions AS s WHERE s.workspace_id = $1 "  # noqa: S608
            f"AND NOT EXISTS (SELECT 1 FROM {name}.session_search AS d WHERE d.session_id = s.id)",
            workspace_id,
        )
    return int(missing)


async def changed_after(pool: ReadPool, schema: str, kind: EntityType, ids: Sequence[str], change_seq: int) -> set[str]:
    """The ids among ``ids`` whose rows were written after ``change_seq``: a replica at that number has yet to pull."""
    async with pool.connection() as connection:
        rows = await connection.fetch(
            f"SELECT id FROM {quoted_schema(schema)}.{TABLES[kind].name} "  # noqa: S608
            "WHERE id = ANY($1::uuid[]) AND change_seq > $2",
            list(ids),
            change_seq,
        )
    return {str(row["id"]) for row in rows}


class PostgresRowChecksums:
    """``RowChecksumReader`` over the team's database, for one workspace's sessions and any others by id."""

    def __init__(self, pool: ReadPool, *, schema: str, workspace_id: str, rules: IncomingRules) -> None:
        self._rules = rules
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
        """By session: each row's checksum by (table, id). A session that does not exist has no checksums."""
        checksums: dict[str, RowChecksums] = {each: {} for each in ids}
        async with self._pool.connection() as connection, connection.transaction(readonly=True):
            for kind, table in TABLES.items():
                # A cursor, because a run may have any number of rows with results of any size.
                cursor = await connection.cursor(self._select(table), list(ids))
                while found := await cursor.fetch(ROWS_PER_FETCH):
                    for row in found:
                        session_id = str(row[table.session_column])
                        content = row["content_sha256"] if kind is EntityType.ARTIFACT else None
                        entity = read_bounded(kind, row)
                        # A row that no program can hold is equal to none.
                        checksums[session_id][table.name, str(row["id"])] = (
                            b""
                            if entity is None
                            else canonical_digest(entity, without=("workspaceId",), content_sha256=content)
                        )
        return checksums

    def _select(self, table: Table) -> str:
        content = ", encode(sha256(content), 'hex') AS content_sha256" if table.kind is EntityType.ARTIFACT else ""
        return (
            f"SELECT {incoming_list(table, self._rules)}{content} FROM {self._schema}.{table.name} "  # noqa: S608
            f"WHERE {table.session_column} = ANY($1::uuid[])"
        )
