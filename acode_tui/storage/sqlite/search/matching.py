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
from acode_tui.storage.sqlite.search.proposals import Proposals
from acode_tui.storage.sqlite.search.session_words import PATH
from acode_tui.storage.sqlite.search.words import IndexedDocument, Words, every_document

_STALE = """
SELECT DISTINCT d.session FROM json_each(?) AS g
CROSS JOIN search_documents AS d INDEXED BY search_documents_stale ON d.session = g.value AND d.stale
"""
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
        mark = PATH if conditions.files else ""
        self.words = None if term is None or not term.tokens else Words(connection, term, mark=mark)
        self.is_decided_by_index = (
            bool(conditions.terms or conditions.files)
            and self.words is not None
            and len(self.words.tokens) == 1
            and not self.words.is_wide
        )
        self.undecided: bool | None = None
        """What ``met_by`` says of sessions of which only texts tell whether they meet it. With None it reads them."""
        self._connection = connection
        self._finder = PlaceFinder(connection, conditions)

    def look_up(self, sessions: Sequence[int]) -> None:
        """Ask for the documents of many sessions at once: what is asked of each of them then costs less."""
        if self.words is not None:
            self.words.among(sessions)

    def documents(self, session: int) -> list[IndexedDocument]:
        """The documents of a session that may meet it."""
        if self.words is None:
            return every_document(self._connection, [session]).get(session, [])
        return self.words.among([session]).get(session, [])

    def met_by(self, sessions: Sequence[int]) -> set[int]:
        """Those of the sessions that meet it."""
        if self.words is None:
            return self._with_tool(sessions)
        if self.conditions.failed:
            sessions = self._with_failures(sessions)
        if self.tool is not None or self.undecided:
            # Their documents are not needed here, and none is asked for where the sessions are known to have the words.
            asked = sessions if self.words.are_known_in(sessions) else list(self.words.among(sessions))
            return set(asked) if self.tool is None else self._with_tool(asked)
        documents = self.words.among(sessions)
        if self.undecided is not None:
            return {session for session, own in documents.items() if self._is_decided(own)}
        return {session for session, own in documents.items() if self._is_decided(own) or self._is_found(session, own)}

    def is_met(self, session: int) -> bool:
        """Whether a session meets it, its texts read where only they tell."""
        if self.words is None or self.tool is not None:
            return bool(self._with_tool([session]))
        documents = self.documents(session)
        if not documents or (self.conditions.failed and not self._with_failures([session])):
            return False
        return self._is_decided(documents) or self._is_found(session, documents)

    def _is_decided(self, documents: Sequence[IndexedDocument]) -> bool:
        """Whether the index alone says that a session with these documents meets it."""
        assert self.words is not None
        return self.is_decided_by_index and not all(each.stale for each in documents)

    def _is_found(self, session: int, documents: Iterable[IndexedDocument]) -> bool:
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
        self._connection = connection
        self.excluded = place_conditions(connection, query.excluded)
        self._facts = FactsTest(connection, query)
        self._proposals = Proposals(
            connection,
            (each.words for each in self.wanted if each.words is not None),
            (each.words for each in self.excluded if each.words is not None and each.is_decided_by_index),
            self._facts.marks(),
        )

    @property
    def is_decided_by_index(self) -> bool:
        """Whether proposed sessions need no further test, unless a document is stale."""
        return not self._facts.has_any and all(each.is_decided_by_index for each in (*self.wanted, *self.excluded))

    def proposed(self, cap: int) -> set[int] | None:
        """The sessions that may match, every one that does among them; None where they are more than ``cap``."""
        return self._proposals.up_to(cap)

    def expected(self) -> float:
        """About how many sessions the index proposes, where more were proposed than a cap."""
        return self._proposals.expected()

    def matching(self, sessions: Iterable[int]) -> set[int]:
        """Those of the sessions that match."""
        left = self._proposals.among(list(sessions))
        for each in self.wanted:
            if each.words is not None:
                each.words.are_in(left)
        if left and self._facts.has_any:
            left = self._facts.met_by(sorted(left))
        stale = self._with_stale(left)
        # Most sessions fail at what is not decided, and what is decided is asked of few.
        for each in self.wanted:
            if each.is_decided_by_index:
                if of := sorted(stale & left):
                    left -= set(of) - each.met_by(of)
            elif left:
                left = each.met_by(sorted(left))
        for each in self.excluded:
            if of := sorted(stale & left if each.is_decided_by_index else left):
                left -= each.met_by(of)
        return left

    def _with_stale(self, sessions: set[int]) -> set[int]:
        asked = f"[{','.join(map(str, sorted(sessions)))}]"
        return {row[0] for row in self._connection.execute(_STALE, (asked,))} if sessions else set()
