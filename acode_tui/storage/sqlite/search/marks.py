"""How far each table is indexed, and whether the index still fits the rows that it was made of."""

import sqlite3
from typing import NamedTuple

from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite.figures.changes import has_changed
from acode_tui.storage.sqlite.fts5 import FORMAT_WITHOUT_WORDS, has_fts5
from acode_tui.storage.sqlite.search.tables import FORMAT, FORMAT_MARK, INDEX, SEARCHED


class Mark(NamedTuple):
    """The last indexed row of a table: its rowid, 0 for none, and its id."""

    upto: int
    row_id: str


Marks = dict[EntityType, Mark]

_READ = "SELECT kind, upto, row_id FROM search_marks"


def own_format() -> int:
    """The form in which this process makes the index."""
    return FORMAT if has_fts5() else FORMAT_WITHOUT_WORDS


def has_words(connection: sqlite3.Connection) -> bool:
    """Whether the file has the tables that need FTS5."""
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (INDEX,)).fetchone() is not None


def is_without_words(connection: sqlite3.Connection) -> bool:
    """Whether the index was made without FTS5; False where a table of it that needs none is lost."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'search_marks'").fetchone() is None:
        return False
    form = connection.execute("SELECT upto FROM search_marks WHERE kind = ?", (FORMAT_MARK,)).fetchone()
    return form == (FORMAT_WITHOUT_WORDS,) and not has_words(connection)


def read_marks(connection: sqlite3.Connection) -> Marks | None:
    """The marks; None where the index was made in another form than this program's.

    A migration names the first form. While nothing is indexed, that is as good as any later one.
    """
    found = {str(kind): Mark(int(upto), str(row_id)) for kind, upto, row_id in connection.execute(_READ)}
    form = found.pop(FORMAT_MARK, None)
    if form is None or set(found) != {kind.value for kind in SEARCHED}:
        return None
    own = own_format()
    if form.upto != own and (not FORMAT_WITHOUT_WORDS < form.upto <= own or any(mark.upto for mark in found.values())):
        return None
    return {EntityType(kind): mark for kind, mark in found.items()}


def store_marks(connection: sqlite3.Connection, marks: Marks) -> None:
    """Move the marks, in the transaction that indexes the rows up to them in this program's form."""
    connection.executemany(
        "UPDATE search_marks SET upto = ?, row_id = ? WHERE kind = ?",
        [(mark.upto, mark.row_id, kind.value) for kind, mark in marks.items()] + [(own_format(), "", FORMAT_MARK)],
    )


def fits(connection: sqlite3.Connection, marks: Marks) -> bool:
    """Whether the row at each mark is the one that was there: SQLite may renumber rows when a file is rewritten."""
    return all(
        connection.execute(f"SELECT id FROM {SEARCHED[kind]} WHERE rowid = ?", (mark.upto,)).fetchone()  # noqa: S608
        == (mark.row_id,)
        for kind, mark in marks.items()
        if mark.upto
    )


def is_behind(connection: sqlite3.Connection) -> bool:
    """Whether rows are not indexed or not counted yet, or have changed since, or the index must be made again."""
    marks = read_marks(connection)
    if marks is None or connection.execute("SELECT 1 FROM search_changes LIMIT 1").fetchone():
        return True
    if has_changed(connection):
        return True
    newest = (connection.execute(f"SELECT max(rowid) FROM {SEARCHED[kind]}").fetchone()[0] for kind in marks)  # noqa: S608
    return any((last or 0) != mark.upto for last, mark in zip(newest, marks.values(), strict=True)) or not fits(
        connection, marks
    )


def count_rows(connection: sqlite3.Connection) -> int:
    """About how many rows there are to index: the last rowid of each table."""
    newest = (connection.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0] for table in SEARCHED.values())  # noqa: S608
    return sum(int(last or 0) for last in newest)


def count_indexed(connection: sqlite3.Connection) -> int:
    """The same for the rows that are indexed."""
    return int(connection.execute("SELECT sum(upto) FROM search_marks WHERE kind <> ?", (FORMAT_MARK,)).fetchone()[0])
