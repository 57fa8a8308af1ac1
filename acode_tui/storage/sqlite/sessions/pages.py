"""Pages of sessions by keyset: whatever the filter and however far, a page costs about the same (AC-056).

Which rows stand on a page is the business of ``session_ranges`` and, where a text is asked for, ``session_search``.
"""

import sqlite3

import msgspec

from acode_tui.domain.states import SessionState
from acode_tui.storage.cursors import check_page, cursor_of, decode_cursor
from acode_tui.storage.ports import SessionFilter, SessionPage
from acode_tui.storage.sqlite.session_counts import by_state
from acode_tui.storage.sqlite.sessions.ranges import Place, Range, count_rows, filtered, span_of, spans_by_state
from acode_tui.storage.sqlite.sessions.search import TextSearch
from acode_tui.storage.sqlite.summaries import read_summaries

COUNTED_ENTRIES = 5_000
"""A total that no counter knows is given where it takes looking at no more index entries than this."""


def read_page(
    connection: sqlite3.Connection,
    given: SessionFilter,
    *,
    limit: int,
    after: str | None,
    before: str | None,
) -> SessionPage:
    """One page. Raises ValidationError for a bad limit or cursor."""
    check_page(limit, after, before)
    rows = _Rows(connection, given)
    if before is not None:
        found, total = rows.beyond(limit + 1, before=before)
        if len(found) <= limit:
            # The top is reached: show a whole first page rather than the few rows above the cursor.
            before = None
    if before is not None:
        found = found[:limit][::-1]
        more_before, more_after = True, not decode_cursor(before, given.sort).is_end
    else:
        found, total = rows.beyond(limit + 1, after=after)
        more_before, more_after = after is not None and bool(found), len(found) > limit
        found = found[:limit]
    sessions = read_summaries(connection, [place[1] for place in found])
    ends = [cursor_of(given.sort, session) for session in (*sessions[:1], *sessions[-1:])]
    return SessionPage(
        sessions=tuple(sessions),
        next_cursor=ends[-1] if more_after and ends else None,
        previous_cursor=ends[0] if more_before and ends else None,
        total=total,
    )


def count(connection: sqlite3.Connection, given: SessionFilter) -> int:
    """How many sessions fit, exactly."""
    given = _by_time(given)
    if _has_text(given):
        return TextSearch(connection, given).count()
    total = _counted(connection, given)
    if total is None:
        total = count_rows(connection, given)
    assert total is not None
    return total


class _Rows:
    """Rows of a filter from a place on; what a search has found out serves every page that is asked of it."""

    def __init__(self, connection: sqlite3.Connection, given: SessionFilter) -> None:
        self._connection = connection
        self._given = given
        self._searches: dict[tuple[SessionState, ...], TextSearch] = {}

    def beyond(
        self, limit: int, *, after: str | None = None, before: str | None = None
    ) -> tuple[list[Place], int | None]:
        """The first ``limit`` rows beyond the cursor, in its direction; and how many fit in all, where that is cheap.

        Raises ValidationError for a bad cursor.
        """
        if self._given.sort != "state":
            return self._within(self._given, span_of(self._given, after=after, before=before), limit)
        by_time = _by_time(self._given)
        found: list[Place] = []
        for state, span in spans_by_state(self._given, after=after, before=before):
            one = msgspec.structs.replace(by_time, states=(state,))
            found += self._within(one, span, limit - len(found))[0]
            if len(found) >= limit:
                break
        return found, self._within(by_time, span_of(by_time), 1)[1]

    def _within(self, given: SessionFilter, span: Range, limit: int) -> tuple[list[Place], int | None]:
        if _has_text(given):
            search = self._searches.get(tuple(given.states))
            if search is None:
                search = self._searches[tuple(given.states)] = TextSearch(self._connection, given)
            return search.places(span, limit)
        total = _counted(self._connection, given)
        if total is None:
            total = count_rows(self._connection, given, looking_at=COUNTED_ENTRIES)
        return filtered(self._connection, given, span, limit), total


def _by_time(given: SessionFilter) -> SessionFilter:
    """The same sessions in the order of a time."""
    return msgspec.structs.replace(given, sort="updated") if given.sort == "state" else given


def _has_text(given: SessionFilter) -> bool:
    return given.text is not None and bool(given.text.strip())


def _counted(connection: sqlite3.Connection, given: SessionFilter) -> int | None:
    """The total where the counters by state know it."""
    totals = by_state(connection, given)
    return None if totals is None else sum(totals[state] for state in set(given.states or SessionState))
