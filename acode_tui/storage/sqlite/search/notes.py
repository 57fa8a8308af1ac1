"""Notes of changed rows, left by the write that changes an indexed text, in its own transaction.

A row behind the mark is not indexed yet, so nothing is noted: recording a new row writes no page for the search.
"""

import json
import sqlite3
from collections.abc import Sequence

from acode_tui.domain.states import EntityType
from acode_tui.logs import get_logger
from acode_tui.storage.run_writes import TextChange
from acode_tui.storage.sqlite.search.tables import SEARCHED

_ON_CONFLICT = "ON CONFLICT (kind, row) DO UPDATE SET rewritten = max(rewritten, excluded.rewritten)"
_NOTE_ONE = {
    kind: f"INSERT INTO search_changes (kind, row, rewritten) "  # noqa: S608
    f"SELECT m.kind, t.rowid, ? FROM {table} AS t JOIN search_marks AS m "
    f"WHERE t.id = ? AND m.kind = '{kind.value}' AND t.rowid <= m.upto {_ON_CONFLICT}"
    for kind, table in SEARCHED.items()
}
_NOTE_MANY = {
    kind: sql.replace("t.id = ?", "t.id IN (SELECT value FROM json_each(?))") for kind, sql in _NOTE_ONE.items()
}

log = get_logger("acode_tui.storage.sqlite")


def note_change(connection: sqlite3.Connection, kind: EntityType, entity_id: str, change: TextChange) -> None:
    """Note that a row was updated; part of a unit. Without a search index there is nothing to note."""
    if change != "none" and kind in _NOTE_ONE:
        _note(connection, _NOTE_ONE[kind], (change == "rewritten", entity_id))


def note_changes(connection: sqlite3.Connection, kind: EntityType, ids: Sequence[str], change: TextChange) -> None:
    """The same for many rows of one kind."""
    if ids and change != "none" and kind in _NOTE_MANY:
        _note(connection, _NOTE_MANY[kind], (change == "rewritten", json.dumps(list(ids))))


def _note(connection: sqlite3.Connection, statement: str, values: tuple[bool, str]) -> None:
    try:
        connection.execute(statement, values)
    except sqlite3.OperationalError as error:
        if not str(error).startswith("no such table"):
            raise
        # The index was removed from the file: rows are written all the same, and a rebuild indexes every one.
        log.debug("search.change_not_noted", database="sqlite", reason=str(error))
