"""Pages of sessions by keyset: a page costs about the same for every filter and at every position (AC-056).

``ranges`` finds the rows of a page and, where the filter has a text, ``matches``.
"""

import sqlite3
from typing import TYPE_CHECKING

import msgspec

from acode_tui.domain.search.query import Query
from acode_tui.domain.states import SessionState
from acode_tui.storage.cursors import check_page, cursor_of, decode_cursor, figure_cursor
from acode_tui.storage.ports import SessionFilter, SessionPage
from acode_tui.storage.sqlite.sessions.figure_order import is_figure
from acode_tui.storage.sqlite.sessions.nesting import count_nested, outside_others
from acode_tui.storage.sqlite.sessions.ranges import (
    FIRST,
    LAST,
    Position,
    Range,
    count_rows,
    filtered,
    span_of,
    spans_by_state,
    walk,
)
from acode_tui.storage.sqlite.sessions.summaries import read_summaries

if TYPE_CHECKING:
    from acode_tui.storage.sqlite.sessions.matches import Matches

MAX_POSITION_ENTRIES = 200_000
"""Most index entries that are counted for a position in the list, from either end of it: some 40 ms."""


def by_state(connection: sqlite3.Connection, given: SessionFilter) -> dict[SessionState, int] | None:
    """How many sessions match in each state, without the filter's own states; None where no counter has it."""
    if given.user is not None or given.workspace is not None or given.since or given.until or given.parent is not None:
        return None
    if given.text is not None and given.text.strip():
        return None
    totals = dict(connection.execute("SELECT state, sessions FROM session_totals"))
    return {state: totals.get(str(state), 0) for state in SessionState}


def before(connection: sqlite3.Connection, given: SessionFilter, cursor: str) -> int | None:
    """How many sessions come before the page after a cursor. Raises ValidationError for a bad cursor."""
    totals = None if is_figure(given) else by_state(connection, given)
    if totals is None or given.parent is not None or outside_others(connection, given):
        return None
    states = [state for state in SessionState if not given.states or state in given.states]
    place = decode_cursor(cursor, given.sort)
    at = (place.stamp, place.id)
    if given.sort == "created" and given.states:
        return None  # its index does not begin with the state
    if given.sort == "state":
        # The counters have the states before the cursor's; its own state is one range of an index.
        own = SessionState(place.state)
        earlier = [state for state, _ in spans_by_state(given, before=cursor) if state is not own]
        skipped, states, of = sum(totals[state] for state in earlier), [own], totals[own]
    else:
        skipped, of = 0, sum(totals[state] for state in states)
    index = "sessions_by_creation" if given.sort == "created" else "sessions_by_state"
    stamp = "created_at" if given.sort == "created" else "updated_at"
    asked: list[SessionState | None] = [None] if given.sort == "created" else list(states)

    def entries(upper: Position, lower: Position) -> int | None:
        branch = f"""
            SELECT 1 FROM sessions INDEXED BY {index}
            WHERE {"" if asked == [None] else "state = ? AND"} ({stamp}, id) < (?, ?) AND ({stamp}, id) >= (?, ?)
        """  # noqa: S608
        values: list[str | int] = []
        for state in asked:
            values += [*(() if state is None else (str(state),)), *upper, *lower]
        sql = f"SELECT count(*) FROM (SELECT 1 FROM ({' UNION ALL '.join([branch] * len(asked))}) LIMIT ?)"  # noqa: S608
        counted = int(connection.execute(sql, (*values, MAX_POSITION_ENTRIES + 1)).fetchone()[0])
        return counted if counted <= MAX_POSITION_ENTRIES else None

    if (above := entries(FIRST, at)) is not None:
        return skipped + above
    below = entries(at, LAST)
    return None if below is None else skipped + of - below


_CHUNK = 4_096

MAX_TOTAL_ENTRIES = 5_000
"""Most index entries that are read for a total that no counter has."""


def read_page(
    connection: sqlite3.Connection,
    given: SessionFilter,
    *,
    limit: int,
    after: str | None,
    before: str | None,
    query: Query | None = None,
) -> SessionPage:
    """One page; ``query`` is the filter's text. Raises ValidationError for a bad limit or cursor."""
    check_page(limit, after, before)
    rows = _Rows(connection, given, query)
    if before is not None:
        found, total = rows.beyond(limit + 1, before=before)
        if len(found) <= limit:
            # The first row is reached: return a whole first page, not the few rows before the cursor.
            before = None
    if before is not None:
        found = found[:limit][::-1]
        more_before, more_after = True, not decode_cursor(before, given.sort).is_end
    else:
        found, total = rows.beyond(limit + 1, after=after)
        more_before, more_after = after is not None and bool(found), len(found) > limit
        found = found[:limit]
    sessions = read_summaries(connection, [place[1] for place in found])
    if is_figure(given):
        ends = [figure_cursor(given.sort, *place) for place in (*found[:1], *found[-1:])]
    else:
        ends = [cursor_of(given.sort, session) for session in (*sessions[:1], *sessions[-1:])]
    return SessionPage(
        sessions=tuple(sessions),
        next_cursor=ends[-1] if more_after and ends else None,
        previous_cursor=ends[0] if more_before and ends else None,
        total=total,
    )


def count(connection: sqlite3.Connection, given: SessionFilter, query: Query | None = None) -> int:
    """How many sessions match, exactly; ``query`` is the filter's text."""
    given = _by_time(given)
    if query is not None:
        return _matches(connection, given, query).count()
    if given.parent is not None or outside_others(connection, given):
        return sum(map(len, walk(connection, given, span_of(given), _CHUNK, _CHUNK)))
    total = _counted(connection, given)
    if total is None:
        total = count_rows(connection, given)
    assert total is not None
    return total


class _Rows:
    """Rows of a filter from a position on. Each search is kept, so it serves the further reads of the same page."""

    def __init__(self, connection: sqlite3.Connection, given: SessionFilter, query: Query | None) -> None:
        self._connection = connection
        self._given = given
        self._query = query
        self._searches: dict[tuple[SessionState, ...], Matches] = {}

    def beyond(
        self, limit: int, *, after: str | None = None, before: str | None = None
    ) -> tuple[list[Position], int | None]:
        """The first ``limit`` rows beyond the cursor, in its direction; and how many match in all, where that is cheap.

        Raises ValidationError for a bad cursor.
        """
        if self._given.sort != "state":
            return self._within(self._given, span_of(self._given, after=after, before=before), limit)
        by_time = _by_time(self._given)
        found: list[Position] = []
        for state, span in spans_by_state(self._given, after=after, before=before):
            one = msgspec.structs.replace(by_time, states=(state,))
            found += self._within(one, span, limit - len(found))[0]
            if len(found) >= limit:
                break
        return found, self._within(by_time, span_of(by_time), 1)[1]

    def _within(self, given: SessionFilter, span: Range, limit: int) -> tuple[list[Position], int | None]:
        if self._query is not None:
            search = self._searches.get(tuple(given.states))
            if search is None:
                search = self._searches[tuple(given.states)] = _matches(self._connection, given, self._query)
            return search.places(span, limit)
        if given.parent is not None or outside_others(self._connection, given):
            return filtered(self._connection, given, span, limit), self._nested_total(given)
        total = _counted(self._connection, given)
        if total is None:
            total = count_rows(self._connection, _by_time(given), max_entries=MAX_TOTAL_ENTRIES)
        return filtered(self._connection, given, span, limit), total

    def _nested_total(self, given: SessionFilter) -> int | None:
        """The total of runs of one parent, or of those without one; None where it is not cheap."""
        if given.parent is not None:
            found = filtered(self._connection, given, span_of(given), MAX_TOTAL_ENTRIES + 1)
            return len(found) if len(found) <= MAX_TOTAL_ENTRIES else None
        totals = None if given.states else by_state(self._connection, given)
        nested = None if totals is None else count_nested(self._connection)
        return None if totals is None or nested is None else sum(totals.values()) - nested


def _matches(connection: sqlite3.Connection, given: SessionFilter, query: Query) -> "Matches":
    # Imported with the first search: the dashboard's first frame has a page without one.
    from acode_tui.storage.sqlite.sessions.matches import Matches

    return Matches(connection, given, query)


def _by_time(given: SessionFilter) -> SessionFilter:
    """The same filter, ordered by time."""
    by_other = given.sort == "state" or is_figure(given)
    return msgspec.structs.replace(given, sort="updated") if by_other else given


def _counted(connection: sqlite3.Connection, given: SessionFilter) -> int | None:
    """The total where the counters by state have it."""
    totals = by_state(connection, given)
    return None if totals is None else sum(totals[state] for state in set(given.states or SessionState))
