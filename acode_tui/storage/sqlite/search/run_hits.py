"""The hits of one run that is known to match, in order: only documents that can hold one are looked through."""

import sqlite3
from collections.abc import Iterable
from datetime import datetime
from itertools import chain, groupby

from acode_tui.domain.entities import Session
from acode_tui.domain.search.hits import Found, count_of, met_at, one_a_call, snippet_of
from acode_tui.domain.search.places import Place, places_of_run
from acode_tui.domain.search.query import Query
from acode_tui.storage.sqlite.search.documents import covered_by
from acode_tui.storage.sqlite.search.matching import PlaceCondition
from acode_tui.storage.sqlite.search.place_rows import complete_places_of
from acode_tui.storage.sqlite.search.searched_rows import rows_within

_ORDERS = {
    "task": 'SELECT "order", rowid FROM session_tasks WHERE id = ?',
    "step": 'SELECT "order", rowid FROM steps WHERE id = ?',
    "call": 'SELECT "order", rowid FROM tool_calls WHERE id = ?',
    "artifact": "SELECT 0, rowid FROM artifacts WHERE id = ?",
}


class RunHits:
    """Finds the hits of runs for one query; ``wanted`` are its conditions on places."""

    def __init__(self, connection: sqlite3.Connection, query: Query, wanted: list[PlaceCondition]) -> None:
        self._connection = connection
        self._query = query
        self._texts = [each for each in wanted if each.conditions.terms or each.conditions.failed]
        self._others = [each for each in wanted if each not in self._texts]
        self._all = (1 << count_of(query)) - 1
        self._words = (1 << len(self._texts)) - 1
        self._orders: dict[tuple[str, str], tuple[int, int]] = {}

    def documents(self, session: int) -> int:
        """How many documents of a run hold one of the conditions: what finding its hits costs."""
        return len(self._union(session, [*self._texts, *self._others]))

    def count(self, session: int) -> int:
        """How many hits a run has."""
        return len(self._chosen(session)) if self._all else 1

    def of(self, rowid: int, session: Session, *, skip: int, most: int) -> list[Found]:
        """The first ``most`` hits of a run; the first ``skip`` of them are without their snippets."""
        places = self._ordered(self._chosen(rowid))[:most] if self._all else list(places_of_run((session,)))
        return [
            Found(place, "" if number < skip else snippet_of(self._query, place)) for number, place in enumerate(places)
        ]

    def _chosen(self, session: int) -> list[Place]:
        if self._texts:
            # A place where all words are has them in its own text, so in one document.
            return self._places(session, self._common(session, self._texts), self._all) or self._places(
                session, self._union(session, self._texts), 0
            )
        documents = self._union(session, self._others)
        return one_a_call(self._places(session, documents, self._all) or self._places(session, documents, 0))

    def _places(self, session: int, documents: set[int], bits: int) -> list[Place]:
        """The places in these documents that meet every condition of ``bits``, or with 0 one of those that count."""
        counting = self._words or self._all
        every = [each.tokens for each in self._texts]
        tokens = [tuple(chain.from_iterable(every))] if bits else every
        found: list[Place] = []
        for row in rows_within(self._connection, session, covered_by(self._connection, documents), tokens):
            for place in complete_places_of(self._connection, row.entity):
                met = met_at(self._query, place)
                if met == bits if bits else met & counting:
                    found.append(place)
        return found

    def _common(self, session: int, conditions: Iterable[PlaceCondition]) -> set[int]:
        every = [self._of(session, each) for each in conditions]
        return set.intersection(*every)

    def _union(self, session: int, conditions: Iterable[PlaceCondition]) -> set[int]:
        return set().union(*(self._of(session, each) for each in conditions))

    def _of(self, session: int, condition: PlaceCondition) -> set[int]:
        return {document.id for document in condition.documents(session)}

    def _ordered(self, places: list[Place]) -> list[Place]:
        """By time; those of one moment in the order of the hierarchy."""
        ordered: list[Place] = []
        for _, same in groupby(sorted(places, key=_time), key=_time):
            group = list(same)
            ordered += group if len(group) == 1 else sorted(group, key=self._hierarchy)
        return ordered

    def _hierarchy(self, place: Place) -> tuple[int, ...]:
        """A key that sorts as a run is read: a row, its artifacts, then the rows below it."""
        if place.task_id is None:
            return ()
        key = [*self._order("task", place.task_id)]
        for name, row_id in (("step", place.step_id), ("call", place.tool_call_id)):
            if row_id is not None:
                key += (2, *self._order(name, row_id))
        if place.artifact_id is not None:
            return (*key, 1, *self._order("artifact", place.artifact_id))
        return (*key, 0, place.kind in ("result", "error"))

    def _order(self, name: str, row_id: str) -> tuple[int, int]:
        known = self._orders.get((name, row_id))
        if known is None:
            known = self._orders[name, row_id] = self._connection.execute(_ORDERS[name], (row_id,)).fetchone() or (0, 0)
        return known


def _time(place: Place) -> datetime:
    return place.at
