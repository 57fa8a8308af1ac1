"""Whole runs of the team as streams of rows, for an archive: ``RunRows`` over PostgreSQL."""

import asyncio
from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from acode_tui.domain.entities import Artifact, Entity
from acode_tui.domain.errors import IntegrityError
from acode_tui.domain.schema import TABLES
from acode_tui.storage.postgres.connection import ReadPool
from acode_tui.storage.postgres.identifiers import quoted_schema
from acode_tui.storage.postgres.run_state_reader import PostgresRunStateReader

T = TypeVar("T")


class PostgresRunRows:
    """``RunRows`` over a pool that the caller closes. One artifact's content is in memory at a time."""

    def __init__(self, pool: ReadPool, *, schema: str = "public") -> None:
        self._pool = pool
        self._schema = quoted_schema(schema)
        self._store = PostgresRunStateReader(pool, schema=schema)

    async def session_ids(self, *, after: str, limit: int) -> tuple[str, ...]:
        """The next ids in order; empty at the end. ``after`` is empty at the beginning."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(
                f"SELECT id FROM {self._schema}.sessions WHERE $1::text = '' OR id > NULLIF($1, '')::uuid "  # noqa: S608
                "ORDER BY id LIMIT $2",
                after,
                limit,
            )
        return tuple(str(row["id"]) for row in rows)

    async def count(self) -> int:
        """How many sessions there are."""
        return await self._store.count()

    async def rows(self, session_id: str) -> int:
        """How many rows a session has; 0 of one that is not there."""
        counts = [
            f"(SELECT count(*) FROM {self._schema}.{table.name} WHERE {table.session_column} = $1)"  # noqa: S608
            for table in TABLES.values()
        ]
        async with self._pool.connection() as connection:
            return int(await connection.fetchval(f"SELECT {' + '.join(counts)}", session_id))

    async def walk(self, session_id: str, consume: Callable[[Iterator[Entity]], T]) -> T:
        """What ``consume`` answers in another thread, given the run's rows in order.

        Raises NotFoundError, and IntegrityError where a row cannot be read, so that it would be missing in a copy.
        """
        graph = await self._store.get_with_hierarchy(session_id)
        entities = [_row_of(entity) for entity in graph.entities()]
        if (held := await self.rows(session_id)) != len(entities):
            raise IntegrityError(
                f"session {session_id} has {held - len(entities)} rows that this program cannot read",
                hint="another program wrote them, perhaps a newer acode-tui; see `acode-tui db check --remote`",
            )
        loop = asyncio.get_running_loop()

        def loaded() -> Iterator[Entity]:
            for entity in entities:
                if isinstance(entity, Artifact):
                    content = asyncio.run_coroutine_threadsafe(self._store.get_content_in(session_id, entity.id), loop)
                    yield msgspec.structs.replace(entity, content=content.result())
                else:
                    yield entity

        return await asyncio.to_thread(lambda: consume(loaded()))


def _row_of(entity: Entity) -> Entity:
    """A row of a graph without its children."""
    made = TABLES[entity.kind].entity
    return made(**{name: getattr(entity, name) for name in made.__struct_fields__})
