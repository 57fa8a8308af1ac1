"""The values that a field of the query language has in the stored runs, to propose them while a query is typed.

None of these reads grows with the store: sums by month, the newest rows, or one look-up in an index for each value.
"""

import sqlite3
from pathlib import PurePath

NEWEST = 5_000
"""Rows, counted from the newest, that are looked through where no sum has the values."""

_SUMMED = {
    "agent": ("figures_by_month", "agent"),
    "project": ("figures_by_month", "project"),
    "model": ("figures_by_month", "model"),
    "tool": ("figures_tools_by_month", "tool"),
}
_OF_SUMS = """
    SELECT {column} FROM (SELECT month, {column}, runs FROM {table} ORDER BY month DESC LIMIT ?)
    WHERE {column} <> '' GROUP BY 1 ORDER BY max(month) DESC, sum(runs) DESC, 1 LIMIT ?
"""
_BRANCHES = """
    SELECT branch FROM (SELECT session, branch FROM session_facts ORDER BY session DESC LIMIT ?)
    WHERE branch IS NOT NULL GROUP BY 1 ORDER BY max(session) DESC LIMIT ?
"""
_FILES = """
    SELECT name FROM (SELECT rowid AS row, name, type FROM artifacts ORDER BY rowid DESC LIMIT ?)
    WHERE type IN ('FileContent', 'FileWrite', 'FileDiff') GROUP BY 1 ORDER BY max(row) DESC LIMIT ?
"""


def field_values(connection: sqlite3.Connection, field: str, most: int) -> tuple[str, ...]:
    """Up to ``most`` values of a field, those used last first where that is known; none for a field without values."""
    if field in _SUMMED:
        table, column = _SUMMED[field]
        sql = _OF_SUMS.format(table=table, column=column)
        return tuple(value for (value,) in connection.execute(sql, (NEWEST, most)))
    if field == "branch":
        return tuple(value for (value,) in connection.execute(_BRANCHES, (NEWEST, most)))
    if field == "file":
        names = (PurePath(name.removesuffix(".diff")).name for (name,) in connection.execute(_FILES, (NEWEST, most)))
        return tuple(dict.fromkeys(name for name in names if name))
    return tuple(_users(connection, most)) if field == "user" else ()


def _users(connection: sqlite3.Connection, most: int) -> list[str]:
    found: list[str] = []
    user = ""
    while len(found) < most:
        (user,) = connection.execute("SELECT min(user_id) FROM sessions WHERE user_id > ?", (user,)).fetchone()
        if user is None:
            break
        found.append(user)
    return found
