"""Which rows documents of one run cover, and of what time: so a run is read from its beginning, as far as is asked."""

import sqlite3
from collections.abc import Collection
from typing import NamedTuple

from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite.search.searched_rows import Covered
from acode_tui.storage.sqlite.search.tables import SEARCHED

FIRST, LAST = "", "~"
"""Before and after every moment as it is stored."""

_COLUMNS = {
    EntityType.SESSION_TASK: ("first_task", "more_tasks"),
    EntityType.STEP: ("first_step", "more_steps"),
    EntityType.TOOL_CALL: ("first_call", "more_calls"),
    EntityType.ARTIFACT: ("first_artifact", "more_artifacts"),
}
_COVERED = f"""
SELECT id, has_session, {", ".join(f"{first}, {first} + {more}" for first, more in _COLUMNS.values())}
FROM search_documents WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id
"""  # noqa: S608
_OUTCOME_AT = "coalesce(t.completed_at, t.updated_at)"
_TIMES = [
    f"""
    SELECT d.id, {"min(min(t.created_at, " + _OUTCOME_AT + "))" if is_call else "min(t.created_at)"},
        {"max(max(t.created_at, " + _OUTCOME_AT + "))" if is_call else "max(t.created_at)"}
    FROM search_documents AS d CROSS JOIN {SEARCHED[kind]} AS t ON t.rowid BETWEEN d.{first} AND d.{first} + d.{more}
    WHERE d.id IN (SELECT value FROM json_each(?)) AND +t.session_id = (SELECT id FROM sessions WHERE rowid = ?)
    GROUP BY d.id
    """  # noqa: S608
    for kind, (first, more) in _COLUMNS.items()
    for is_call in (kind is EntityType.TOOL_CALL,)
]
_SESSION_AT = "SELECT created_at FROM sessions WHERE rowid = ?"


class Extent(NamedTuple):
    """The rows that a document covers; none of their places is of a time before ``first_at`` or after ``last_at``."""

    first_at: str
    last_at: str
    covered: Covered


def extents(connection: sqlite3.Connection, session: int, documents: Collection[int]) -> list[Extent]:
    """What documents of one session cover, in the order in which they begin."""
    asked = f"[{','.join(map(str, documents))}]"
    covered = {row[0]: _covered(row) for row in connection.execute(_COVERED, (asked,))}
    if len(covered) < 2:
        return [Extent(FIRST, LAST, each) for each in covered.values()]
    times = dict.fromkeys(covered, (LAST, FIRST))
    for sql in _TIMES:
        for document, first, last in connection.execute(sql, (asked, session)):
            times[document] = min(times[document][0], first), max(times[document][1], last)
    for document, each in covered.items():
        if each.has_session:
            (at,) = connection.execute(_SESSION_AT, (session,)).fetchone()
            times[document] = min(times[document][0], at), max(times[document][1], at)
    return sorted(
        (Extent(*times[document], each) for document, each in covered.items()), key=lambda each: each.first_at
    )


def _covered(row: tuple[int | None, ...]) -> Covered:
    ranges: dict[EntityType, list[tuple[int, int]]] = {}
    for kind, first, last in zip(_COLUMNS, row[2::2], row[3::2], strict=True):
        if first is not None and last is not None:
            ranges[kind] = [(first, last)]
    return Covered(bool(row[1]), ranges)


class Unread:
    """Rows of one run that are read once, although documents overlap where rows were indexed again."""

    def __init__(self) -> None:
        self._has_session = False
        self._read: dict[EntityType, list[tuple[int, int]]] = {}

    def take(self, covered: Covered) -> Covered:
        """Those of the rows that were not taken before."""
        has_session = covered.has_session and not self._has_session
        self._has_session |= has_session
        ranges = {}
        for kind, every in covered.ranges.items():
            left = []
            for first, last in every:
                left += self._left(kind, first, last)
            if left:
                ranges[kind] = left
        return Covered(has_session, ranges)

    def _left(self, kind: EntityType, first: int, last: int) -> list[tuple[int, int]]:
        left, read = [], self._read.get(kind, [])
        start = first
        for low, high in read:
            if high < start or low > last:
                continue
            if low > start:
                left.append((start, low - 1))
            start = max(start, high + 1)
        if start <= last:
            left.append((start, last))
        self._read[kind] = _merged([*read, (first, last)])
        return left


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged
