"""Comparing the index with the rows that it covers: some of them, or all."""

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice

from acode_tui.domain.search.places import paths_of, texts_of
from acode_tui.domain.search.tokens import index_tokens
from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite.search.documents import RANGED, covered_by, path_words
from acode_tui.storage.sqlite.search.marks import Marks, fits, read_marks
from acode_tui.storage.sqlite.search.searched_rows import Covered, SearchedRow, rows_within
from acode_tui.storage.sqlite.search.session_words import number_of
from acode_tui.storage.sqlite.search.tables import SEARCHED

MOST_FINDINGS = 5
_SAMPLED_SESSIONS = 60
_SAMPLED_ROWS = 20
"""Rows of each table that are compared in a sampled session."""
_AT_ONCE = 64

_NEXT = "SELECT rowid FROM sessions WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ?"
_DOCUMENTS = """
SELECT d.session, d.id FROM json_each(?) AS g CROSS JOIN search_documents AS d ON d.session = g.value
"""
_BEHIND = {
    kind: f"SELECT s.rowid FROM {table} AS t CROSS JOIN sessions AS s "  # noqa: S608
    f"ON s.id = t.{'id' if kind is EntityType.SESSION else 'session_id'} "
    "WHERE t.rowid > ? OR t.rowid IN (SELECT row FROM search_changes WHERE kind = ?)"
    for kind, table in SEARCHED.items()
}
_HOLDING = "SELECT rowid FROM search_index WHERE search_index MATCH ? AND rowid BETWEEN ? AND ?"


def differences(connection: sqlite3.Connection, *, deep: bool) -> tuple[str, ...]:
    """A sentence for each difference, a few at most; none where the index is right.

    Rows behind the marks and rows with a note are no difference: the next search indexes them. ``deep`` compares every
    word of every row, else some rows of some sessions are compared.
    """
    marks = read_marks(connection)
    if marks is None:
        return ("the index has another form than this program's",)
    if not fits(connection, marks):
        return ("the rows have other numbers than when they were indexed",)
    return tuple(islice(_findings(connection, marks, deep=deep), MOST_FINDINGS))


def pending_sessions(connection: sqlite3.Connection) -> set[int] | None:
    """The rowids of sessions that are not wholly indexed and counted yet; None where the index is to be made again."""
    marks = read_marks(connection)
    if marks is None or not fits(connection, marks):
        return None
    found = {row[0] for row in connection.execute("SELECT session FROM figures_changes")}
    for kind, mark in marks.items():
        found.update(row[0] for row in connection.execute(_BEHIND[kind], (mark.upto, kind.value)))
    return found


def _findings(connection: sqlite3.Connection, marks: Marks, *, deep: bool) -> Iterator[str]:
    noted = set(connection.execute("SELECT kind, row FROM search_changes"))
    for sessions in _sessions(connection, marks, deep=deep):
        yield from _compare(connection, sessions, marks, noted, most=None if deep else _SAMPLED_ROWS)


def _sessions(connection: sqlite3.Connection, marks: Marks, *, deep: bool) -> Iterator[list[int]]:
    """Sessions to compare, some at a time: all, or some that are spread over the file."""
    upto = marks[EntityType.SESSION].upto
    if not deep:
        stride = max(upto // _SAMPLED_SESSIONS, 1)
        chosen = (connection.execute(_NEXT, (start, upto, 1)).fetchone() for start in range(0, upto, stride))
        yield list(dict.fromkeys(row[0] for row in chosen if row is not None))
        return
    last = 0
    while found := [row[0] for row in connection.execute(_NEXT, (last, upto, _AT_ONCE))]:
        yield found
        last = found[-1]


def _compare(
    connection: sqlite3.Connection,
    sessions: Sequence[int],
    marks: Marks,
    noted: set[tuple[str, int]],
    *,
    most: int | None,
) -> Iterator[str]:
    own: dict[int, list[tuple[int, Covered]]] = {}
    for session, document in connection.execute(_DOCUMENTS, (f"[{','.join(map(str, sessions))}]",)).fetchall():
        own.setdefault(session, []).append((document, covered_by(connection, (document,))))
    wanted: dict[str, list[tuple[str, int, frozenset[int]]]] = {}
    for session in sessions:
        for row in _rows(connection, session, marks, most):
            kind = row.entity.kind
            if (kind.value, row.rowid) in noted:
                continue
            name = f"{SEARCHED[kind]} {row.entity.id}"
            covering = frozenset(number for number, covered in own.get(session, ()) if _covers(covered, row))
            if not covering:
                yield f"{name} is not indexed"
                continue
            for text in texts_of(row.entity):
                for token in index_tokens(text):
                    wanted.setdefault(token, []).append((name, number_of(session), covering))
            for path in paths_of(row.entity):
                for token in path_words(path):
                    wanted.setdefault(token, []).append((name, number_of(session), covering))
    numbers = [number for documents in own.values() for number, _ in documents]
    entries = [number_of(session) for session in sessions]
    for token, places in wanted.items():
        expression = '"' + token.replace('"', '""') + '"'
        ranges = ((min(numbers), max(numbers)), (min(entries), max(entries)))
        found = {row[0] for each in ranges for row in connection.execute(_HOLDING, (expression, *each))}
        for name, entry, covering in places:
            if found.isdisjoint(covering):
                yield f"a word of {name} is missing"
            elif entry not in found:
                yield f"a word of {name} is missing from the words of its session"


def _rows(connection: sqlite3.Connection, session: int, marks: Marks, most: int | None) -> Iterator[SearchedRow]:
    yield from rows_within(connection, session, Covered(True, {}))
    for kind in RANGED:
        every = rows_within(connection, session, Covered(False, {kind: [(1, marks[kind].upto)]}))
        yield from islice(every, most)


def _covers(covered: Covered, row: SearchedRow) -> bool:
    if row.entity.kind is EntityType.SESSION:
        return covered.has_session
    return any(first <= row.rowid <= last for first, last in covered.ranges.get(row.entity.kind, ()))
