"""Asking the index: in which documents the tokens of a term are."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from acode_tui.domain.search.query import Term, index_entries

INDEXED_PREFIXES = (2, 3)
"""Lengths of prefixes that the index has as it has words."""

MAX_WORDS = 64
"""Most words that another prefix is replaced by: FTS5 collects all its documents before it gives the first."""

MAX_DOCUMENTS = 20_000
"""Most documents of a prefix of more words. One with more is common: it is looked for in the texts."""

MAX_GAP = 2_000
"""Most numbers between two documents that are asked for together."""

_TERMS = "SELECT term, doc FROM search_terms WHERE term >= ? AND term < ?"
_COUNT = "SELECT count(*) FROM (SELECT 1 FROM search_index WHERE search_index MATCH ? LIMIT ?)"
_EVERY = """
SELECT d.session, d.id, d.stale FROM search_index AS f CROSS JOIN search_documents AS d ON d.id = f.rowid
WHERE f.search_index MATCH ?
"""
_SESSIONS = """
SELECT d.session FROM search_index AS f CROSS JOIN search_documents AS d ON d.id = f.rowid WHERE f.search_index MATCH ?
"""
_OF_SESSIONS = """
SELECT d.session, d.id, d.stale FROM json_each(?) AS g CROSS JOIN search_documents AS d ON d.session = g.value
"""
_WITHIN = "SELECT rowid FROM search_index WHERE search_index MATCH ? AND rowid BETWEEN ? AND ?"
_BEHIND = "\U0010ffff"


class IndexedDocument(NamedTuple):
    """A document, and whether its rows have changed since it was indexed."""

    id: int
    stale: bool


Documents = dict[int, list[IndexedDocument]]
"""Documents by the rowid of their session."""


class Words:
    """The tokens of one term, all of which are in each document that holds the term. Answers are kept."""

    def __init__(self, connection: sqlite3.Connection, term: Term) -> None:
        self.tokens = term.tokens
        self.is_wide = False
        """Whether it has a prefix that is not looked up in the index, so that ``among`` leaves it aside."""
        self._connection = connection
        self._every: Documents | None = None
        self._at_once = False
        self._counted = (0, 1)
        parts = [self._prefix(token) if is_prefix else _quoted(token) for token, is_prefix in index_entries(term)]
        self._expression = " AND ".join(filter(None, parts))

    def count(self, cap: int) -> int:
        """How many documents there are, ``cap`` + 1 for more than that."""
        if self.is_wide and not self._expression:
            return cap + 1
        upto, found = self._counted
        if found > upto and cap > upto:
            found = int(self._connection.execute(_COUNT, (self._expression, cap + 1)).fetchone()[0])
            self._counted = (cap, found)
        return min(found, cap + 1)

    def every(self) -> Documents:
        """Every document: ask for the count first."""
        if self._every is None:
            self._every = _by_session(self._connection.execute(_EVERY, (self._expression,)))
        return self._every

    def sessions(self) -> set[int]:
        """The sessions of every document: with many, less work than the documents themselves."""
        if self._every is not None:
            return set(self._every)
        return {row[0] for row in self._connection.execute(_SESSIONS, (self._expression,))}

    def among(self, sessions: Sequence[int]) -> Documents:
        """The documents of these sessions."""
        if self._at_once:
            self.every()
        if self._every is not None:
            return {session: self._every[session] for session in sessions if session in self._every}
        own = every_document(self._connection, sessions)
        return self._held(own) if self._expression else own

    def _held(self, documents: Documents) -> Documents:
        """Those of the documents that have the tokens.

        Documents with near numbers are asked for together: FTS5 takes as long to find the first of a range in a common
        word's list as to read some thousand numbers of it.
        """
        numbers = sorted(document.id for own in documents.values() for document in own)
        held: set[int] = set()
        for first, last in _near(numbers):
            held.update(row[0] for row in self._connection.execute(_WITHIN, (self._expression, first, last)))
        left = {session: [each for each in own if each.id in held] for session, own in documents.items()}
        return {session: own for session, own in left.items() if own}

    def _prefix(self, start: str) -> str:
        """The expression for a prefix; empty where it is too common to be looked up."""
        if len(start) in INDEXED_PREFIXES:
            return f"{_quoted(start)} *"
        found: list[str] = []
        documents = 0
        for term, count in self._connection.execute(_TERMS, (start, start + _BEHIND)):
            found.append(term)
            documents += count
            if len(found) > MAX_WORDS and documents > MAX_DOCUMENTS:
                self.is_wide = True
                return ""
        if len(found) <= MAX_WORDS:
            return f"({' OR '.join(map(_quoted, found or [start]))})"
        self._at_once = True
        return f"{_quoted(start)} *"


def _near(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The ranges that sorted numbers lie in, without larger gaps."""
    first = last = None
    for number in numbers:
        if first is None or last is None:
            first = number
        elif number - last > MAX_GAP:
            yield first, last
            first = number
        last = number
    if first is not None and last is not None:
        yield first, last


def every_document(connection: sqlite3.Connection, sessions: Sequence[int]) -> Documents:
    """All documents of these sessions."""
    return _by_session(connection.execute(_OF_SESSIONS, (f"[{','.join(map(str, sessions))}]",)))


def _quoted(token: str) -> str:
    return '"' + token.replace('"', '""') + '"'


def _by_session(found: Iterable[tuple[int, int, int]]) -> Documents:
    documents: Documents = {}
    for session, document, stale in found:
        documents.setdefault(session, []).append(IndexedDocument(document, bool(stale)))
    return documents
