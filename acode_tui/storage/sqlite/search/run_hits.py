"""The hits of one run, in order: only documents that can hold one are read, from the beginning as far as is asked."""

import heapq
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import count

from acode_tui.domain.clock import format_time
from acode_tui.domain.search.hits import Found, count_of, snippet_of
from acode_tui.domain.search.places import Place, places_of_run
from acode_tui.domain.search.query import Query
from acode_tui.domain.search.repeats import NAMING, repeats
from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite.search.documents import covered_by
from acode_tui.storage.sqlite.search.extents import FIRST, LAST, Extent, Unread, extents
from acode_tui.storage.sqlite.search.matching import PlaceCondition
from acode_tui.storage.sqlite.search.place_finder import Candidate, PlaceFinder
from acode_tui.storage.sqlite.search.said_there import SaidThere
from acode_tui.storage.sqlite.search.searched_rows import row_at

_ORDERS = {
    "task": 'SELECT "order", rowid FROM session_tasks WHERE id = ?',
    "step": 'SELECT "order", rowid FROM steps WHERE id = ?',
    "call": 'SELECT "order", rowid FROM tool_calls WHERE id = ?',
    "artifact": "SELECT 0, rowid FROM artifacts WHERE id = ?",
}


FEW = 8
"""Documents of a run that are rather all read than asked for the times at which they begin."""


class RunHits:
    """Finds the hits of runs for one query.

    ``wanted`` are its conditions on places and ``excluded`` those that it excludes. Those which only texts decide are
    left to this class: most runs are asked for their hits anyway, which tells as much.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        query: Query,
        wanted: Sequence[PlaceCondition],
        excluded: Sequence[PlaceCondition],
    ) -> None:
        self._connection = connection
        self._query = query
        for each in wanted:
            each.undecided = True
        for each in excluded:
            each.undecided = False
        self._wanted = wanted
        self._excluded = [each for each in excluded if each.tool is None]
        self._texts = [each for each in wanted if each.conditions.terms or each.conditions.failed]
        self._others = [each for each in wanted if each not in self._texts]
        self._every = PlaceFinder(connection, query)
        self._some = PlaceFinder(connection, query, every=False)
        self._said = SaidThere(connection)
        self._is_single = count_of(query) == 1
        self._is_sparse = any(len(term.tokens) > 1 for term in (*query.texts, *query.files))
        self._counts: dict[int, int] = {}
        self._orders: dict[tuple[str, str], tuple[int, int]] = {}

    def look_up(self, sessions: Sequence[int]) -> None:
        """Ask for the documents of runs whose hits are asked for next: of many at once that costs less."""
        for each in (*(self._texts or self._others), *self._excluded):
            each.look_up(sessions)

    def documents(self, session: int) -> int:
        """How many documents of a run have to be read to count its hits, at most."""
        return 0 if session in self._counts else len(self._union(session, self._wanted))

    def count(self, session: int, most: int) -> int:
        """How many hits a run has; more than ``most`` are not all counted."""
        if session not in self._counts:
            count = 0
            for group in self._found(session, FIRST):
                count += len(group)
                if count > most:
                    return count
            self._counts[session] = count
        return self._counts[session]

    def of(self, session: int, *, start: str, skip: int, most: int) -> list[Found]:
        """The first ``most`` hits of a run from a moment on; the first ``skip`` of them are without their snippets.

        There is none where the run does not match.
        """
        found: list[Found] = []
        for group in self._found(session, start):
            for place in group if len(group) == 1 else sorted(group, key=self._hierarchy):
                # At once: what the test of the text has prepared serves its snippet.
                found.append(Found(place, "" if len(found) < skip else snippet_of(self._query, place)))
                if len(found) == most:
                    return found
        if start == FIRST:
            self._counts[session] = len(found)
        return found

    def _found(self, session: int, start: str) -> Iterator[list[Place]]:
        """The hits of a run from a moment on, those of one moment together."""
        if start == FIRST and any(each.is_met(session) for each in self._excluded):
            return
        if not self._wanted:
            row = row_at(self._connection, EntityType.SESSION, session)
            if row is not None:
                yield list(places_of_run((row.entity,)))
            return
        # A place where all words are has them in its own text, so in one document.
        common = self._common(session, self._texts) if self._texts else self._union(session, self._others)
        every = self._by_time(self._every, session, common, start)
        if start != FIRST:
            # The hit that was shown last is one of this moment, and tells what the run's hits are.
            shown = self._by_time(self._every, session, common, start, upto=start)
            some = next(shown, None) is None
        else:
            first = next(every, None)
            if first is not None:
                yield first
            some = first is None
            if some and (self._is_single or not all(each.is_met(session) for each in self._wanted)):
                return
        if some:
            every = self._by_time(self._some, session, self._union(session, self._texts or self._others), start)
        yield from every

    def _by_time(
        self, finder: PlaceFinder, session: int, documents: set[int], start: str, upto: str = LAST
    ) -> Iterator[list[Place]]:
        """The places in these documents from one moment on, up to another, those of one moment together.

        A document is read when the time comes at which it begins, and a row is tested exactly when its own comes. The
        few of a run are all read where a page hardly ends within it, as with a phrase or the name of a file.
        """
        if self._is_sparse and start == FIRST and len(documents) <= FEW:
            every = [Extent(FIRST, LAST, covered_by(self._connection, documents))]
        else:
            every = extents(self._connection, session, documents)
        ahead = [each for each in reversed(every) if each.last_at >= start and each.first_at <= upto]
        unread, number = Unread(), count()
        # Of one moment the rows come before the places, so that all of its places are there when the first is taken.
        waiting: list[tuple[str, bool, int, Candidate | Place]] = []
        while ahead or waiting:
            while ahead and (not waiting or waiting[0][0] >= ahead[-1].first_at):
                for row in finder.candidates(session, unread.take(ahead.pop().covered)):
                    if row.last_at >= start:
                        heapq.heappush(waiting, (row.first_at, False, next(number), row))
            if not waiting or waiting[0][0] > upto:
                return
            at = waiting[0][0]
            group: list[Place] = []
            while waiting and waiting[0][0] == at:
                first = heapq.heappop(waiting)[3]
                if isinstance(first, Place):
                    group.append(first)
                    continue
                for place in finder.places(first):
                    if self._is_repeated(finder, place):
                        continue
                    if (moment := format_time(place.at)) >= start:
                        heapq.heappush(waiting, (moment, True, next(number), place))
            if group:
                yield group

    def _is_repeated(self, finder: PlaceFinder, place: Place) -> bool:
        """Whether a place only repeats what was said there and is a hit too."""
        if place.kind not in NAMING:
            return False
        return repeats(self._query, place, (said for said in self._said.of(place) if finder.is_hit(said)))

    def _common(self, session: int, conditions: Iterable[PlaceCondition]) -> set[int]:
        every = [self._of(session, each) for each in conditions]
        return set.intersection(*every)

    def _union(self, session: int, conditions: Iterable[PlaceCondition]) -> set[int]:
        return set().union(*(self._of(session, each) for each in conditions))

    def _of(self, session: int, condition: PlaceCondition) -> set[int]:
        return {document.id for document in condition.documents(session)}

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
