"""Documents: what the index keeps of consecutive rows of one session."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from acode_tui.domain.search.tokens import index_body, index_tokens
from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.fts5 import has_fts5
from acode_tui.storage.sqlite.search.indexed_rows import IndexedRow
from acode_tui.storage.sqlite.search.searched_rows import Covered
from acode_tui.storage.sqlite.search.session_words import PATH, number_of

MAX_CHARS = 64 * 1024
"""Texts of one document, in characters. Larger ones make a smaller index, for a word is listed once in each; smaller
ones leave fewer texts to look through for a phrase.
"""

RANGED = (EntityType.SESSION_TASK, EntityType.STEP, EntityType.TOOL_CALL, EntityType.ARTIFACT)
"""The kinds of which a document covers a range of rows, in the order of the table's columns."""

_INSERT = "INSERT INTO search_documents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INDEX = "INSERT INTO search_index (rowid, body) VALUES (?, ?)"
_NEXT_ID = "SELECT coalesce(max(id), 0) + 1 FROM search_documents"
_COVERED = """
SELECT has_session, first_task, more_tasks, first_step, more_steps, first_call, more_calls,
    first_artifact, more_artifacts
FROM search_documents WHERE id = ?
"""
_FIRST = dict(zip(RANGED, ("first_task", "first_step", "first_call", "first_artifact"), strict=True))
_MORE = dict(zip(RANGED, ("more_tasks", "more_steps", "more_calls", "more_artifacts"), strict=True))

Ranges = dict[EntityType, tuple[int, int]]
"""By kind the first and the last rowid."""


class Document:
    """A document in the making: its session's rowid, and the texts of the rows that it covers."""

    __slots__ = ("chars", "has_session", "paths", "ranges", "session", "texts")

    def __init__(self, session: int) -> None:
        self.session = session
        self.has_session = False
        self.ranges: Ranges = {}
        self.texts: list[str] = []
        self.paths: set[str] = set()
        self.chars = 0

    def add(self, row: IndexedRow, chars: int) -> None:
        """Add a row, whose texts have so many characters."""
        kind, rowid = row.kind, row.rowid
        if kind is EntityType.SESSION:
            self.has_session = True
        else:
            first, last = self.ranges.get(kind, (rowid, rowid))
            self.ranges[kind] = (min(first, rowid), max(last, rowid))
        self.texts += row.texts
        self.paths.update(row.paths)
        self.chars += chars

    def words(self) -> str:
        """The words of the texts and those of the paths, as they are given to FTS5."""
        marked = set().union(*map(path_words, self.paths))
        return " ".join([index_body(self.texts), *marked])


@lru_cache(8_192)
def path_words(path: str) -> frozenset[str]:
    """The words of a file's name as the index has them, marked, so that ``file:`` is asked apart from texts."""
    return frozenset(PATH + token for token in index_tokens(path))


def pack(read: Iterable[IndexedRow]) -> list[Document]:
    """Documents of the rows, each with rows of one session in their order. A row is never divided."""
    made: list[Document] = []
    open_: dict[int, Document] = {}
    for row in read:
        chars = sum(map(len, row.texts))
        document = open_.get(row.session)
        if document is None or document.chars + chars > MAX_CHARS:
            document = open_[row.session] = Document(row.session)
            made.append(document)
        document.add(row, chars)
    return made


def insert_documents(
    connection: sqlite3.Connection, documents: Sequence[Document], words: Sequence[str], sessions: Mapping[int, str]
) -> None:
    """Index documents with their words, and what is to be added to whole sessions.

    Many go to FTS5 in one statement, in the order of their numbers: it writes out what it holds after each, and before
    a smaller number.
    """
    (first,) = connection.execute(_NEXT_ID).fetchone()
    mapped: list[rows.Row] = []
    bodies: list[rows.Row] = []
    for number, (document, body) in enumerate(zip(documents, words, strict=True), start=int(first)):
        covered: list[int | None] = []
        for kind in RANGED:
            low, high = document.ranges.get(kind, (None, None))
            covered += (low, None if low is None or high is None else high - low)
        mapped.append((number, document.session, document.has_session, *covered, 0))
        bodies.append((number, body))
    connection.executemany(_INSERT, mapped)
    bodies += sorted((number_of(session), body) for session, body in sessions.items())
    if has_fts5():
        rows.insert_many(connection, _INDEX, bodies)


def mark_stale(connection: sqlite3.Connection, session: int, kind: EntityType, row: int) -> None:
    """Mark the documents that cover a row, for some of its words may be gone."""
    if kind is EntityType.SESSION:
        connection.execute("UPDATE search_documents SET stale = 1 WHERE session = ? AND has_session", (session,))
        return
    connection.execute(
        f"UPDATE search_documents SET stale = 1 WHERE session = ? AND ? BETWEEN {_FIRST[kind]} AND "  # noqa: S608
        f"{_FIRST[kind]} + {_MORE[kind]}",
        (session, row),
    )


def covered_by(connection: sqlite3.Connection, documents: Iterable[int]) -> Covered:
    """The rows that documents of one session cover; no row twice."""
    has_session = False
    every: dict[EntityType, list[tuple[int, int]]] = {}
    for document in documents:
        found = connection.execute(_COVERED, (document,)).fetchone()
        if found is None:
            continue
        has_session = has_session or bool(found[0])
        for kind, first, more in zip(RANGED, found[1::2], found[2::2], strict=True):
            if first is not None:
                every.setdefault(kind, []).append((first, first + more))
    return Covered(has_session, {kind: _merged(ranges) for kind, ranges in every.items()})


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged
