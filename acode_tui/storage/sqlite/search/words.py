"""Asking the index: in which documents the tokens of a term are."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from acode_tui.domain.search.query import Term, index_entries

MAX_WORDS = 64
"""Most words that a prefix is replaced by: FTS5 collects every document of a prefix before it gives the first."""

MAX_DOCUMENTS = 20_000
"""Most documents of a prefix of more words. One with more is common: it is looked for in the texts."""

_TERMS = "SELECT term, doc FROM search_terms WHERE term >= ? AND term < ?"
_COUNT = "SELECT count(*) FROM (SELECT 1 FROM search_index WHERE search_index MATCH ? LIMIT ?)"
_EVERY = """
SELECT d.session, d.id, d.stale FROM search_index AS f CROSS JOIN search_documents AS d ON d.id = f.rowid
WHERE f.search_index MATCH ?
"""
_OF_SESSIONS = """
SELECT d.session, d.id, d.stale FROM json_each(?) AS g CROSS JOIN search_documents AS d ON d.session = g.value
"""
# Each document is looked up in the index by its number.
_HELD = " WHERE EXISTS (SELECT 1 FROM search_index WHERE search_index MATCH ? AND rowid = d.id)"
_AMONG = _OF_SESSIONS + _HELD
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

    def among(self, sessions: Sequence[int]) -> Documents:
        """The documents of these sessions."""
        if self._at_once:
            self.every()
        if self._every is not None:
            return {session: self._every[session] for session in sessions if session in self._every}
        asked = f"[{','.join(map(str, sessions))}]"
        if not self._expression:
            return every_document(self._connection, sessions)
        return _by_session(self._connection.execute(_AMONG, (asked, self._expression)))

    def _prefix(self, start: str) -> str:
        """The expression for a prefix; empty where it is too common to be looked up."""
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
