"""Catching up: the index follows the rows in batches, each read in one snapshot and written in one short transaction.

What takes time, reading rows and finding their words, is done without the write lock. The transaction then checks that
nothing moved the marks meanwhile, as another process that indexes the same rows does, and that the rows are still as
they were read; a row that is not gets a note. A kill at any moment leaves a batch indexed or not.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite.figures.changes import mark_changed
from acode_tui.storage.sqlite.search.documents import Document, insert_documents, mark_stale, pack
from acode_tui.storage.sqlite.search.indexed_rows import IndexedRow, IndexedRows, Stamp
from acode_tui.storage.sqlite.search.marks import Mark, Marks, read_marks, store_marks
from acode_tui.storage.sqlite.search.session_facts import FactsChange, changes_of, count_failed, store_facts
from acode_tui.storage.sqlite.search.session_words import bodies
from acode_tui.storage.sqlite.search.tables import SEARCHED

BATCH_CHARS = 2 * 1024 * 1024
"""Text of a batch: its transaction holds the write lock for some 20 to 40 ms.

With half of it FTS5 takes a quarter longer, for it merges twice as many pieces, and the index is a third larger.
"""

MAX_NOTES = 200
_SESSIONS = 64
"""Sessions that are read at once, with all that is below them: a small run becomes one document."""

_BELOW = tuple(kind for kind in SEARCHED if kind is not EntityType.SESSION)
_MUTABLE = tuple(kind for kind in SEARCHED if kind is not EntityType.ARTIFACT)
_NOTES = "SELECT kind, row, rewritten FROM search_changes LIMIT ?"
_STAMPS: dict[EntityType, str] = {
    kind: f"SELECT rowid, updated_at, sync_version FROM {SEARCHED[kind]} "  # noqa: S608
    "WHERE rowid IN (SELECT value FROM json_each(?))"
    for kind in _MUTABLE
}
_KEEP = """
INSERT INTO search_changes (kind, row, rewritten) VALUES (?, ?, 1) ON CONFLICT (kind, row) DO UPDATE SET rewritten = 1
"""


class Note(NamedTuple):
    """A row that changed after it was indexed."""

    kind: EntityType
    row: int
    rewritten: bool


class Batch(NamedTuple):
    """Rows of one snapshot, ready to be indexed: where the marks were and where they will be."""

    marks: Marks
    moved: Marks
    notes: list[Note]
    sessions: dict[tuple[EntityType, int], int]
    """The session of each noted row."""
    stamps: dict[EntityType, dict[int, Stamp]]
    documents: list[Document]
    words: list[str]
    facts: dict[int, FactsChange]
    data_version: int


def read_batch(connection: sqlite3.Connection) -> Batch | None:
    """The next rows that are not indexed; None where there are none. The read transaction has ended then.

    The marks must fit: see ``marks.fits``.
    """
    connection.execute("BEGIN")
    try:
        version = _data_version(connection)
        marks = read_marks(connection)
        if marks is None:
            return None
        notes = [
            Note(EntityType(kind), row, bool(lost)) for kind, row, lost in connection.execute(_NOTES, (MAX_NOTES,))
        ]
        reading = _Reading(connection, marks)
        changed = reading.noted(notes)
        fresh = reading.fresh(BATCH_CHARS)
        facts = changes_of(changed, fresh)
        for session in _to_recount(notes, changed):
            facts[session].recounted = count_failed(connection, session, reading.moved[EntityType.TOOL_CALL].upto)
    finally:
        connection.execute("COMMIT")
    if not notes and reading.moved == marks:
        return None
    # Documents of changed rows are apart: their rows lie anywhere, and the ranges of a document are better short.
    documents = [*pack(changed), *pack(fresh)]
    stamps: dict[EntityType, dict[int, Stamp]] = {kind: {} for kind in _MUTABLE}
    for row in (*changed, *fresh):
        if row.kind in stamps:
            stamps[row.kind][row.rowid] = row.stamp
    return Batch(
        marks=marks,
        moved=reading.moved,
        notes=notes,
        sessions={(row.kind, row.rowid): row.session for row in changed},
        stamps=stamps,
        documents=documents,
        words=[document.words() for document in documents],
        facts=facts,
        data_version=version,
    )


def write_batch(connection: sqlite3.Connection, batch: Batch) -> bool:
    """Index a batch in one transaction. False, and nothing written, where another process moved the marks meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        if read_marks(connection) != batch.marks:
            connection.execute("ROLLBACK")
            return False
        changed = _changed(connection, batch) if _data_version(connection) != batch.data_version else set()
        stale: set[int] = set()
        for note in batch.notes:
            if note.rewritten and (session := batch.sessions.get((note.kind, note.row))) is not None:
                mark_stale(connection, session, note.kind, note.row)
                stale.add(session)
        connection.executemany(
            "DELETE FROM search_changes WHERE kind = ? AND row = ?",
            [(note.kind.value, note.row) for note in batch.notes if (note.kind, note.row) not in changed],
        )
        connection.executemany(_KEEP, [(kind.value, row) for kind, row in changed])
        sessions = bodies(
            ((document.session, body) for document, body in zip(batch.documents, batch.words, strict=True)),
            batch.facts,
            stale,
        )
        insert_documents(connection, batch.documents, batch.words, sessions)
        store_facts(connection, batch.facts)
        mark_changed(connection, batch.facts)
        store_marks(connection, batch.moved)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise
    return True


class _Reading:
    """Reads a snapshot's rows from the marks on; ``moved`` is how far it came."""

    def __init__(self, connection: sqlite3.Connection, marks: Marks) -> None:
        self._rows = IndexedRows(connection)
        self.moved: Marks = dict(marks)

    def noted(self, notes: list[Note]) -> list[IndexedRow]:
        """The rows of the notes."""
        found: list[IndexedRow] = []
        for kind in _MUTABLE:
            if rowids := [note.row for note in notes if note.kind is kind]:
                found += self._rows.among(kind, rowids)
        return found

    def fresh(self, max_chars: int) -> list[IndexedRow]:
        """Rows that are not indexed yet, up to so many characters of text and one row more.

        Sessions are read some at a time, each time with every row below them that is there. So runs that were
        inserted together, a table after the other, are indexed run by run.
        """
        below = {kind: _Ahead(self._rows.after(kind, self.moved[kind].upto)) for kind in _BELOW}
        sessions = _Ahead(self._rows.after(EntityType.SESSION, self.moved[EntityType.SESSION].upto))
        found: list[IndexedRow] = []
        chars = 0
        while True:
            ceiling = self.moved[EntityType.SESSION].upto
            for kind, ahead in below.items():
                while (row := ahead.next) is not None and row.session <= ceiling:
                    if chars >= max_chars:
                        return found
                    chars += self._take(kind, ahead, found)
            if chars >= max_chars or sessions.next is None:
                return found
            for _ in range(_SESSIONS):
                if sessions.next is None or chars >= max_chars:
                    break
                chars += self._take(EntityType.SESSION, sessions, found)

    def _take(self, kind: EntityType, ahead: "_Ahead", found: list[IndexedRow]) -> int:
        row = ahead.take()
        found.append(row)
        self.moved[kind] = Mark(row.rowid, row.row_id)
        return sum(map(len, row.texts))


class _Ahead:
    """An iterator of rows that shows its next one."""

    def __init__(self, source: Iterator[IndexedRow]) -> None:
        self._source = source
        self.next = next(source, None)

    def take(self) -> IndexedRow:
        taken = self.next
        assert taken is not None
        self.next = next(self._source, None)
        return taken


def _to_recount(notes: list[Note], changed: list[IndexedRow]) -> set[int]:
    """The sessions in which a call that was counted may have become a failed one, or may be none any more."""
    rewritten = {note.row for note in notes if note.rewritten and note.kind is EntityType.TOOL_CALL}
    return {
        row.session for row in changed if row.kind is EntityType.TOOL_CALL and (row.is_failed or row.rowid in rewritten)
    }


def _changed(connection: sqlite3.Connection, batch: Batch) -> set[tuple[EntityType, int]]:
    """The rows of the batch that another process has changed since they were read."""
    changed: set[tuple[EntityType, int]] = set()
    for kind, stamps in batch.stamps.items():
        asked = f"[{','.join(map(str, stamps))}]"
        now = {row: (updated, version) for row, updated, version in connection.execute(_STAMPS[kind], (asked,))}
        changed.update((kind, row) for row, stamp in stamps.items() if now.get(row, stamp) != stamp)
    return changed


def _data_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA data_version").fetchone()[0])
