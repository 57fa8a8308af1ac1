"""Sessions by keyset, without text search: the rows of a filter in one direction from a position, by indexes alone.

In the order of ``updated_at`` each state is one range of an index that begins with the filter's equalities and goes on
with ``(updated_at, id)``; a page merges the first rows of those ranges, so no row that the filter excludes is read.

Nearly all sessions of a file are of one workspace. A page of another workspace's few sessions looks them up and sorts
them; else the workspace is tested in the index of the states, which contains it.

In the order of states the same ranges are read one after the other, so that order needs no index of its own.

In the order of a figure see ``figure_order``.

In the order of ``created_at`` one index serves, which contains the columns that filters test. For a filter that few
rows match, a page would read much of it: those rows are found by another index and sorted.
"""

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from acode_tui.domain.clock import format_time
from acode_tui.domain.states import STATE_ORDER, SessionState
from acode_tui.storage.cursors import decode_cursor
from acode_tui.storage.ports import SessionFilter
from acode_tui.storage.sqlite.sessions.figure_order import LOOKED_UP, bounds, by_figure, first_of, is_figure
from acode_tui.storage.sqlite.sessions.nesting import outside_others

FEW = 1_200
"""Most matching rows that are looked up and sorted in the order of creation. Looking up as many costs about what
reading the index to the end of a page costs, where this many of a million rows match."""

Position = tuple[str, str]
Row = tuple[str, str, int]
"""A position and its row's rowid."""
FIRST: Position = ("~", "~")
LAST: Position = ("", "")


class Range(NamedTuple):
    """An open interval of ``(stamp, id)`` to read in one direction."""

    upper: Position
    lower: Position
    newest_first: bool


def span_of(given: SessionFilter, *, after: str | None = None, before: str | None = None) -> Range:
    """The interval of the filter's times, from a cursor on. Raises ValidationError for a cursor of another ordering."""
    upper = FIRST if given.until is None or is_figure(given) else (format_time(given.until), "")
    lower = LAST if given.since is None or is_figure(given) else (format_time(given.since), "")
    if after is not None:
        place = decode_cursor(after, given.sort)
        upper = min(upper, (place.stamp, place.id))
    if before is not None:
        place = decode_cursor(before, given.sort)
        lower = max(lower, (place.stamp, place.id))
    return Range(upper, lower, newest_first=before is None)


def spans_by_state(
    given: SessionFilter, *, after: str | None = None, before: str | None = None
) -> Iterator[tuple[SessionState, Range]]:
    """The filter's states in the order they are read, each with its interval. Raises ValidationError."""
    cursor = after if before is None else before
    place = None if cursor is None else decode_cursor(cursor, given.sort)
    newest_first = before is None
    whole = span_of(given)._replace(newest_first=newest_first)
    states = [state for state in STATE_ORDER if not given.states or state in given.states]
    at = None if place is None else STATE_ORDER.index(SessionState(place.state))
    for state in states if newest_first else reversed(states):
        rank = STATE_ORDER.index(state)
        if place is None or at is None or (rank > at if newest_first else rank < at):
            yield state, whole
        elif rank == at and newest_first:
            yield state, whole._replace(upper=min(whole.upper, (place.stamp, place.id)))
        elif rank == at:
            yield state, whole._replace(lower=max(whole.lower, (place.stamp, place.id)))


def filtered(connection: sqlite3.Connection, given: SessionFilter, span: Range, limit: int) -> list[Position]:
    """The first ``limit`` matching rows of the span, in the span's direction."""
    return [(stamp, row_id) for stamp, row_id, _ in filtered_rows(connection, given, span, limit)]


def filtered_rows(connection: sqlite3.Connection, given: SessionFilter, span: Range, limit: int) -> list[Row]:
    """The same with the rowids, which every index has."""
    if is_figure(given):
        return _by_figure(connection, given, span, limit)
    if given.parent is not None:
        return _of_parent(connection, given, span, limit)
    outside = outside_others(connection, given)
    if given.sort == "created":
        return _by_creation(connection, given, span, limit, outside)
    order = "DESC" if span.newest_first else "ASC"
    if given.workspace is not None and given.user is None and _are_few(connection, _OF_WORKSPACE, [given.workspace]):
        where, owned = conditions(given)
        few = f"""
            SELECT updated_at, id, rowid FROM sessions INDEXED BY sessions_by_workspace
            WHERE (updated_at, id) < (?, ?) AND (updated_at, id) > (?, ?){where}{outside}
            ORDER BY updated_at {order}, id {order} LIMIT ?
        """  # noqa: S608
        return connection.execute(few, (*span.upper, *span.lower, *owned, limit)).fetchall()
    index, equal, values = _index(given)
    # Without a limit of its own each branch is read in the order of its index, and merged, as far as is asked for.
    branch = f"""
        SELECT updated_at, id, rowid FROM sessions INDEXED BY {index}
        WHERE state = ? AND (updated_at, id) < (?, ?) AND (updated_at, id) > (?, ?) AND {equal}{outside}
    """  # noqa: S608
    states = _states(given)
    sql = f"{' UNION ALL '.join([branch] * len(states))} ORDER BY 1 {order}, 2 {order} LIMIT ?"
    parameters: list[str | int] = []
    for state in states:
        parameters += [state, *span.upper, *span.lower, *values]
    return connection.execute(sql, (*parameters, limit)).fetchall()


def walk(
    connection: sqlite3.Connection, given: SessionFilter, span: Range, chunk: int, most: int
) -> Iterator[list[Row]]:
    """The span's rows in chunks, each twice as large as the one before, up to ``most``."""
    while found := filtered_rows(connection, given, span, chunk):
        yield found
        if len(found) < chunk:
            return
        last = found[-1][:2]
        span = span._replace(upper=last) if span.newest_first else span._replace(lower=last)
        chunk = min(chunk * 2, most)


def count_rows(connection: sqlite3.Connection, given: SessionFilter, *, max_entries: int | None = None) -> int | None:
    """How many rows match; None where counting reads more than ``max_entries`` index entries."""
    cap = -1 if max_entries is None else max_entries + 1
    span = span_of(given)
    bounds = (*span.upper, *span.lower)
    parameters: list[str | int] = []
    if given.sort == "created" and (given.since is not None or given.until is not None):
        where, values = conditions(given)
        entries = f"""
            SELECT 1{where} AS matches FROM sessions INDEXED BY sessions_by_creation
            WHERE (created_at, id) < (?, ?) AND (created_at, id) > (?, ?)
        """  # noqa: S608
        parameters = [*values, *bounds]
    else:
        index, where, values = "sessions_by_state", "", []
        equal, equals = "1", []
        if given.workspace is not None:
            where, values = " AND workspace_id = ?", [given.workspace]
        if given.user is not None:
            index, equal, equals = "sessions_by_user", "user_id = ?", [given.user]
        states = _states(given)
        branch = f"""
            SELECT 1{where} AS matches FROM sessions INDEXED BY {index}
            WHERE {equal} AND state = ? AND (updated_at, id) < (?, ?) AND (updated_at, id) > (?, ?)
        """  # noqa: S608
        entries = " UNION ALL ".join([branch] * len(states))
        for state in states:
            parameters += [*values, *equals, state, *(bounds if given.sort == "updated" else (*FIRST, *LAST))]
    sql = f"SELECT count(*), coalesce(sum(matches), 0) FROM (SELECT matches FROM ({entries}) LIMIT ?)"  # noqa: S608
    seen, matching = connection.execute(sql, (*parameters, cap)).fetchone()
    return None if max_entries is not None and seen > max_entries else int(matching)


def conditions(given: SessionFilter, prefix: str = "") -> tuple[str, list[str]]:
    """The conditions of the filter without text and time, and their values."""
    sql, values = "", []
    for column, value in (("user_id", given.user), ("workspace_id", given.workspace)):
        if value is not None:
            sql += f" AND {prefix}{column} = ?"
            values.append(value)
    if given.states:
        sql += f" AND {prefix}state IN ({', '.join('?' for _ in given.states)})"
        values += [str(state) for state in given.states]
    return sql, values


def _of_parent(connection: sqlite3.Connection, given: SessionFilter, span: Range, limit: int) -> list[Row]:
    stamp = "created_at" if given.sort == "created" else "updated_at"
    order = "DESC" if span.newest_first else "ASC"
    where, values = conditions(given, "s.")
    sql = f"""
        SELECT s.{stamp}, s.id, s.rowid FROM session_facts AS f INDEXED BY session_facts_by_parent
        CROSS JOIN sessions AS s ON s.rowid = f.session
        WHERE f.parent_session_id = ? AND (s.{stamp}, s.id) < (?, ?) AND (s.{stamp}, s.id) > (?, ?){where}
        ORDER BY 1 {order}, 2 {order} LIMIT ?
    """  # noqa: S608
    found = connection.execute(sql, (given.parent, *span.upper, *span.lower, *values, limit))
    return found.fetchall()


def _by_figure(connection: sqlite3.Connection, given: SessionFilter, span: Range, limit: int) -> list[Row]:
    """By the figure's index; where few rows match the filter, they are looked up and sorted instead."""
    owner = given.user or given.workspace or given.parent
    ends = (span.upper[0], span.lower[0], span.newest_first)
    times = given.since is not None or given.until is not None
    if owner is not None or times or (given.states and _in_states(connection, given) <= LOOKED_UP):
        by_time = msgspec.structs.replace(given, sort="updated", folded=False)
        few = filtered_rows(connection, by_time, span_of(by_time), LOOKED_UP + 1)
        if len(few) <= LOOKED_UP:
            return first_of(connection, given, (row[2] for row in few), ends, limit)
    return by_figure(connection, given, figure_conditions(given), ends, limit)


def _in_states(connection: sqlite3.Connection, given: SessionFilter) -> int:
    """How many sessions there are in the filter's states, by their counters."""
    states = _states(given)
    sql = f"SELECT total(sessions) FROM session_totals WHERE state IN ({', '.join('?' for _ in states)})"  # noqa: S608
    return int(connection.execute(sql, states).fetchone()[0])


def figure_conditions(given: SessionFilter) -> tuple[str, list[str]]:
    """All conditions of the filter without text on a session ``s``, where pages are ordered by a figure."""
    where, values = conditions(given, "s.")
    times, moments = bounds(given)
    return where + times, [*values, *moments]


def _by_creation(
    connection: sqlite3.Connection, given: SessionFilter, span: Range, limit: int, outside: str
) -> list[Row]:
    where, values = conditions(given)
    order = "DESC" if span.newest_first else "ASC"
    index = "sessions_by_creation"
    if values:
        other, equal, equals = _index(given, states=True)
        if given.user is None and given.workspace is not None:
            other, equal, equals = _OF_WORKSPACE[0], _OF_WORKSPACE[1], [given.workspace]
        if _are_few(connection, (other, equal), equals):
            index = other
    sql = f"""
        SELECT created_at, id, rowid FROM sessions INDEXED BY {index}
        WHERE (created_at, id) < (?, ?) AND (created_at, id) > (?, ?){where}{outside}
        ORDER BY created_at {order}, id {order} LIMIT ?
    """  # noqa: S608
    return connection.execute(sql, (*span.upper, *span.lower, *values, limit)).fetchall()


_OF_WORKSPACE = ("sessions_by_workspace", "workspace_id = ?")


def _are_few(connection: sqlite3.Connection, of: tuple[str, str], values: list[str]) -> bool:
    """Whether at most ``FEW`` rows meet the condition, by its index."""
    index, equal = of
    sql = f"SELECT count(*) FROM (SELECT 1 FROM sessions INDEXED BY {index} WHERE {equal} LIMIT ?)"  # noqa: S608
    return bool(connection.execute(sql, (*values, FEW + 1)).fetchone()[0] <= FEW)


def _index(given: SessionFilter, *, states: bool = False) -> tuple[str, str, list[str]]:
    """The index for the filter, and the filter's equalities on its columns."""
    parts, values = [], []
    index = "sessions_by_state"
    if given.workspace is not None:
        parts.append("workspace_id = ?")
        values.append(given.workspace)
    if given.user is not None:
        index = "sessions_by_user"
        parts.append("user_id = ?")
        values.append(given.user)
    if states and given.states:
        parts.append(f"state IN ({', '.join('?' for _ in given.states)})")
        values += [str(state) for state in given.states]
    return index, " AND ".join(parts) or "1", values


def _states(given: SessionFilter) -> list[str]:
    return list(dict.fromkeys(str(state) for state in given.states or SessionState))
