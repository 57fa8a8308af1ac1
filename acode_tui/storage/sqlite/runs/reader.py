"""Reading runs from the workspace file: each method is one read in one snapshot."""

import json
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.entities import (
    Artifact,
    Session,
    SessionEvent,
    SessionGraph,
)
from acode_tui.domain.errors import AmbiguousIdError, NotFoundError, ValidationError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.search.query import Query, parse_query
from acode_tui.domain.states import ArtifactType, EntityType, SessionState
from acode_tui.domain.validation import require_id
from acode_tui.storage.cursors import FIGURES
from acode_tui.storage.ports import SessionFilter, SessionPage, SessionPart
from acode_tui.storage.search_ports import SearchIndex
from acode_tui.storage.session_filter import require_filter
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.contents import verified
from acode_tui.storage.sqlite.readers import Readers
from acode_tui.storage.sqlite.runs.read_graph import read_events, read_graph, read_part
from acode_tui.storage.sqlite.runs.row_writes import require
from acode_tui.storage.sqlite.search.faults import index_faults
from acode_tui.storage.sqlite.search.index import SqliteSearchIndex
from acode_tui.storage.sqlite.sessions import pages

_CONTENT = "SELECT content, size, content_hash FROM artifacts WHERE id = ?"
_CONTENTS = "SELECT id, content, size, content_hash FROM artifacts WHERE id IN (SELECT value FROM json_each(?))"
_OF_SESSIONS = f"""
SELECT {rows.COLUMNS[EntityType.ARTIFACT]} FROM artifacts INDEXED BY artifacts_by_session
WHERE session_id IN (SELECT value FROM json_each(?)) AND type IN (SELECT value FROM json_each(?))
ORDER BY created_at, rowid
"""  # noqa: S608
_BY_PREFIX = {
    kind: f"SELECT id FROM {table.name} WHERE id >= ? AND id < ? ORDER BY id LIMIT 2"  # noqa: S608
    for kind, table in TABLES.items()
}


class SqliteRunStateReader:
    """``RunStateReader`` over the workspace file."""

    def __init__(
        self,
        readers: Readers,
        *,
        index: SearchIndex | None = None,
        wall: WallClock = system_clock,
        price: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """``price`` sees to it that every run has its cost; without it, the costs that are stored order the runs."""
        self._readers = readers
        self._index = index or SqliteSearchIndex(readers.connections, readers)
        self._wall = wall
        self._price = price

    async def get(self, session_id: str) -> Session:
        """A session by its whole id. Raises NotFoundError."""
        found = await self._readers.run(lambda connection: require(connection, EntityType.SESSION, session_id))
        return cast(Session, found)

    async def list(
        self,
        filter: SessionFilter | None = None,
        *,
        limit: int = 50,
        after: str | None = None,
        before: str | None = None,
    ) -> SessionPage:
        """One keyset page, newest first. Raises ValidationError for a bad limit, cursor or text."""
        given = require_filter(filter)
        query = await self._query_of(given)

        def read(connection: sqlite3.Connection) -> SessionPage:
            with index_faults():
                return pages.read_page(connection, given, limit=limit, after=after, before=before, query=query)

        return await self._readers.run(read)

    async def count(self, filter: SessionFilter | None = None) -> int:
        """How many sessions match, exactly."""
        given = require_filter(filter)
        query = await self._query_of(given)

        def read(connection: sqlite3.Connection) -> int:
            with index_faults():
                return pages.count(connection, given, query)

        return await self._readers.run(read)

    async def count_by_state(self, filter: SessionFilter | None = None) -> dict[SessionState, int] | None:
        """How many match in each state, without the filter's own states; None where no counter has it."""
        given = require_filter(filter)
        return await self._readers.run(lambda connection: pages.by_state(connection, given))

    async def count_unknown(self) -> int:
        """None: this program alone writes the file, and a state that it does not know is damage, and an error."""
        return 0

    async def count_before(self, filter: SessionFilter, cursor: str) -> int | None:
        """How many come before the page after a cursor; None where counting is not cheap."""
        given = require_filter(filter)
        return await self._readers.run(lambda connection: pages.before(connection, given, cursor))

    async def _query_of(self, given: SessionFilter) -> Query | None:
        """The query that the filter's text is; None where it has no text. Everything committed is in the index then."""
        if given.sort == "cost" and self._price is not None:
            await self._price()
        if given.text is None or not given.text.strip():
            if given.parent is not None or given.sort in FIGURES:
                await self._index.catch_up()
            return None
        query = parse_query(given.text, now=self._wall())
        await self._index.catch_up()
        return query

    async def get_events(self, session_id: str) -> tuple[SessionEvent, ...]:
        """A session's events, oldest first. Raises NotFoundError."""

        def read(connection: sqlite3.Connection) -> tuple[SessionEvent, ...]:
            require(connection, EntityType.SESSION, session_id)
            return read_events(connection, session_id)

        return await self._readers.run(read)

    async def get_with_hierarchy(self, session_id: str) -> SessionGraph:
        """The whole run: one query a table. Raises NotFoundError."""
        return await self._readers.run(lambda connection: read_graph(connection, session_id))

    async def get_part(self, session_id: str, *, steps: int, from_end: bool = False) -> SessionPart:
        """The first or the last steps of a run. Raises NotFoundError."""
        return await self._readers.run(lambda connection: read_part(connection, session_id, steps, from_end=from_end))

    async def get_artifact(self, artifact_id: str) -> Artifact:
        """An artifact's metadata. Raises NotFoundError."""
        found = await self._readers.run(lambda connection: require(connection, EntityType.ARTIFACT, artifact_id))
        return cast(Artifact, found)

    async def get_artifact_content(self, artifact_id: str) -> bytes:
        """An artifact's bytes. Raises NotFoundError, or IntegrityError where they do not fit their hash."""
        require_id(artifact_id)
        row: tuple[bytes, int, str] | None = await self._readers.run(
            lambda connection: connection.execute(_CONTENT, (artifact_id,)).fetchone()
        )
        if row is None:
            raise NotFoundError(f"there is no artifact {artifact_id[:64]!r}")
        stored, size, content_hash = row
        return verified(artifact_id, stored, size, content_hash)

    async def get_artifact_contents(self, artifact_ids: Sequence[str]) -> dict[str, bytes]:
        """The bytes of several artifacts. Raises IntegrityError where one's do not fit their hash."""

        def read(connection: sqlite3.Connection) -> dict[str, bytes]:
            found = connection.execute(_CONTENTS, (json.dumps(list(artifact_ids)),))
            return {row[0]: verified(*row) for row in found}

        return await self._readers.run(read)

    async def get_artifacts_of(self, session_ids: Sequence[str], types: Sequence[ArtifactType]) -> tuple[Artifact, ...]:
        """The artifacts of these types in several sessions, oldest first."""
        wanted = (json.dumps(list(session_ids)), json.dumps([each.value for each in types]))

        def read(connection: sqlite3.Connection) -> tuple[Artifact, ...]:
            found = [rows.from_row(EntityType.ARTIFACT, row) for row in connection.execute(_OF_SESSIONS, wanted)]
            return tuple(cast(list[Artifact], found))

        return await self._readers.run(read)

    async def resolve_id(self, kind: EntityType, prefix: str) -> str:
        """The one id that begins with ``prefix``. Raises NotFoundError, AmbiguousIdError, ValidationError."""
        start = require_id(prefix).strip().lower()
        if not start or len(start) > 36 or not set(start) <= set("0123456789abcdef-"):
            raise ValidationError("id", "must be a UUID or the beginning of one")
        ends = (start, start + "g")
        found = await self._readers.run(lambda connection: connection.execute(_BY_PREFIX[kind], ends).fetchall())
        what = kind.value.replace("_", " ")
        if not found:
            raise NotFoundError(f"no {what} id begins with {start!r}")
        if len(found) > 1:
            raise AmbiguousIdError(f"more than one {what} id begins with {start!r}")
        return str(found[0][0])
