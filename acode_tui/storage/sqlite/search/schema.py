"""Making the tables of the search index anew, from the text of the migrations."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from functools import cache

from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.sqlite.distrust import undefended
from acode_tui.storage.sqlite.fts5 import execute
from acode_tui.storage.sqlite.own_schema import statements
from acode_tui.storage.sqlite.search.marks import own_format
from acode_tui.storage.sqlite.search.tables import DERIVED, FORMAT_MARK, INDEX, SHADOWS, is_derived

_NAMED = re.compile(r"^(?:CREATE (?:VIRTUAL )?TABLE|ALTER TABLE|CREATE INDEX|INSERT INTO) (\w+)", re.MULTILINE)
_VIRTUAL = (INDEX, "search_terms")


def recreate(connection: sqlite3.Connection) -> None:
    """Replace the tables of the index by new ones, which are empty, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        _drop(connection)
        for statement in creation():
            execute(connection, statement)
        # A released migration does not change, so it names the first form; this program may make a later one.
        connection.execute("UPDATE search_marks SET upto = ? WHERE kind = ?", (own_format(), FORMAT_MARK))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise


@cache
def creation() -> tuple[str, ...]:
    """The statements that make the index, from the migrations."""
    return tuple(statement for migration in packaged("sqlite") for statement in _derived(migration.sql))


def _derived(sql: str) -> Iterator[str]:
    for statement in statements(sql):
        found = _NAMED.search(statement)
        if found is not None and is_derived(found[1]):
            yield statement


def _drop(connection: sqlite3.Connection) -> None:
    try:
        for table in reversed(DERIVED):
            connection.execute(f"DROP TABLE IF EXISTS {table}")
    except sqlite3.DatabaseError:
        # A virtual table without its shadow tables can be neither opened nor dropped.
        with undefended(connection):
            _forget(connection)


def _forget(connection: sqlite3.Connection) -> None:
    """Remove the index where its parts do not fit together: the virtual tables' entries first, then what is left."""
    connection.execute("PRAGMA writable_schema = ON")
    try:
        connection.execute("DELETE FROM sqlite_master WHERE name IN (?, ?)", _VIRTUAL)
    finally:
        connection.execute("PRAGMA writable_schema = RESET")
    for table in (*SHADOWS, *(name for name in DERIVED if name not in _VIRTUAL)):
        connection.execute(f"DROP TABLE IF EXISTS {table}")
