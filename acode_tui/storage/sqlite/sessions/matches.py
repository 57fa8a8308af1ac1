"""Positions of the sessions that match a query, in the order of a page.

The index proposes sessions (``search.proposals``). Where they are few, they are looked up, sorted and tested in this
order until the page is full. Where they are many, the order of the page is walked, and those of it that are proposed
are tested. Where these turn out to be few or far from the page's position, walking ends and all are looked up.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from acode_tui.domain.search.facts import agrees
from acode_tui.domain.search.query import Query
from acode_tui.domain.states import SessionState
from acode_tui.storage.ports import SessionFilter
from acode_tui.storage.sqlite.search.matching import Matching
from acode_tui.storage.sqlite.sessions.figure_order import is_figure, of_sessions
from acode_tui.storage.sqlite.sessions.ranges import Position, Range, Row, conditions, figure_conditions, span_of, walk

RARE = 3_000
"""Most proposed sessions that are looked up and sorted at once."""

TESTED = 300
"""Most looked up sessions that are all tested for a total where the index does not decide."""

FEW = 30_000
"""Most proposed sessions that are collected before any is walked, in 3 ms. To ask the index of a part of the order
takes 1 ms where several words are asked for: FTS5 reads their lists from the beginning.
"""

BEGUN, NEAR = 150, 2_000
"""Where more are expected, sessions that are walked, and the index asked of them, before any are collected; and those
that are walked rather than collecting any, as the page is expected to end.
"""

WALKED = 900
"""The same before more are collected."""

COLLECTED = 100_000
"""Most proposed sessions that are collected, in 10 ms. Where there are more, some are near most positions."""

PASSED = 3
"""To look up a collected session takes as long as to pass by so many. Which of the two is expected to fill the page
sooner is done.
"""

_FAILED = """
AND (s.state = 'Failed'
    OR EXISTS (SELECT 1 FROM session_facts AS f INDEXED BY session_facts_with_failures
        WHERE f.session = s.rowid AND f.failed_calls > 0))
"""
"""What ``is:failed`` asks of a session. Few meet it, so this is asked before they are sorted."""

_FAILING = """
SELECT session FROM session_facts INDEXED BY session_facts_with_failures WHERE failed_calls > 0 LIMIT ?
"""

FAILING = 1_000
"""Most sessions with failed calls that are looked up, so that of the others only those that failed are walked."""

_CHUNK, _MOST, _LARGEST = 64, 4_096, 1_024
_MAX_USERS = 200


class Matches:
    """The sessions of a filter that match a query, in one snapshot. What was found serves further pages of it."""

    def __init__(self, connection: sqlite3.Connection, given: SessionFilter, query: Query) -> None:
        self._connection = connection
        self._given = _narrowed(connection, given, query)
        self._matching = Matching(connection, query)
        self._restriction = _FAILED if "failed" in query.is_ else ""
        self.wanted = self._matching.wanted
        """The query's conditions on places."""
        self.excluded = self._matching.excluded
        """The conditions on places that it excludes."""
        self._sorted: list[Row] | None = None
        self._known: dict[int, bool] = {}

    def places(self, span: Range, limit: int) -> tuple[list[Position], int | None]:
        """The positions of the first ``limit`` matching rows of the span; and how many match in all, where known."""
        found, total = self.rows(span, limit)
        return [row[:2] for row in found], total

    def rows(self, span: Range, limit: int) -> tuple[list[Row], int | None]:
        """The first ``limit`` matching rows of the span, in its direction; and how many match in all, where known."""
        if self._given is None:
            return [], 0
        whole = span_of(self._given)
        span = span._replace(upper=min(span.upper, whole.upper), lower=max(span.lower, whole.lower))
        rare = self._looked_up(self._given, RARE)
        if rare is None:
            return self._walked(self._given, span, limit), None
        total = None
        if len(rare) <= TESTED or (len(rare) <= RARE and self._matching.is_decided_by_index):
            total = len(self._matching_rows(rare))
        return self._first_of(rare, span, limit), total

    def count(self) -> int:
        """How many match, exactly."""
        return sum(len(rows) for rows in self.every())

    def every(self) -> Iterator[list[Row]]:
        """All rows that match, some at a time."""
        if self._given is None:
            return
        rare = self._looked_up(self._given, COLLECTED)
        chunks = [rare] if rare is not None else walk(self._connection, self._given, span_of(self._given), _MOST, _MOST)
        for chunk in chunks:
            yield self._matching_rows(chunk)

    def _looked_up(self, given: SessionFilter, cap: int) -> list[Row] | None:
        """The rows of the filter that the index proposes, newest first; None where they are more than ``cap``."""
        if self._sorted is None:
            proposed = self._matching.proposed(cap)
            if proposed is None:
                return None
            self._sorted = _rows_of(self._connection, given, proposed, self._restriction)
        return self._sorted

    def _walked(self, given: SessionFilter, span: Range, limit: int) -> list[Row]:
        found: list[Row] = []
        proposed: set[int] | None = None
        passed, left = 0, 0.0
        if self._matching.expected() <= FEW:
            proposed = self._matching.proposed(FEW)
        for chunk in self._walk(given, span):
            if proposed is None and passed >= BEGUN and left > NEAR:
                proposed = self._matching.proposed(COLLECTED if passed >= WALKED else FEW)
            passed += len(chunk)
            near = chunk if proposed is None else [row for row in chunk if row[2] in proposed]
            for part in _parts(near, self._first(limit - len(found))):
                found += self._matching_rows(part)
                if len(found) >= limit:
                    return found[:limit]
            left = passed * (limit - len(found)) / max(len(found), 0.5)
            if proposed is not None and passed >= WALKED and left > PASSED * len(proposed):
                self._sorted = _rows_of(self._connection, given, proposed, self._restriction)
                return self._first_of(self._sorted, span, limit)
        return found

    def _walk(self, given: SessionFilter, span: Range) -> Iterator[list[Row]]:
        """The span's rows in chunks, without some of which the query's ``is:`` tells that they do not match."""
        if self._restriction and not is_figure(given) and given.parent is None:
            failing = [row[0] for row in self._connection.execute(_FAILING, (FAILING + 1,))]
            if len(failing) <= FAILING:
                yield from self._walk_failed(given, span, failing)
                return
        yield from walk(self._connection, given, span, _CHUNK, _MOST)

    def _walk_failed(self, given: SessionFilter, span: Range, failing: Sequence[int]) -> Iterator[list[Row]]:
        """The sessions that failed, and with them these ones, in the span's order."""
        rows = _rows_of(self._connection, given, failing, " AND s.state != 'Failed'")
        others = [row for row in rows if span.lower < row[:2] < span.upper]
        if not span.newest_first:
            others.reverse()
        if not given.states or SessionState.FAILED in given.states:
            failed = msgspec.structs.replace(given, states=(SessionState.FAILED,))
            for chunk in walk(self._connection, failed, span, _CHUNK, _MOST):
                last = chunk[-1][:2]
                near = [row for row in others if (row[:2] > last) is span.newest_first]
                others = others[len(near) :]
                yield sorted([*chunk, *near], reverse=span.newest_first) if near else chunk
        if others:
            yield others

    def _first_of(self, rows: Sequence[Row], span: Range, limit: int) -> list[Row]:
        """The first matching ones of rows that are sorted newest first."""
        found: list[Row] = []
        # A page of hits asks for further sessions some times, and they may be many.
        first = bisect_left(rows, True, key=lambda row: row[:2] < span.upper)
        held = rows[first : bisect_left(rows, True, lo=first, key=lambda row: row[:2] <= span.lower)]
        for part in _parts(held if span.newest_first else held[::-1], self._first(limit)):
            found += self._matching_rows(part)
            if len(found) >= limit:
                break
        return found[:limit]

    def _first(self, wanted: int) -> int:
        """How many sessions are tested at first: where their texts are read, none more than may be needed."""
        return _CHUNK if self._matching.is_decided_by_index else max(1, min(wanted, _CHUNK))

    def _matching_rows(self, rows: Sequence[Row]) -> list[Row]:
        asked = [row[2] for row in rows if row[2] not in self._known]
        if asked:
            matching = self._matching.matching(asked)
            self._known.update((session, session in matching) for session in asked)
        return [row for row in rows if self._known[row[2]]]


def _parts(rows: Sequence[Row], first: int) -> Iterator[Sequence[Row]]:
    """A page is mostly filled by the first part; the further parts grow, for each costs some statements."""
    start, size = 0, first
    while start < len(rows):
        yield rows[start : start + size]
        start, size = start + size, min(size * 2, _LARGEST)


def _rows_of(
    connection: sqlite3.Connection, given: SessionFilter, sessions: Iterable[int], restriction: str
) -> list[Row]:
    """The rows of the filter among these sessions that meet a further condition, newest or largest first."""
    if is_figure(given):
        where, values = figure_conditions(given)
        return of_sessions(connection, given, (where + restriction, values), sessions)
    stamp = "created_at" if given.sort == "created" else "updated_at"
    where, values = conditions(given, "s.")
    where += restriction
    span = span_of(given)
    sql = f"""
        SELECT s.{stamp}, s.id, s.rowid FROM json_each(?) AS g CROSS JOIN sessions AS s ON s.rowid = g.value
        WHERE (s.{stamp}, s.id) < (?, ?) AND (s.{stamp}, s.id) > (?, ?){where}
    """  # noqa: S608
    asked = f"[{','.join(map(str, sorted(sessions)))}]"
    return sorted(connection.execute(sql, (asked, *span.upper, *span.lower, *values)), reverse=True)


def _narrowed(connection: sqlite3.Connection, given: SessionFilter, query: Query) -> SessionFilter | None:
    """The filter with those conditions of the query that it can have; None where no session meets both."""
    narrowed = given
    if query.states:
        states = tuple(state for state in given.states or query.states if state in query.states)
        if not states:
            return None
        narrowed = msgspec.structs.replace(narrowed, states=states)
    if query.users and given.user is None:
        users = _fitting_users(connection, query.users)
        if users is not None and len(users) <= 1:
            if not users:
                return None
            narrowed = msgspec.structs.replace(narrowed, user=users[0])
    since = max((moment for moment in (given.since, query.since) if moment is not None), default=None)
    if given.sort != "created" and since is not None:
        narrowed = msgspec.structs.replace(narrowed, since=since)
    return narrowed


def _fitting_users(connection: sqlite3.Connection, wanted: Sequence[str]) -> list[str] | None:
    """The users that the query names, as they are stored; None where there are too many users to compare."""
    found: list[str] = []
    user = ""
    for _ in range(_MAX_USERS):
        (user,) = connection.execute("SELECT min(user_id) FROM sessions WHERE user_id > ?", (user,)).fetchone()
        if user is None:
            return found
        if any(agrees("user", one, user) for one in wanted):
            found.append(user)
    return None
