"""Which sessions a query finds, over the index, the facts and, where these do not decide it, the texts.

What the index holds of a session is whether a token is in one of its documents. That decides a single word. Of a phrase
the documents with all its tokens are looked through, and so are documents that are stale.
"""

import sqlite3
from collections.abc import Iterable, Sequence

from acode_tui.domain.search.query import Conditions, Query, Term, tool_term
from acode_tui.storage.sqlite.search.documents import covered_by
from acode_tui.storage.sqlite.search.fact_conditions import FactsTest
from acode_tui.storage.sqlite.search.place_finder import PlaceFinder
from acode_tui.storage.sqlite.search.words import IndexedDocument, Words, every_document

MANY = 3_000
"""So many documents are kept with their sessions, for the tests that follow."""

FEW = 400
"""So few documents that no other condition is asked whether it has fewer."""

_FAILING = "SELECT session FROM session_facts WHERE session IN (SELECT value FROM json_each(?)) AND failed_calls > 0"
_TOOLS = """
SELECT DISTINCT s.rowid, t.tool_name FROM json_each(?) AS g CROSS JOIN sessions AS s ON s.rowid = g.value
CROSS JOIN tool_calls AS t INDEXED BY tool_calls_by_session ON t.session_id = s.id
"""


class PlaceCondition:
    """A condition on places: a word, ``tool:``, ``file:`` or ``failed:``. A run meets it if one of its places does."""

    def __init__(self, connection: sqlite3.Connection, conditions: Conditions, term: Term | None) -> None:
        self.conditions = conditions
        """This condition alone."""
        self.tool = conditions.tools[0].casefold() if conditions.tools else None
        self.words = None if term is None or not term.tokens else Words(connection, term)
        self.is_decided_by_index = bool(conditions.terms) and term is not None and len(term.tokens) == 1
        self.undecided: bool | None = None
        """What ``met_by`` says of sessions of which only texts tell whether they meet it; with None it reads them."""
        self._connection = connection
        self._finder = PlaceFinder(connection, conditions)

    def documents(self, session: int) -> list[IndexedDocument]:
        """The documents of a session that may meet it."""
        if self.words is None:
            return every_document(self._connection, [session]).get(session, [])
        return self.words.among([session]).get(session, [])

    def met_by(self, sessions: Sequence[int]) -> set[int]:
        """Those of the sessions that meet it."""
        if self.words is None:
            return self._with_tool(sessions)
        documents = self.words.among(self._with_failures(sessions) if self.conditions.failed else sessions)
        if self.tool is not None:
            return self._with_tool(list(documents))
        if self.is_left_undecided:
            return set(documents) if self.undecided else set()
        return {session for session, own in documents.items() if self._is_met(session, own)}

    @property
    def is_left_undecided(self) -> bool:
        """Whether ``met_by`` did not read the texts that decide."""
        return self.undecided is not None and self.words is not None and not (self.tool or self.is_decided_by_index)

    def is_met(self, session: int) -> bool:
        """Whether the texts of a session meet it, of which ``met_by`` did not decide."""
        documents = self.documents(session)
        if self.conditions.failed and not self._with_failures([session]):
            return False
        return bool(documents) and self._is_met(session, documents)

    def _is_met(self, session: int, documents: list[IndexedDocument]) -> bool:
        assert self.words is not None
        if self.is_decided_by_index and not self.words.is_wide and not all(each.stale for each in documents):
            return True
        covered = covered_by(self._connection, (document.id for document in documents))
        return any(self._finder.places(row) for row in self._finder.candidates(session, covered))

    def _with_failures(self, sessions: Sequence[int]) -> list[int]:
        asked = f"[{','.join(map(str, sessions))}]"
        return [row[0] for row in self._connection.execute(_FAILING, (asked,))]

    def _with_tool(self, sessions: Sequence[int]) -> set[int]:
        asked = f"[{','.join(map(str, sessions))}]"
        found = self._connection.execute(_TOOLS, (asked,))
        return {session for session, name in found if name.casefold() == self.tool}


def place_conditions(connection: sqlite3.Connection, conditions: Conditions) -> list[PlaceCondition]:
    """Each condition on places by itself."""
    return [
        *(PlaceCondition(connection, Conditions(terms=(term,)), term) for term in conditions.terms),
        *(PlaceCondition(connection, Conditions(failed=(term,)), term) for term in conditions.failed),
        *(PlaceCondition(connection, Conditions(files=(term,)), term) for term in conditions.files),
        *(PlaceCondition(connection, Conditions(tools=(tool,)), tool_term(tool)) for tool in conditions.tools),
    ]


class Matching:
    """One query over one snapshot; what it asked is kept."""

    def __init__(self, connection: sqlite3.Connection, query: Query) -> None:
        self.wanted = place_conditions(connection, query)
        self.excluded = place_conditions(connection, query.excluded)
        self._facts = FactsTest(connection, query)

    @property
    def is_decided_by_rarest(self) -> bool:
        """Whether the sessions of the rarest condition need no further test, unless a document is stale."""
        return (
            not self.excluded
            and not self._facts.has_any
            and len(self.wanted) == 1
            and self.wanted[0].is_decided_by_index
        )

    def candidates(self, cap: int) -> set[int] | None:
        """The sessions that meet the rarest condition; None where each is met by more than about ``cap``."""
        rarest, fewest = None, cap + 1
        for each in self.wanted:
            if each.words is None or fewest <= FEW:
                continue
            count = each.words.count(fewest - 1)
            if count < fewest:
                rarest, fewest = each, count
        by_facts = self._facts.candidates(fewest - 1)
        if by_facts is not None:
            return by_facts
        if rarest is None or rarest.words is None:
            return None
        return set(rarest.words.every()) if fewest <= MANY else rarest.words.sessions()

    def matching(self, sessions: Iterable[int]) -> set[int]:
        """Those of the sessions that match."""
        left = self._facts.met_by(list(sessions))
        # The cheap tests first: what the index decides alone.
        for each in sorted(self.wanted, key=lambda each: not each.is_decided_by_index):
            if not left:
                return set()
            left = each.met_by(sorted(left))
        for each in self.excluded:
            if left:
                left -= each.met_by(sorted(left))
        return left
