"""Runs that other runs started: left out of a page, or listed for their parent. By the facts beside the search index.

A run that was recorded a moment ago, and is not indexed yet, stands among the others until it is.
"""

import sqlite3
from contextlib import suppress

from acode_tui.storage.ports import SessionFilter

MAX_COUNTED = 20_000
"""Most children that are counted for a total, in 2 ms."""

_OUTSIDE = """
 AND NOT EXISTS (SELECT 1 FROM session_facts AS f JOIN sessions AS p ON p.id = f.parent_session_id
                 WHERE f.session = sessions.rowid)
"""
_ANY = "SELECT 1 FROM session_facts INDEXED BY session_facts_by_parent WHERE parent_session_id IS NOT NULL LIMIT 1"
_COUNT = """
SELECT coalesce(sum(seen), 0), coalesce(sum(CASE WHEN p.id IS NOT NULL THEN seen END), 0) FROM (
    SELECT parent_session_id, count(*) AS seen FROM (
        SELECT parent_session_id FROM session_facts INDEXED BY session_facts_by_parent
        WHERE parent_session_id IS NOT NULL LIMIT ?
    ) GROUP BY parent_session_id
) LEFT JOIN sessions AS p ON p.id = parent_session_id
"""


def outside_others(connection: sqlite3.Connection, given: SessionFilter) -> str:
    """The condition that leaves out what a folded filter leaves out; nothing where no run has a parent."""
    if not given.folded or given.text:
        return ""
    with suppress(sqlite3.DatabaseError):  # without the facts, a list has every run
        if connection.execute(_ANY).fetchone() is not None:
            return _OUTSIDE
    return ""


def count_nested(connection: sqlite3.Connection, *, most: int | None = MAX_COUNTED) -> int | None:
    """How many runs have a parent that is stored; None where more than ``most`` have one at all."""
    with suppress(sqlite3.DatabaseError):
        seen, nested = connection.execute(_COUNT, (-1 if most is None else most + 1,)).fetchone()
        return int(nested) if most is None or seen <= most else None
    return 0
