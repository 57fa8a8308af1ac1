"""Reads the runs of the whole team from PostgreSQL, with the Protocol, order and cursors of the local store.

Read-only. Every error of the server or the network is raised as an AcodeError.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.codec import digest
from acode_tui.domain.entities import (
    Artifact,
    Entity,
    Session,
    SessionEvent,
    SessionGraph,
)
from acode_tui.domain.errors import AmbiguousIdError, IntegrityError, NotFoundError, ValidationError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.search.query import Query, parse_query
from acode_tui.domain.states import ArtifactType, EntityType, SessionState
from acode_tui.domain.validation import require_id
from acode_tui.storage.cursors import FIGURES
from acode_tui.storage.ports import SessionFilter, SessionPage, SessionPart
from acode_tui.storage.postgres import session_pages
from acode_tui.storage.postgres.connection import ReadPool
from acode_tui.storage.postgres.identifiers import Connection, is_uuid, quoted_schema
from acode_tui.storage.postgres.migrate import check_schema
from acode_tui.storage.postgres.read_graph import read_events, read_graph, read_part
from acode_tui.storage.postgres.rows import entity_from_row, has_known_names, select_list
from acode_tui.storage.run_writes import not_found
from acode_tui.storage.session_filter import require_filter

MOST_UNKNOWN = 1_000

_HYPHENS = (8, 13, 18, 23)
"""Positions of the hyphens in a UUID."""


class PostgresRunStateReader:
    """``RunStateReader`` over the team's database."""

    def __init__(self, pool: ReadPool, *, schema: str = "public", wall: WallClock = system_clock) -> None:
        self._pool = pool
        self._wall = wall
        self._schema = quoted_schema(schema)
        self._schema_name = schema
        self._checked = False

    async def close(self) -> None:
        """Close the pool."""
        await self._pool.close()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Connection]:
        """A connection of the pool. Raises SchemaMismatchError unless the schema is this program's (checked once)."""
        async with self._pool.connection() as connection:
            if not self._checked:
                await check_schema(connection, self._schema_name)
                self._checked = True
            yield connection

    def _query(self, given: SessionFilter) -> Query:
        """The filter's text as a query. Raises ValidationError, also for what only the workspace file can be asked."""
        if given.folded or given.parent is not None:
            raise ValidationError("folded" if given.folded else "parent", "is of the workspace's own runs alone")
        if given.sort in FIGURES:
            raise ValidationError("sort", f"{given.sort} is of the workspace's own runs alone")
        return parse_query(given.text or "", now=self._wall())

    async def data_version(self) -> int:
        """A number that changes with every delivery of every workspace."""
        async with self._open() as connection:
            number = await connection.fetchval(
                f"SELECT coalesce(sum(change_seq), 0)::text FROM {self._schema}.workspaces"  # noqa: S608
            )
        return int(number)

    async def get(self, session_id: str) -> Session:
        """A session by its full id. Raises NotFoundError."""
        async with self._open() as connection:
            found = await self._one(connection, EntityType.SESSION, session_id)
        assert isinstance(found, Session)
        return found

    async def list(
        self,
        filter: SessionFilter | None = None,
        *,
        limit: int = 50,
        after: str | None = None,
        before: str | None = None,
    ) -> SessionPage:
        """One keyset page, newest first. Raises ValidationError for a bad limit or cursor."""
        given = require_filter(filter)
        async with self._open() as connection:
            return await session_pages.read_page(
                connection,
                self._schema,
                given,
                self._query(given),
                limit=limit,
                after=after,
                before=before,
                distributed=await self._pool.is_distributed(connection, self._schema_name),
            )

    async def count(self, filter: SessionFilter | None = None) -> int:
        """The exact number of sessions that match."""
        given = require_filter(filter)
        async with self._open() as connection:
            distributed = await self._pool.is_distributed(connection, self._schema_name)
            return await session_pages.count(
                connection, self._schema, given, self._query(given), distributed=distributed
            )

    async def count_by_state(self, filter: SessionFilter | None = None) -> dict[SessionState, int] | None:
        """The number of sessions by state, regardless of the filter's states; None where that is not cheap."""
        given = require_filter(filter)
        async with self._open() as connection:
            return await session_pages.count_by_state(connection, self._schema, given)

    async def count_unknown(self) -> int:
        """How many sessions have a state that this program does not know, at most ``MOST_UNKNOWN``."""
        async with self._open() as connection:
            return await session_pages.count_unknown(connection, self._schema, most=MOST_UNKNOWN)

    async def count_before(self, filter: SessionFilter, cursor: str) -> int | None:
        """The number of sessions before the page after a cursor; None where that is not cheap."""
        given = require_filter(filter)
        async with self._open() as connection:
            return await session_pages.count_before(connection, self._schema, given, cursor)

    async def get_events(self, session_id: str) -> tuple[SessionEvent, ...]:
        """A session's events, oldest first. Raises NotFoundError."""
        async with self._open() as connection:
            await self._one(connection, EntityType.SESSION, session_id)
            return await read_events(connection, self._schema, session_id)

    async def get_with_hierarchy(self, session_id: str) -> SessionGraph:
        """The whole run in one snapshot, with one query per table. Raises NotFoundError."""
        async with (
            self._open() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            session = await self._one(connection, EntityType.SESSION, session_id)
            assert isinstance(session, Session)
            return await read_graph(connection, self._schema, session)

    async def get_part(self, session_id: str, *, steps: int, from_end: bool = False) -> SessionPart:
        """The first or the last steps of a run, in one snapshot. Raises NotFoundError."""
        async with (
            self._open() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            session = await self._one(connection, EntityType.SESSION, session_id)
            assert isinstance(session, Session)
            return await read_part(connection, self._schema, session, steps, from_end=from_end)

    async def get_artifact(self, artifact_id: str) -> Artifact:
        """An artifact's metadata. Raises NotFoundError."""
        async with self._open() as connection:
            found = await self._one(connection, EntityType.ARTIFACT, artifact_id)
        assert isinstance(found, Artifact)
        return found

    async def get_artifact_content(self, artifact_id: str) -> bytes:
        """An artifact's content. Raises NotFoundError, and IntegrityError if it does not match its hash."""
        async with self._open() as connection:
            row = is_uuid(require_id(artifact_id)) and await connection.fetchrow(
                f"SELECT content, content_hash FROM {self._schema}.artifacts WHERE id = $1",  # noqa: S608
                artifact_id,
            )
        if not row:
            raise not_found(EntityType.ARTIFACT, artifact_id)
        return _verified(artifact_id, row)

    async def get_content_in(self, session_id: str, artifact_id: str) -> bytes:
        """The same by the whole key: where the tables are distributed, only the session's node is asked."""
        async with self._open() as connection:
            row = await connection.fetchrow(
                f"SELECT content, content_hash FROM {self._schema}.artifacts WHERE session_id = $1 AND id = $2",  # noqa: S608
                session_id,
                artifact_id,
            )
        if row is None:
            raise not_found(EntityType.ARTIFACT, artifact_id)
        return _verified(artifact_id, row)

    async def get_artifact_contents(self, artifact_ids: Sequence[str]) -> dict[str, bytes]:
        """The contents of several artifacts. Raises IntegrityError if one does not match its hash."""
        async with self._open() as connection:
            found = await connection.fetch(
                f"SELECT id, content, content_hash FROM {self._schema}.artifacts WHERE id = ANY($1::uuid[])",  # noqa: S608
                [each for each in artifact_ids if is_uuid(each)],
            )
        return {str(row["id"]): _verified(str(row["id"]), row) for row in found}

    async def get_artifacts_of(self, session_ids: Sequence[str], types: Sequence[ArtifactType]) -> tuple[Artifact, ...]:
        """The artifacts of these types in several sessions, oldest first."""
        async with self._open() as connection:
            found = await connection.fetch(
                f"SELECT {select_list(TABLES[EntityType.ARTIFACT])} FROM {self._schema}.artifacts "  # noqa: S608
                "WHERE session_id = ANY($1::uuid[]) AND type = ANY($2::text[]) ORDER BY created_at, id",
                [each for each in session_ids if is_uuid(each)],
                [each.value for each in types],
            )
        rows = [row for row in found if has_known_names(EntityType.ARTIFACT, row)]
        return tuple(cast("list[Artifact]", [entity_from_row(EntityType.ARTIFACT, row) for row in rows]))

    async def resolve_id(self, kind: EntityType, prefix: str) -> str:
        """The only id with this prefix. Raises NotFoundError, AmbiguousIdError, ValidationError."""
        start = require_id(prefix).strip().lower()
        if not start or len(start) > 36 or not set(start) <= set("0123456789abcdef-"):
            raise ValidationError("id", "must be a UUID or the beginning of one")
        what = kind.value.replace("_", " ")
        found: Sequence[Any] = ()
        if all((char == "-") == (position in _HYPHENS) for position, char in enumerate(start)):
            async with self._open() as connection:
                found = await connection.fetch(
                    f"SELECT DISTINCT id FROM {self._schema}.{TABLES[kind].name} "  # noqa: S608
                    "WHERE id >= $1 AND id <= $2 ORDER BY id LIMIT 2",
                    _completed_uuid(start, "0"),
                    _completed_uuid(start, "f"),
                )
        if not found:
            raise NotFoundError(f"no {what} id begins with {start!r}")
        if len(found) > 1:
            raise AmbiguousIdError(f"more than one {what} id begins with {start!r}")
        return str(found[0]["id"])

    async def _one(self, connection: Connection, kind: EntityType, entity_id: str) -> Entity:
        table = TABLES[kind]
        row = is_uuid(require_id(entity_id)) and await connection.fetchrow(
            f"SELECT {select_list(table)} FROM {self._schema}.{table.name} WHERE id = $1",  # noqa: S608
            entity_id,
        )
        if not row:
            raise not_found(kind, entity_id)
        if not has_known_names(kind, row):
            raise IntegrityError(
                f"this {kind.value.replace('_', ' ')} has a state or type that is not known here",
                hint="another program wrote it, perhaps a newer acode-tui; see `acode-tui db check --remote`",
            )
        return entity_from_row(kind, row)


def _verified(artifact_id: str, row: Any) -> bytes:
    content = bytes(row["content"])
    if digest(content) != row["content_hash"]:
        raise IntegrityError(f"the content of artifact {artifact_id} does not match its hash")
    return content


def _completed_uuid(start: str, digit: str) -> str:
    pattern = "-".join(digit * length for length in (8, 4, 4, 4, 12))
    return start + pattern[len(start) :]
