"""The sessions that the index proposes for a query, as one expression of FTS5 over the entries of whole sessions.

FTS5 intersects and subtracts the lists of words and marks itself, some 30 ns a session and word. Every session that
matches is proposed. Where each condition is one word, and no document of a session is stale, no other one is.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from acode_tui.storage.sqlite.search.session_words import ANY, FIRST, STALE, number_of
from acode_tui.storage.sqlite.search.words import WITHIN, Words, near, quoted

_UP_TO = f"""
SELECT json_group_array(rowid - {FIRST})
FROM (SELECT rowid FROM search_index WHERE search_index MATCH ? AND rowid > ? ORDER BY rowid LIMIT ?)
"""  # noqa: S608

_EVERY = 1 << 62
"""More sessions than there are."""

_decode = msgspec.json.Decoder(list[int]).decode


class Proposals:
    """The proposed sessions of a query in one snapshot. Answers are kept."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        wanted: Iterable[Words],
        excluded: Iterable[Words],
        marks: Iterable[Sequence[str]],
    ) -> None:
        """``excluded`` are words which decide alone: a session that has one does not match unless it is stale."""
        self._connection = connection
        wanted, excluded = list(wanted), [each for each in excluded if each.expression]
        self._is_slow_to_begin = any(each.is_slow_to_begin for each in (*wanted, *excluded))
        parts = [each.expression for each in wanted if each.expression]
        parts += [" OR ".join(map(quoted, each)) for each in marks]
        # A field with no value that fits is met by no session.
        self._is_empty = not all(parts)
        self._is_every = not parts and not excluded
        self._expression = " AND ".join(f"({part})" for part in parts or [quoted(ANY)])
        if excluded:
            out = " OR ".join(f"({each.expression})" for each in excluded)
            self._expression = f"({self._expression}) NOT (({out}) NOT {quoted(STALE)})"
        self._found: list[int] = []
        """Those that were collected, in the order of their numbers: all, or the first ones."""
        self._known: set[int] | None = set() if self._is_empty else None

    def up_to(self, cap: int) -> set[int] | None:
        """All proposed sessions; None where there are more than ``cap``, and where nothing is asked of the index."""
        if self._is_every:
            return None
        if self._known is None and len(self._found) <= cap:
            most = _EVERY if self._is_slow_to_begin else cap + 1
            last = number_of(self._found[-1]) if self._found else FIRST - 1
            given = (self._expression, last, most - len(self._found))
            (found,) = self._connection.execute(_UP_TO, given).fetchone()
            self._found += _decode(found)
            if len(self._found) < most:
                self._known = set(self._found)
        return self._known if self._known is not None and len(self._known) <= cap else None

    def expected(self) -> float:
        """How many sessions are proposed, as far as those that were collected tell: they are the first ones."""
        if self._known is not None or not self._found:
            return len(self._found)
        (last,) = self._connection.execute("SELECT coalesce(max(rowid), 0) FROM sessions").fetchone()
        return len(self._found) * float(last) / max(self._found[-1], 1)

    def among(self, sessions: Sequence[int]) -> set[int]:
        """Those of the sessions that are proposed."""
        if self._is_every:
            return set(sessions)
        if self._known is None and self._is_slow_to_begin:
            self.up_to(_EVERY)
        if self._known is not None:
            return self._known.intersection(sessions)
        return {entry - FIRST for entry in self._entries(sorted(sessions))}.intersection(sessions)

    def _entries(self, sessions: Sequence[int]) -> Iterator[int]:
        for first, last in near(sessions):
            for (entry,) in self._connection.execute(WITHIN, (self._expression, number_of(first), number_of(last))):
                yield entry
