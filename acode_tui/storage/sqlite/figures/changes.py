"""Keeping the figures: sessions that changed are marked, computed again, and the sums moved by the difference."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence

from acode_tui.domain.figures import Contribution, SessionFigures
from acode_tui.storage.sqlite.figures.contributions import read_contributions, stored_contributions
from acode_tui.storage.sqlite.figures.prices import COST_OF
from acode_tui.storage.sqlite.figures.tables import CALLED, USED, Contributed, Key, Rollup

AT_ONCE = 256
"""Sessions of a batch: its transaction holds the write lock for some 10 ms."""

_MARK = """
INSERT INTO figures_changes (session, revision) VALUES (?, 1)
ON CONFLICT (session) DO UPDATE SET revision = revision + 1
"""
_MARKED = "SELECT session, revision FROM figures_changes ORDER BY session LIMIT ?"
_UNMARK = "DELETE FROM figures_changes WHERE session = ?"
_AMONG = "(SELECT value FROM json_each(?))"
_SESSION = f"""
INSERT OR REPLACE INTO figures_sessions
    (session, agent, project, calls, failed, input, output, cache_read, cache_write, cost, priced)
VALUES (?1, ?, ?, ?, ?, ?, ?, ?, ?, ?, {COST_OF.format(session="?1")})
"""  # noqa: S608
_NO_SESSION = "DELETE FROM figures_sessions WHERE session = ?"
_SESSIONS = f"SELECT session, agent, project FROM figures_sessions WHERE session IN {_AMONG}"  # noqa: S608


def mark_changed(connection: sqlite3.Connection, sessions: Iterable[int]) -> None:
    """Mark sessions whose rows changed, in the transaction that takes note of the change."""
    connection.executemany(_MARK, [(session,) for session in sessions])


def has_changed(connection: sqlite3.Connection) -> bool:
    """Whether the figures are behind the rows that are indexed."""
    return connection.execute("SELECT 1 FROM figures_changes LIMIT 1").fetchone() is not None


def update_figures(connection: sqlite3.Connection) -> bool:
    """Compute the figures of some marked sessions again; returns whether there were any.

    They are read in a snapshot, without the write lock. A mark that was set again meanwhile stays, and a session that
    another process has computed meanwhile is left as that process wrote it.
    """
    connection.execute("BEGIN")
    try:
        marked = dict(connection.execute(_MARKED, (AT_ONCE,)).fetchall())
        if not marked:
            return False
        fresh = read_contributions(connection, list(marked))
    finally:
        connection.execute("COMMIT")
    connection.execute("BEGIN IMMEDIATE")
    try:
        now = dict(connection.execute(_MARKED, (AT_ONCE,)).fetchall())
        sessions = [session for session in marked if now.get(session) == marked[session]]
        _replace(connection, sessions, fresh)
        connection.executemany(_UNMARK, [(session,) for session in sessions])
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return True


def _replace(connection: sqlite3.Connection, sessions: Sequence[int], fresh: dict[int, SessionFigures]) -> None:
    asked = f"[{','.join(map(str, sessions))}]"
    before = {
        session: SessionFigures(agent, project) for session, agent, project in connection.execute(_SESSIONS, (asked,))
    }
    changes = [_Change(connection, of) for of in (USED, CALLED)]
    known = [stored_contributions(connection, of, sessions) for of in (USED, CALLED)]
    for session in sessions:
        old, new = before.get(session), fresh.get(session)
        for change, stored, kind in zip(changes, known, ("usage", "tools"), strict=True):
            wanted = [] if new is None else getattr(new, kind)
            of = stored.get(session, [])
            if (
                of == wanted
                and old is not None
                and new is not None
                and (old.agent, old.project) == (new.agent, new.project)
            ):
                continue
            if old is not None:
                change.remove(session, old, of)
            if new is not None:
                change.add(session, new, wanted)
    for change in changes:
        change.write()
    connection.executemany(_NO_SESSION, [(session,) for session in sessions if session not in fresh])
    connection.executemany(
        _SESSION,
        [(session, each.agent, each.project, *each.totals) for session in sessions if (each := fresh.get(session))],
    )


class _Change:
    """What a batch changes of one kind of contributions, and of the sums over them."""

    def __init__(self, connection: sqlite3.Connection, of: Contributed) -> None:
        self._connection = connection
        self._insert = f"INSERT INTO {of.table} VALUES ({_marks(2 + len(of.rest) + len(of.sums))})"  # noqa: S608
        self._delete = f"DELETE FROM {of.table} WHERE session = ?"  # noqa: S608
        self._rollups = of.rollups
        self._moved: list[defaultdict[Key, list[int]]] = [defaultdict(lambda: [0] * len(of.sums)) for _ in of.rollups]
        self._gone: list[tuple[int]] = []
        self._rows: list[tuple[int | str, ...]] = []

    def remove(self, session: int, figures: SessionFigures, stored: Iterable[Contribution]) -> None:
        self._gone.append((session,))
        for each in stored:
            self._move(figures, each, -1)

    def add(self, session: int, figures: SessionFigures, added: Iterable[Contribution]) -> None:
        for each in added:
            self._rows.append((session, each.day, *each.rest, *each.sums))
            self._move(figures, each, 1)

    def _move(self, figures: SessionFigures, each: Contribution, sign: int) -> None:
        for rollup, moved in zip(self._rollups, self._moved, strict=True):
            sums = moved[rollup.key(figures.agent, figures.project, each)]
            for column, value in enumerate(each.sums):
                sums[column] += sign * value

    def write(self) -> None:
        self._connection.executemany(self._delete, self._gone)
        self._connection.executemany(self._insert, self._rows)
        for rollup, moved in zip(self._rollups, self._moved, strict=True):
            changed = {key: sums for key, sums in moved.items() if any(sums)}
            self._connection.executemany(_upsert(rollup), [(*key, *sums) for key, sums in changed.items()])
            lowered = [key for key, sums in changed.items() if min(sums) < 0]
            self._connection.executemany(_delete_empty(rollup), lowered)


def _upsert(rollup: Rollup) -> str:
    raised = ", ".join(f"{name} = {name} + excluded.{name}" for name in rollup.sums)
    return (
        f"INSERT INTO {rollup.table} VALUES ({_marks(len(rollup.columns) + len(rollup.sums))}) "  # noqa: S608
        f"ON CONFLICT ({', '.join(rollup.columns)}) DO UPDATE SET {raised}"
    )


def _delete_empty(rollup: Rollup) -> str:
    key = " AND ".join(f"{name} = ?" for name in rollup.columns)
    empty = " AND ".join(f"{name} = 0" for name in rollup.sums)
    return f"DELETE FROM {rollup.table} WHERE {key} AND {empty}"  # noqa: S608


def _marks(count: int) -> str:
    return ", ".join("?" * count)
