"""Sessions in the order of a figure, the largest first: by the tables beside the search index, each with an index.

Runs with the same figure stand in the order of their rowids, the newest first. So a position is the figure and the
rowid; as text of fixed width, which is in their order. A page reads the rest of the runs with the figure of its
position, then those behind it: two ranges of one index, of which the first may be most of it.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from acode_tui.domain.clock import format_time
from acode_tui.storage.cursors import FIGURES, figure_position, split_figure
from acode_tui.storage.ports import SessionFilter

LOOKED_UP = 8_000
"""Most runs of a filter that are looked up and sorted. Where more match, a page is filled by some of the index."""

Row = tuple[str, str, int]

_END = (1 << 62, 1 << 62)


class _Figure(NamedTuple):
    table: str
    by: str
    """The index that holds the value."""
    value: str


_FIGURES: dict[str, _Figure] = {
    "failed": _Figure("session_facts", "session_facts_by_failed_calls", "f.failed_calls"),
    "took": _Figure(
        "session_facts",
        "session_facts_by_duration",
        "CAST((julianday(f.last_at) - julianday(f.first_at)) * 86400000.0 AS INTEGER)",
    ),
    "tokens": _Figure("figures_sessions", "figures_sessions_by_tokens", "f.input + f.output + f.cache_write"),
    "cost": _Figure("figures_sessions", "figures_sessions_by_cost", "f.priced"),
    "calls": _Figure("figures_sessions", "figures_sessions_by_calls", "f.calls"),
}
assert set(_FIGURES) == set(FIGURES)


def is_figure(given: SessionFilter) -> bool:
    """Whether pages are ordered by a figure."""
    return given.sort in _FIGURES


def bounds(given: SessionFilter) -> tuple[str, list[str]]:
    """The filter's times, as conditions on a session ``s``: in this order they bound the last activity."""
    sql, values = "", []
    if given.since is not None:
        sql, values = " AND s.updated_at >= ?", [format_time(given.since)]
    if given.until is not None:
        sql, values = f"{sql} AND s.updated_at < ?", [*values, format_time(given.until)]
    return sql, values


def by_figure(
    connection: sqlite3.Connection,
    given: SessionFilter,
    conditions: tuple[str, Sequence[str]],
    span: tuple[str, str, bool],
    limit: int,
) -> list[Row]:
    """The first ``limit`` rows between two positions, ``span`` being (upper, lower, whether from the upper one on)."""
    figure, (where, values) = _FIGURES[given.sort], conditions
    upper, lower, largest_first = span
    top, bottom = (_END if upper == "~" else split_figure(upper)), ((-1, -1) if lower == "" else split_figure(lower))
    order = "DESC" if largest_first else "ASC"
    start, end = (top, bottom) if largest_first else (bottom, top)
    sql = f"""
        SELECT {figure.value}, f.session, s.id FROM {figure.table} AS f INDEXED BY {figure.by}
        CROSS JOIN sessions AS s ON s.rowid = f.session
        WHERE {{range}}{where}
        ORDER BY {{order}}f.session {order} LIMIT ?
    """  # noqa: S608
    sign, until = ("<", ">=") if largest_first else (">", "<=")
    # Named in the order, an expression that is the same in every row would make SQLite sort what its index has sorted.
    same = sql.format(range=f"{figure.value} = ? AND f.session {sign} ?", order="")
    # One bound on each side: of two, SQLite may take the one that the rows with the figure of the position meet.
    beyond = sql.format(
        range=f"{figure.value} {sign} ? AND {figure.value} {until} ?", order=f"{figure.value} {order}, "
    )
    found: list[tuple[int, int, str]] = []
    for statement, own in ((same, start), (beyond, (start[0], end[0]))):
        if len(found) < limit:
            found += connection.execute(statement, (*own, *values, limit - len(found))).fetchall()
    rows = ((figure_position(value, rowid), row_id, rowid) for value, rowid, row_id in found)
    return [row for row in rows if lower < row[0] < upper]


def first_of(
    connection: sqlite3.Connection,
    given: SessionFilter,
    sessions: Iterable[int],
    span: tuple[str, str, bool],
    limit: int,
) -> list[Row]:
    """The first ``limit`` of these sessions between two positions, as in ``by_figure``."""
    figure = _FIGURES[given.sort]
    upper, lower, largest_first = span
    top, bottom = (_END if upper == "~" else split_figure(upper)), ((-1, -1) if lower == "" else split_figure(lower))
    order = "DESC" if largest_first else "ASC"
    sql = f"""
        SELECT n.value, n.session, s.id FROM (
            SELECT {figure.value} AS value, f.session FROM json_each(?) AS g
            CROSS JOIN {figure.table} AS f ON f.session = g.value
            WHERE ({figure.value}, f.session) < (?, ?) AND ({figure.value}, f.session) > (?, ?)
            ORDER BY 1 {order}, 2 {order} LIMIT ?
        ) AS n CROSS JOIN sessions AS s ON s.rowid = n.session ORDER BY 1 {order}, 2 {order}
    """  # noqa: S608
    found = connection.execute(sql, (f"[{','.join(map(str, sessions))}]", *top, *bottom, limit))
    return [(figure_position(value, rowid), row_id, rowid) for value, rowid, row_id in found]


def of_sessions(
    connection: sqlite3.Connection, given: SessionFilter, conditions: tuple[str, Sequence[str]], sessions: Iterable[int]
) -> list[Row]:
    """The rows of the filter among these sessions, the largest figure first."""
    figure, (where, values) = _FIGURES[given.sort], conditions
    sql = f"""
        SELECT {figure.value}, f.session, s.id FROM json_each(?) AS g CROSS JOIN sessions AS s ON s.rowid = g.value
        CROSS JOIN {figure.table} AS f ON f.session = s.rowid WHERE 1{where}
    """  # noqa: S608
    asked = f"[{','.join(map(str, sorted(sessions)))}]"
    rows = connection.execute(sql, tuple(chain((asked,), values)))
    return sorted(((figure_position(value, rowid), row_id, rowid) for value, rowid, row_id in rows), reverse=True)
