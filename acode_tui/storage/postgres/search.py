"""Finds places in the runs of the whole team: ``RunSearch`` over PostgreSQL.

``session_search`` and the columns of ``sessions`` give the sessions that may match, newest first; their rows are read
and the places found by the rule that both databases share. So words that an edit took out of a row, and that
``session_search`` still has, are not found.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from functools import partial

from acode_tui.domain.clock import WallClock, format_time, parse_time, system_clock
from acode_tui.domain.entities import Session
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.search.hits import Found, snippet_of
from acode_tui.domain.search.places import Place
from acode_tui.domain.states import EntityType
from acode_tui.storage.ports import SearchHit, SearchPage
from acode_tui.storage.postgres.connection import ReadPool
from acode_tui.storage.postgres.identifiers import Connection, is_uuid, quoted_schema
from acode_tui.storage.postgres.matcher import MOST_RUNS, RUNS_A_PAGE, Matcher
from acode_tui.storage.postgres.migrate import check_schema
from acode_tui.storage.postgres.rows import entity_values
from acode_tui.storage.postgres.session_conditions import (
    SessionCandidates,
    SessionSelect,
    find_few,
    without_scans,
)
from acode_tui.storage.search_hits import (
    SearchPosition,
    SearchRequest,
    encode_search_cursor,
    hits_of,
    places_before,
    search_page,
    search_request,
)

FIRST_RUNS = 4
"""Runs that are read at first: a page of a common word ends within them. Each further group has twice as many."""

_SESSIONS = TABLES[EntityType.SESSION]


class PostgresRunSearch:
    """``RunSearch`` over a pool that the caller closes."""

    def __init__(self, pool: ReadPool, *, schema: str = "public", wall: WallClock = system_clock) -> None:
        self._pool = pool
        self._schema_name = schema
        self._schema = quoted_schema(schema)
        self._wall = wall

    async def search(self, query: str, *, limit: int = 50, after: str | None = None) -> SearchPage:
        """A page of hits. It may have fewer than ``limit`` and yet a cursor, where matches are far between.

        Raises ValidationError, and SchemaMismatchError where the schema is not this program's.
        """
        request = search_request(query, limit=limit, after=after, now=self._wall())
        if request.after is not None and not is_uuid(request.after.id):
            raise ValidationError("cursor", "is not one that a search gave out", hint="start again without it")
        async with self._pool.connection() as connection:
            await check_schema(connection, self._schema_name)
            async with without_scans(connection):
                return await self._page(connection, request)

    async def hits_in(
        self, query: str, session_ids: Sequence[str], *, most: int = 4
    ) -> dict[str, tuple[SearchHit, ...]]:
        """By session, of those given, its first ``most`` hits. See ``RunHitsReader``."""
        request = search_request(query, limit=most, after=None, now=self._wall())
        ids = [each for each in session_ids if is_uuid(each)]
        found: dict[str, tuple[SearchHit, ...]] = {}
        if not ids:
            return found
        async with self._pool.connection() as connection:
            await check_schema(connection, self._schema_name)
            async with without_scans(connection):
                few = await find_few(connection, self._schema, request.query)
                near = not await self._pool.is_distributed(connection, self._schema_name)
                candidates = SessionCandidates(connection, self._schema, request.query, few, near=near)
                rows = await candidates.fetch(partial(_select_ids, ids=ids), len(ids))
                sessions = [Session(**entity_values(_SESSIONS.columns, row)) for row in rows]
                matcher = Matcher(connection, self._schema, request.query)
                for session, places in await matcher.places(sessions):
                    found[session.id] = tuple(hits_of(session, _found(request, places[:most], 0)))
        return found

    async def _page(self, connection: Connection, request: SearchRequest) -> SearchPage:
        runs: list[tuple[Session, list[Found]]] = []
        before, hits, scanned, ended = request.after, 0, 0, True
        last: tuple[Session, int, datetime | None] | None = None
        matcher = Matcher(connection, self._schema, request.query)
        async for sessions, has_more in self._candidates(connection, request):
            last = sessions[-1], 0, None
            for session, places in await matcher.places(sessions):
                skipped = places_before(before, session, places)
                runs.append((session, _found(request, places, skipped)))
                hits += len(places) - skipped
                if session.id == sessions[-1].id:
                    last = session, len(places), None
            scanned += len(sessions)
            if has_more and (hits > request.limit or scanned >= RUNS_A_PAGE):
                ended = False
                break
        page = search_page(runs, request, total=hits if ended and before is None else None)
        if page.next_cursor is not None or ended or last is None:
            return page
        return SearchPage(hits=page.hits, next_cursor=encode_search_cursor(*last), total=None)

    async def _candidates(
        self, connection: Connection, request: SearchRequest
    ) -> AsyncIterator[tuple[list[Session], bool]]:
        """The sessions that may match, newest first, from the one of the request's position on, in groups.

        With each group whether there is another behind it.
        """
        near = not await self._pool.is_distributed(connection, self._schema_name)
        candidates = SessionCandidates(connection, self._schema, request.query, (), near=near)
        position, comparison, size = request.after, "<=", FIRST_RUNS
        is_counted, read, has_more = False, list[Session](), True
        while has_more or read:
            if not read:
                # One more than the group, which says whether there is another.
                asked = size + 1
                select = partial(_select, position=position, comparison=comparison)
                rows = None if is_counted else await candidates.probe(partial(select, size=asked), asked)
                if rows is None:
                    if not is_counted:
                        await candidates.count()
                        is_counted = True
                    # To collect the sessions that few have, and to sort them, takes as long for one group as for all.
                    asked = MOST_RUNS + 1 if candidates.are_few else asked
                    rows = await candidates.fetch(partial(select, size=asked), asked)
                read = [Session(**entity_values(_SESSIONS.columns, row)) for row in rows[: asked - 1]]
                has_more = len(rows) == asked
                if not read:
                    return
            group, read = read[:size], read[size:]
            yield group, has_more or bool(read)
            position, comparison = SearchPosition(format_time(group[-1].updated_at), group[-1].id, 0), "<"
            size = min(size * 2, MOST_RUNS)


def _select(select: SessionSelect, *, position: SearchPosition | None, comparison: str, size: int) -> str:
    conditions = []
    if position is not None:
        stamp, entity_id = select.parameter(parse_time(position.stamp)), select.parameter(position.id)
        conditions.append(f"(s.updated_at, s.id) {comparison} ({stamp}, {entity_id}::uuid)")
    return select.rows(conditions, order="s.updated_at DESC, s.id DESC", limit=select.parameter(size))


def _select_ids(select: SessionSelect, *, ids: list[str]) -> str:
    condition = f"s.id = ANY({select.parameter(ids)}::uuid[])"
    return select.rows([condition], order="s.updated_at DESC, s.id DESC", limit=select.parameter(len(ids)))


def _found(request: SearchRequest, places: Sequence[Place], skipped: int) -> list[Found]:
    """As many of a run's hits as its page may show; those that an earlier page showed have no snippet."""
    return [
        Found(place, snippet_of(request.query, place) if number >= skipped else "")
        for number, place in enumerate(places[: skipped + request.limit + 1])
    ]
