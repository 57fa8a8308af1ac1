"""Checksums of the rows that are really in the team's database; content is hashed where it lies."""

from acode_tui.domain.canonical import canonical_digest
from acode_tui.domain.schema import TABLES, Table
from acode_tui.domain.states import EntityType
from acode_tui.storage.ports import RowChecksums
from acode_tui.storage.postgres.connection import ReadPool
from acode_tui.storage.postgres.identifiers import quoted_schema
from acode_tui.storage.postgres.rows import entity_from_row, select_list

ROWS_AT_ONCE = 1000


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
                while found := await cursor.fetch(ROWS_AT_ONCE):
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
