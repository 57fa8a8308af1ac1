"""Runs that other runs started: left out of a page, or listed for their parent. By the facts beside the search index.

A run that was recorded a moment ago, and is not indexed yet, stands among the others until it is.
"""

import sqlite3
from contextlib import suppress

import msgspec

from acode_tui.storage.ports import SessionFilter
from acode_tui.storage.sqlite.sessions.figure_order import is_figure

MAX_COUNTED = 20_000
MAX_PARENTS = 1_000
"""Most children that are counted for a total, and most parents that are looked up for it: some 2 ms."""

_OUTSIDE = """
 AND NOT EXISTS (SELECT 1 FROM session_facts AS f JOIN sessions AS p ON p.id = f.parent_session_id
                 WHERE f.session = sessions.rowid)
"""
_ANY = "SELECT 1 FROM session_facts INDEXED BY session_facts_by_parent WHERE parent_session_id IS NOT NULL LIMIT 1"
_BY_PARENT = """
SELECT parent_session_id, count(*) FROM (
    SELECT parent_session_id FROM session_facts INDEXED BY session_facts_by_parent
    WHERE parent_session_id IS NOT NULL LIMIT ?
) GROUP BY parent_session_id LIMIT ?
"""
_STORED = "SELECT s.id FROM json_each(?) AS g CROSS JOIN sessions AS s ON s.id = g.value"


def outside_others(connection: sqlite3.Connection, given: SessionFilter) -> str:
    """The condition that leaves out what a folded filter leaves out; nothing where no run has a parent."""
    if not given.folded or given.text or is_figure(given):
        return ""
    with suppress(sqlite3.DatabaseError):  # without the facts, a list has every run
        if connection.execute(_ANY).fetchone() is not None:
            return _OUTSIDE
    return ""


def count_nested(connection: sqlite3.Connection) -> int | None:
    """How many runs have a parent that is stored; None where counting takes long."""
    most = (MAX_COUNTED + 1, MAX_PARENTS + 1)
    with suppress(sqlite3.DatabaseError):
        children: dict[str, int] = dict(connection.execute(_BY_PARENT, most).fetchall())
        if len(children) > MAX_PARENTS or sum(children.values()) > MAX_COUNTED:
            return None
        stored = connection.execute(_STORED, (msgspec.json.encode(list(children)).decode(),))
        return sum(children[parent] for (parent,) in stored)
    return 0
