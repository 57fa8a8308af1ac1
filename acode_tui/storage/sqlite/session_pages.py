"""Pages of sessions by keyset: whatever the filter and however far, a page costs about the same (AC-056).

Each state is one range of an index that begins with the equalities and goes on with ``(updated_at, id)``. A page merges
the first rows of those ranges, so no filter on state, user or workspace ever walks past rows it does not want.

Text that fits few rows is looked up in the full-text indexes and sorted. Text that fits very many is found by walking
pages and testing each row, because sorting every match would cost more than finding the newest fifty.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from acode_tui.domain.errors import ValidationError
from acode_tui.domain.states import SessionState
from acode_tui.domain.times import format_time
from acode_tui.storage.cursors import decode_cursor, encode_cursor
from acode_tui.storage.ports import SessionFilter, SessionPage
from acode_tui.storage.sqlite.search import FTS_TABLES, match_expression
from acode_tui.storage.sqlite.summaries import read_summaries

MAX_PAGE = 200
COUNT_CAP = 10_000
"""Beyond this many, a filter that no counter serves is reported without a total."""

MATCH_CAP = 20_000
"""Matches that are sorted outright; more, and pages are walked instead."""

WALK_CAP = 4_000
"""Rows tested on a walk before every match is sorted after all."""

Place = tuple[str, str]
_FIRST: Place = ("9", "~")
_LAST: Place = ("", "")


class _Range(NamedTuple):
    """An open interval of ``(stamp, id)`` to read in one direction."""

    upper: Place
    lower: Place
    newest_first: bool


def read_page(
    connection: sqlite3.Connection,
    given: SessionFilter,
    *,
    limit: int,
    after: str | None,
    before: str | None,
) -> SessionPage:
    """One page. Raises ValidationError for a bad limit or cursor."""
    if not 1 <= limit <= MAX_PAGE:
        raise ValidationError("limit", f"is {limit}; a page holds 1 to {MAX_PAGE}")
    if after is not None and before is not None:
        raise ValidationError("cursor", "after and before cannot be given together")
    if before is not None:
        found = _places(connection, given, _range(given, before=before), limit + 1)
        if len(found) <= limit:
            # The top is reached: show a whole first page rather than the few rows above the cursor.
            return read_page(connection, given, limit=limit, after=None, before=None)
        found = found[:limit][::-1]
        more_before, more_after = True, True
    else:
        found = _places(connection, given, _range(given, after=after), limit + 1)
        more_before, more_after = after is not None and bool(found), len(found) > limit
        found = found[:limit]
    sessions = read_summaries(connection, [place[1] for place in found])
    stamp = "updated_at" if given.sort == "updated" else "created_at"
    ends = [encode_cursor(given.sort, getattr(s, stamp), s.id) for s in (*sessions[:1], *sessions[-1:])]
    return SessionPage(
        sessions=tuple(sessions),
        next_cursor=ends[-1] if more_after and ends else None,
        previous_cursor=ends[0] if more_before and ends else None,
        total=_cheap_total(connection, given),
    )


def count(connection: sqlite3.Connection, given: SessionFilter) -> int:
    """How many sessions fit, exactly."""
    total = _counted(connection, given)
    if total is not None:
        return total
    if given.text is None or not given.text.strip():
        return _count_rows(connection, given, -1)
    expression = match_expression(given.text)
    return 0 if expression is None else len(_sorted_matches(connection, given, expression, _range(given), -1, -1))


def _range(given: SessionFilter, *, after: str | None = None, before: str | None = None) -> _Range:
    upper = _FIRST if given.until is None else (_bound(given.until), "")
    lower = _LAST if given.since is None else (_bound(given.since), "")
    if after is not None:
        place = decode_cursor(after, given.sort)
        upper = min(upper, (place.stamp, place.id))
    if before is not None:
        place = decode_cursor(before, given.sort)
        lower = max(lower, (place.stamp, place.id))
    return _Range(upper, lower, newest_first=before is None)


def _bound(moment: datetime) -> str:
    return format_time(moment)


def _places(connection: sqlite3.Connection, given: SessionFilter, span: _Range, limit: int) -> list[Place]:
    """The first ``limit`` rows of the span that fit, in the span's direction."""
    if given.text is None or not given.text.strip():
        return _filtered(connection, given, span, limit)
    expression = match_expression(given.text)
    if expression is None:
        return []
    matching = _match_counts(connection, expression)
    if not matching:
        return []
    if max(matching.values()) <= MATCH_CAP:
        return _sorted_matches(connection, given, expression, span, limit, MATCH_CAP)
    found: list[Place] = []
    tested = 0
    for places in _walk(connection, given, span, limit * 4):
        found.extend(_matching(connection, expression, matching, places))
        tested += len(places)
        if len(found) >= limit:
            return found[:limit]
        if tested >= WALK_CAP:
            return _sorted_matches(connection, given, expression, span, limit, -1)
    return found


def _filtered(connection: sqlite3.Connection, given: SessionFilter, span: _Range, limit: int) -> list[Place]:
    order = "DESC" if span.newest_first else "ASC"
    bounds = (*span.upper, *span.lower)
    if given.sort == "created":
        where, values = _conditions(given)
        sql = f"""
            SELECT created_at, id FROM sessions
            WHERE (created_at, id) < (?, ?) AND (created_at, id) > (?, ?){where}
            ORDER BY created_at {order}, id {order} LIMIT ?
        """  # noqa: S608
        return connection.execute(sql, (*bounds, *values, limit)).fetchall()
    equal, values = _equalities(given)
    branch = f"""
        SELECT * FROM (
            SELECT updated_at, id FROM sessions
            WHERE {equal}state = ? AND (updated_at, id) < (?, ?) AND (updated_at, id) > (?, ?)
            ORDER BY updated_at {order}, id {order} LIMIT ?
        )
    """  # noqa: S608
    states = given.states or tuple(SessionState)
    sql = f"{' UNION ALL '.join([branch] * len(states))} ORDER BY 1 {order}, 2 {order} LIMIT ?"
    parameters: list[str | int] = []
    for state in states:
        parameters += [*values, str(state), *bounds, limit]
    return connection.execute(sql, (*parameters, limit)).fetchall()


def _equalities(given: SessionFilter) -> tuple[str, list[str]]:
    """The user and workspace as leading equalities of an index."""
    sql, values = "", []
    if given.user is not None:
        sql += "user_id = ? AND "
        values.append(given.user)
    if given.workspace is not None:
        sql += "workspace_id = ? AND "
        values.append(given.workspace)
    return sql, values


def _conditions(given: SessionFilter, prefix: str = "") -> tuple[str, list[str]]:
    """Everything but text and time, as conditions on each row."""
    sql, values = "", []
    for column, value in (("user_id", given.user), ("workspace_id", given.workspace)):
        if value is not None:
            sql += f" AND {prefix}{column} = ?"
            values.append(value)
    if given.states:
        sql += f" AND {prefix}state IN ({', '.join('?' for _ in given.states)})"
        values += [str(state) for state in given.states]
    return sql, values


def _walk(connection: sqlite3.Connection, given: SessionFilter, span: _Range, chunk: int) -> Iterator[list[Place]]:
    """The span's rows in chunks, text left aside."""
    while places := _filtered(connection, given, span, chunk):
        yield places
        if len(places) < chunk:
            return
        span = span._replace(upper=places[-1]) if span.newest_first else span._replace(lower=places[-1])


def _match_counts(connection: sqlite3.Connection, expression: str) -> dict[str, int]:
    """How many rows of each full-text index match, counted no further than the cap; those with none left out."""
    counts = {}
    for index in FTS_TABLES:
        sql = f"SELECT count(*) FROM (SELECT 1 FROM {index} WHERE {index} MATCH ? LIMIT ?)"  # noqa: S608
        found = connection.execute(sql, (expression, MATCH_CAP + 1)).fetchone()[0]
        if found:
            counts[index] = int(found)
    return counts


def _sorted_matches(
    connection: sqlite3.Connection, given: SessionFilter, expression: str, span: _Range, limit: int, cap: int
) -> list[Place]:
    """Every match gathered, then sorted. A limit or cap of -1 means none."""
    stamp = "updated_at" if given.sort == "updated" else "created_at"
    order = "DESC" if span.newest_first else "ASC"
    hits = " UNION ".join(
        f"SELECT {'id' if table == 'sessions' else 'session_id'} FROM {table} "  # noqa: S608
        f"WHERE rowid IN (SELECT rowid FROM {index} WHERE {index} MATCH ? LIMIT ?)"
        for index, table in FTS_TABLES.items()
    )
    where, values = _conditions(given, "s.")
    sql = f"""
        WITH hit (id) AS ({hits})
        SELECT s.{stamp}, s.id FROM hit CROSS JOIN sessions AS s ON s.id = hit.id
        WHERE (s.{stamp}, s.id) < (?, ?) AND (s.{stamp}, s.id) > (?, ?){where}
        ORDER BY s.{stamp} {order}, s.id {order} LIMIT ?
    """  # noqa: S608
    matches: list[str | int] = [expression, cap] * len(FTS_TABLES)
    return connection.execute(sql, (*matches, *span.upper, *span.lower, *values, limit)).fetchall()


def _matching(
    connection: sqlite3.Connection, expression: str, indexes: dict[str, int], places: Sequence[Place]
) -> list[Place]:
    """Those of the rows that match, in the order given."""
    tests = []
    for index in indexes:
        table = FTS_TABLES[index]
        if table == "sessions":
            tests.append(f"EXISTS (SELECT 1 FROM {index} WHERE {index} MATCH ? AND rowid = s.rowid)")  # noqa: S608
        else:
            tests.append(
                f"EXISTS (SELECT 1 FROM {table} AS t CROSS JOIN {index} AS f ON f.rowid = t.rowid "  # noqa: S608
                f"WHERE t.session_id = s.id AND f.{index} MATCH ?)"
            )
    sql = f"SELECT s.id FROM json_each(?) AS given JOIN sessions AS s ON s.id = given.value WHERE {' OR '.join(tests)}"  # noqa: S608
    ids = msgspec.json.encode([place[1] for place in places]).decode()
    found = {row[0] for row in connection.execute(sql, (ids, *[expression] * len(tests)))}
    return [place for place in places if place[1] in found]


def _counted(connection: sqlite3.Connection, given: SessionFilter) -> int | None:
    """The total where the counters by state know it."""
    if given.text or given.user or given.workspace or given.since or given.until:
        return None
    totals: dict[str, int] = dict(connection.execute("SELECT state, sessions FROM session_totals"))
    if not given.states:
        return sum(totals.values())
    return sum(totals.get(str(state), 0) for state in set(given.states))


def _cheap_total(connection: sqlite3.Connection, given: SessionFilter) -> int | None:
    total = _counted(connection, given)
    if total is not None:
        return total
    if given.text is not None and given.text.strip():
        expression = match_expression(given.text)
        if expression is None:
            return 0
        if sum(_match_counts(connection, expression).values()) > COUNT_CAP // 10:
            return None
        return len(_sorted_matches(connection, given, expression, _range(given), -1, MATCH_CAP))
    found = _count_rows(connection, given, COUNT_CAP + 1)
    return None if found > COUNT_CAP else found


def _count_rows(connection: sqlite3.Connection, given: SessionFilter, cap: int) -> int:
    """How many rows fit, text left aside, counted no further than ``cap``; -1 means all."""
    where, values = _conditions(given)
    stamp = "updated_at" if given.sort == "updated" else "created_at"
    span = _range(given)
    sql = f"""
        SELECT count(*) FROM (
            SELECT 1 FROM sessions WHERE ({stamp}, id) < (?, ?) AND ({stamp}, id) > (?, ?){where} LIMIT ?
        )
    """  # noqa: S608
    return int(connection.execute(sql, (*span.upper, *span.lower, *values, cap)).fetchone()[0])
