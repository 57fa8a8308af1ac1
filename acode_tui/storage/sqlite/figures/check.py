"""Comparing the figures with the rows: the sums with what each run contributes, and that with the run's own rows."""

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice

from acode_tui.domain.figures import SessionFigures
from acode_tui.storage.sqlite.figures.contributions import read_contributions, stored_contributions
from acode_tui.storage.sqlite.figures.prices import COST_OF
from acode_tui.storage.sqlite.figures.tables import CALLED, USED, Contributed, Rollup

MOST_FINDINGS = 5
_SAMPLED = 200
_AT_ONCE = 256

_MONTH = (
    "CAST(strftime('%Y', c.day * 86400, 'unixepoch') AS INTEGER) * 12"
    " + CAST(strftime('%m', c.day * 86400, 'unixepoch') AS INTEGER) - 1"
)
_COLUMNS = {"month": _MONTH, "agent": "s.agent", "project": "s.project"}
_SESSIONS = f"""
SELECT f.session, s.id, f.agent, f.project,
    priced = {COST_OF.format(session="f.session")} OR EXISTS (SELECT 1 FROM figures_pricing),
    calls, failed, input, output, cache_read, cache_write, f.cost
FROM json_each(?) AS g CROSS JOIN figures_sessions AS f ON f.session = g.value CROSS JOIN sessions AS s
    ON s.rowid = f.session
"""  # noqa: S608
_NOT_COUNTED = """
SELECT rowid, id FROM sessions AS s WHERE NOT EXISTS (SELECT 1 FROM figures_sessions WHERE session = s.rowid)
"""
_NOT_THERE = """
SELECT session FROM figures_sessions AS f WHERE NOT EXISTS (SELECT 1 FROM sessions WHERE rowid = f.session)
"""
_COUNTED = "SELECT session FROM figures_sessions WHERE session > ? ORDER BY session LIMIT ?"


def differences(connection: sqlite3.Connection, pending: set[int], *, deep: bool) -> tuple[str, ...]:
    """A sentence for each difference, a few at most; none where the figures are right.

    The sums are compared with all contributions; contributions with the rows of every counted run if ``deep``, else of
    some that are spread over the file. Runs that are ``pending``, by rowid, are left out: they are counted again.
    """
    return tuple(islice(_findings(connection, pending, deep=deep), MOST_FINDINGS))


def _findings(connection: sqlite3.Connection, pending: set[int], *, deep: bool) -> Iterator[str]:
    for of in (USED, CALLED):
        for rollup in of.rollups:
            if _differ(connection, of, rollup):
                yield f"the sums of {rollup.table} are not those of the runs"
    for session, run_id in connection.execute(_NOT_COUNTED):
        if session not in pending:
            yield f"run {run_id} is not counted"
    for (session,) in connection.execute(_NOT_THERE):
        if session not in pending:
            yield f"the run in row {session} is counted and not there"
    for sessions in _counted(connection, deep=deep):
        yield from _compare(connection, [session for session in sessions if session not in pending])


def _differ(connection: sqlite3.Connection, of: Contributed, rollup: Rollup) -> bool:
    keys = [_COLUMNS.get(column, f"c.{column}") for column in rollup.columns]
    sums = [f"sum(c.{column})" for column in rollup.sums]
    added = (
        f"SELECT {', '.join([*keys, *sums])} FROM {of.table} AS c JOIN figures_sessions AS s USING (session) "  # noqa: S608
        f"GROUP BY {', '.join(str(number + 1) for number in range(len(keys)))}"
    )
    kept = f"SELECT {', '.join((*rollup.columns, *rollup.sums))} FROM {rollup.table}"  # noqa: S608
    # Where all that was added is there, anything beside it has a key of its own.
    sql = (
        f"WITH added AS MATERIALIZED ({added}) SELECT (SELECT count(*) FROM (SELECT * FROM added EXCEPT {kept})), "  # noqa: S608
        f"(SELECT count(*) FROM added) <> (SELECT count(*) FROM {rollup.table})"
    )
    return any(connection.execute(sql).fetchone())


def _counted(connection: sqlite3.Connection, *, deep: bool) -> Iterator[list[int]]:
    """Counted sessions to compare, some at a time."""
    last = connection.execute("SELECT max(session) FROM figures_sessions").fetchone()[0] or 0
    if not deep:
        stride = max(last // _SAMPLED, 1)
        chosen = (connection.execute(_COUNTED, (start, 1)).fetchone() for start in range(0, last, stride))
        yield list(dict.fromkeys(row[0] for row in chosen if row is not None))
        return
    at = 0
    while found := [row[0] for row in connection.execute(_COUNTED, (at, _AT_ONCE))]:
        yield found
        at = found[-1]


def _compare(connection: sqlite3.Connection, sessions: Sequence[int]) -> Iterator[str]:
    fresh = read_contributions(connection, sessions)
    used, called = (stored_contributions(connection, of, sessions) for of in (USED, CALLED))
    asked = f"[{','.join(map(str, sessions))}]"
    for session, run_id, agent, project, priced, *totals in connection.execute(_SESSIONS, (asked,)).fetchall():
        stored = SessionFigures(agent, project)
        stored.totals, stored.usage, stored.tools = tuple(totals), used.get(session, []), called.get(session, [])
        if vars(stored) != vars(fresh[session]):
            yield f"the figures of run {run_id} are not those of its rows"
        elif not priced:
            yield f"the cost of run {run_id} is not by the stored prices"
