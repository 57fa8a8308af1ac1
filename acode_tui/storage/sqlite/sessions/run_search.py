"""Searching for places: the matching sessions in their order, and the hits of each."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import cast

import msgspec

from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.entities import Session
from acode_tui.domain.search.hits import Found
from acode_tui.domain.search.query import Query, parse_query
from acode_tui.domain.states import EntityType
from acode_tui.storage.ports import SessionFilter
from acode_tui.storage.search_hits import SearchRequest, hits_of, search_page, search_request
from acode_tui.storage.search_ports import SearchHit, SearchIndex, SearchPage
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.fts5 import require_fts5
from acode_tui.storage.sqlite.readers import Readers
from acode_tui.storage.sqlite.search.extents import FIRST
from acode_tui.storage.sqlite.search.faults import index_faults
from acode_tui.storage.sqlite.search.index import SqliteSearchIndex
from acode_tui.storage.sqlite.search.run_hits import RunHits
from acode_tui.storage.sqlite.sessions.matches import Matches
from acode_tui.storage.sqlite.sessions.ranges import Row, span_of

COUNTED_SESSIONS = 40
COUNTED_DOCUMENTS = 8
COUNTED_HITS = 100
"""Most matching sessions, documents with one of the words, and hits that are counted for a total beyond the page. It
takes about as long as the page.
"""

_FIRST, _MOST = 8, 64
_ROWIDS = "SELECT s.rowid, s.id FROM json_each(?) AS g CROSS JOIN sessions AS s ON s.id = g.value"


class SqliteRunSearch:
    """``RunSearch`` over the workspace file."""

    def __init__(self, readers: Readers, *, index: SearchIndex | None = None, wall: WallClock = system_clock) -> None:
        self._readers = readers
        self._index = index or SqliteSearchIndex(readers.connections, readers)
        self._wall = wall

    async def search(self, query: str, *, limit: int = 50, after: str | None = None) -> SearchPage:
        """A page of hits, of everything that is committed now.

        Raises ValidationError for a query that is not one of the language, IntegrityError for a damaged index, and
        SearchUnavailableError where SQLite has no FTS5.
        """
        request = search_request(query, limit=limit, after=after, now=self._wall())
        require_fts5()
        await self._index.catch_up()

        def read(connection: sqlite3.Connection) -> SearchPage:
            with index_faults():
                return answer(connection, request)

        return await self._readers.run(read)

    async def hits_in(
        self, query: str, session_ids: Sequence[str], *, most: int = 4
    ) -> dict[str, tuple[SearchHit, ...]]:
        """By session, of those given, its first ``most`` hits, as far as it is indexed. See ``RunHitsReader``."""
        parsed = parse_query(query, now=self._wall())

        def read(connection: sqlite3.Connection) -> dict[str, tuple[SearchHit, ...]]:
            with index_faults():
                return hits_in(connection, parsed, session_ids, most)

        return await self._readers.run(read)


def hits_in(
    connection: sqlite3.Connection, query: Query, session_ids: Sequence[str], most: int
) -> dict[str, tuple[SearchHit, ...]]:
    """By session its first hits, in the connection's snapshot; see ``RunHitsReader.hits_in``."""
    matches = Matches(connection, SessionFilter(), query)
    finder = RunHits(connection, query, matches.wanted, matches.excluded)
    given = connection.execute(_ROWIDS, (msgspec.json.encode(list(session_ids)).decode(),)).fetchall()
    finder.look_up([rowid for rowid, _ in given])
    answered: dict[str, tuple[SearchHit, ...]] = {}
    for rowid, session_id in given:
        if found := finder.of(rowid, start=FIRST, skip=0, most=most):
            session = cast(Session, rows.fetch(connection, EntityType.SESSION, session_id))
            answered[session_id] = tuple(hits_of(session, found))
    return answered


def answer(connection: sqlite3.Connection, request: SearchRequest) -> SearchPage:
    """The page that a request asks for, in the connection's snapshot, as far as it is indexed."""
    return _Search(connection, request).page()


class _Search:
    """One search in one snapshot."""

    def __init__(self, connection: sqlite3.Connection, request: SearchRequest) -> None:
        self._connection = connection
        self._request = request
        self._matches = Matches(connection, SessionFilter(), request.query)
        self._hits = RunHits(connection, request.query, self._matches.wanted, self._matches.excluded)
        self._shown = 0
        """Runs that have hits, of those that were looked at for the page."""

    def page(self) -> SearchPage:
        page = search_page(self._runs(), self._request)
        is_whole = self._request.after is None and page.next_cursor is None
        total = len(page.hits) if is_whole else self._total()
        return SearchPage(hits=page.hits, next_cursor=page.next_cursor, total=total)

    def _runs(self) -> Iterator[tuple[Session, list[Found]]]:
        """The matching runs from the request's position on, each with as many of its hits as the page may show."""
        after, limit = self._request.after, self._request.limit
        for row in self._rows():
            start, skip = FIRST, 0
            if after is not None and (after.stamp, after.id) == row[:2]:
                start, skip = after.at, after.shown
            found = self._hits.of(row[2], start=start, skip=skip, most=skip + limit + 1)
            if found:
                self._shown += 1
                yield cast(Session, rows.fetch(self._connection, EntityType.SESSION, row[1])), found

    def _rows(self) -> Iterator[Row]:
        after = self._request.after
        span = span_of(SessionFilter())
        if after is not None:
            # The run itself too, of which hits may be left. No other id begins with a whole one.
            span = span._replace(upper=(after.stamp, f"{after.id}~"))
        count = _FIRST
        while found := self._matches.rows(span, count)[0]:
            self._hits.look_up([row[2] for row in found])
            yield from found
            if len(found) < count:
                return
            span = span._replace(upper=found[-1][:2])
            count = min(count * 2, _MOST)

    def _total(self) -> int | None:
        """How many hits there are in all; None where looking through their runs takes long."""
        if self._shown > COUNTED_SESSIONS:
            return None
        found, _ = self._matches.rows(span_of(SessionFilter()), COUNTED_SESSIONS + 1)
        if len(found) > COUNTED_SESSIONS:
            return None
        documents = total = 0
        for row in found:
            documents += self._hits.documents(row[2])
            if documents > COUNTED_DOCUMENTS:
                return None
            total += self._hits.count(row[2], COUNTED_HITS - total)
            if total > COUNTED_HITS:
                return None
        return total
