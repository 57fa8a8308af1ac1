"""Asking the index: in which documents the tokens of a term are."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from acode_tui.domain.search.query import Term, index_entries
from acode_tui.storage.sqlite.search.session_words import FIRST

INDEXED_PREFIXES = (2, 3)
"""Lengths of prefixes that the index has as it has words."""

MAX_WORDS = 64
"""Most words that another prefix is replaced by: FTS5 collects all its documents before it gives the first."""

MAX_DOCUMENTS = 40_000
"""Most documents and sessions of a prefix of more words. One with more is common: it is looked for in the texts."""

MAX_GAP = 2_000
"""Most numbers between two documents that are asked for together where every document has the tokens: to begin at a
number takes FTS5 as long as giving so many. Where one in a hundred has them, a hundred times as many lie between.
"""

RAREST = 100
"""One document in so many has the rarest tokens that count as such."""

SPENT = 48
"""Lists that are read from somewhere on before all documents are collected. To begin somewhere in a list takes FTS5 30
to 150 µs, as long as to give some hundred of its numbers.
"""

MOST_COLLECTED = 20_000
"""Most documents that are collected, in 3 to 7 ms."""

_TERMS = "SELECT term, doc FROM search_terms WHERE term >= ? AND term < ?"
_EVERY = f"""
SELECT d.session, d.id, d.stale FROM search_index AS f CROSS JOIN search_documents AS d ON d.id = f.rowid
WHERE f.search_index MATCH ? AND f.rowid < {FIRST}
"""  # noqa: S608
_OF_SESSIONS = """
SELECT d.session, d.id, d.stale FROM json_each(?) AS g CROSS JOIN search_documents AS d ON d.session = g.value
"""
_COLLECTED = f"""
SELECT json_group_array(rowid)
FROM (SELECT rowid FROM search_index WHERE search_index MATCH ? AND rowid < {FIRST} LIMIT {MOST_COLLECTED + 1})
"""  # noqa: S608
WITHIN = "SELECT rowid FROM search_index WHERE search_index MATCH ? AND rowid BETWEEN ? AND ?"
_decode = msgspec.json.Decoder(list[int]).decode
_BEHIND = "\U0010ffff"


class IndexedDocument(NamedTuple):
    """A document, and whether its rows have changed since it was indexed."""

    id: int
    stale: bool


Documents = dict[int, list[IndexedDocument]]
"""Documents by the rowid of their session."""


class Words:
    """The tokens of one term, all of which are in each document that holds the term. Answers are kept."""

    def __init__(self, connection: sqlite3.Connection, term: Term, *, mark: str = "") -> None:
        """``mark`` is the sign that stands before the words in the index, if they are not those of texts."""
        self.tokens = term.tokens
        self.is_wide = False
        """Whether it has a prefix that is not looked up in the index, so that ``among`` leaves it aside."""
        self._connection = connection
        self._every: Documents | None = None
        self._found: Documents = {}
        self._asked: set[int] = set()
        self._having: set[int] = set()
        self._passed = self._given = self._spent = 0
        self._collected: frozenset[int] | None = None
        self._is_common = False
        """Whether it is in too many documents to collect them."""
        self.is_slow_to_begin = False
        """Whether FTS5 collects everything before it gives the first: then it is asked once, for all."""
        parts = [
            self._prefix(mark + token) if is_prefix else quoted(mark + token)
            for token, is_prefix in index_entries(term)
        ]
        self.expression = " AND ".join(filter(None, parts))
        """What FTS5 is asked for. Empty where every document may hold the term."""

    def are_in(self, sessions: Iterable[int]) -> None:
        """Note that all of the tokens are somewhere in each of these sessions, which saves asking where there is one
        document.
        """
        self._having.update(sessions)

    def are_known_in(self, sessions: Iterable[int]) -> bool:
        """Whether that was noted of each of these sessions."""
        return self._having.issuperset(sessions)

    def among(self, sessions: Sequence[int]) -> Documents:
        """The documents of these sessions. To ask for many at once takes a part of the time."""
        if self.is_slow_to_begin and self._every is None:
            self._every = _by_session(self._connection.execute(_EVERY, (self.expression,)))
        if self._every is not None:
            return {session: self._every[session] for session in sessions if session in self._every}
        if asked := [session for session in sessions if session not in self._asked]:
            own = every_document(self._connection, asked)
            self._found.update(self._held(own) if self.expression else own)
            self._asked.update(asked)
        return {session: self._found[session] for session in sessions if session in self._found}

    def _held(self, documents: Documents) -> Documents:
        """Those of the documents that have the tokens.

        Documents with near numbers are asked for together: FTS5 takes as long to find the first of a range in a common
        word's list as to read some thousand numbers of it.
        """
        sure = {session for session, own in documents.items() if len(own) == 1 and session in self._having}
        numbers = sorted(document.id for session, own in documents.items() if session not in sure for document in own)
        held = {documents[session][0].id for session in sure}
        rarity = min(self._passed // max(self._given, 1), RAREST)
        for first, last in near(numbers, max(MAX_GAP, MAX_GAP * rarity // 4)):
            if self._spent >= SPENT and not self._is_common and self._collected is None:
                self._collect()
            if self._collected is not None:
                held.update(self._collected.intersection(numbers))
                break
            found = [row[0] for row in self._connection.execute(WITHIN, (self.expression, first, last))]
            held.update(found)
            self._passed += last - first + 1
            self._given += len(found)
            self._spent += len(self.tokens)
        left = {session: [each for each in own if each.id in held] for session, own in documents.items()}
        return {session: own for session, own in left.items() if own}

    def _collect(self) -> None:
        (found,) = self._connection.execute(_COLLECTED, (self.expression,)).fetchone()
        numbers = _decode(found)
        self._is_common = len(numbers) > MOST_COLLECTED
        if not self._is_common:
            self._collected = frozenset(numbers)

    def _prefix(self, start: str) -> str:
        """The expression for a prefix; empty where it is too common to be looked up."""
        if len(start) in INDEXED_PREFIXES:
            return f"{quoted(start)} *"
        found: list[str] = []
        documents = 0
        for term, count in self._connection.execute(_TERMS, (start, start + _BEHIND)):
            found.append(term)
            documents += count
            if len(found) > MAX_WORDS and documents > MAX_DOCUMENTS:
                self.is_wide = True
                return ""
        if len(found) <= MAX_WORDS:
            return f"({' OR '.join(map(quoted, found or [start]))})"
        self.is_slow_to_begin = True
        return f"{quoted(start)} *"


def near(numbers: Sequence[int], gap: int = MAX_GAP) -> Iterator[tuple[int, int]]:
    """The ranges that sorted numbers lie in, without larger gaps."""
    first = last = None
    for number in numbers:
        if first is None or last is None:
            first = number
        elif number - last > gap:
            yield first, last
            first = number
        last = number
    if first is not None and last is not None:
        yield first, last


def every_document(connection: sqlite3.Connection, sessions: Sequence[int]) -> Documents:
    """All documents of these sessions."""
    return _by_session(connection.execute(_OF_SESSIONS, (f"[{','.join(map(str, sessions))}]",)))


def quoted(token: str) -> str:
    return '"' + token.replace('"', '""') + '"'


def _by_session(found: Iterable[tuple[int, int, int]]) -> Documents:
    documents: Documents = {}
    for session, document, stale in found:
        documents.setdefault(session, []).append(IndexedDocument(document, bool(stale)))
    return documents
