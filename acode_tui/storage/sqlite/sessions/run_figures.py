"""Figures of the runs that a query finds: from the sums over all runs where these have it, else run by run."""

import json
import sqlite3
from collections.abc import Sequence

from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.search.facts import agrees
from acode_tui.domain.search.query import Conditions, Query, parse_query
from acode_tui.storage.figures_sum import days_of
from acode_tui.storage.ports import By, Figures, SessionFilter, Tokens, Usage, require_by
from acode_tui.storage.search_ports import SearchIndex
from acode_tui.storage.sqlite.figures.sums import Choice, Summing, models, ranges, values_of
from acode_tui.storage.sqlite.readers import Readers
from acode_tui.storage.sqlite.search.faults import index_faults
from acode_tui.storage.sqlite.search.index import SqliteSearchIndex
from acode_tui.storage.sqlite.sessions.matches import Matches


class SqliteRunFigures:
    """``RunFigures`` over the workspace file."""

    def __init__(self, readers: Readers, *, index: SearchIndex | None = None, wall: WallClock = system_clock) -> None:
        self._readers = readers
        self._index = index or SqliteSearchIndex(readers.connections, readers)
        self._wall = wall

    async def models(self) -> tuple[str, ...]:
        """See ``RunFigures.models``. Raises IntegrityError where the index is missing or damaged."""
        await self._index.catch_up()

        def read(connection: sqlite3.Connection) -> tuple[str, ...]:
            with index_faults():
                return models(connection)

        return await self._readers.run(read)

    async def figures(self, query: str, by: By, *, price_changes: Sequence[int] = ()) -> Figures:
        """See ``RunFigures.figures``; of everything that is committed now."""
        by = require_by(by)
        asked = parse_query(query, now=self._wall())
        await self._index.catch_up()

        def read(connection: sqlite3.Connection) -> Figures:
            with index_faults():
                return answer(connection, asked, by, price_changes)

        return await self._readers.run(read)

    async def usage_of(self, session_ids: Sequence[str]) -> dict[str, tuple[Usage, ...]]:
        """The usage of each of these sessions, as far as it is counted; a session without usage is left out."""

        def read(connection: sqlite3.Connection) -> dict[str, tuple[Usage, ...]]:
            with index_faults():
                return usage_of(connection, session_ids)

        return await self._readers.run(read)


_USAGE_OF = """
    SELECT s.id, u.day, u.model, u.context, u.input, u.output, u.cache_read, u.cache_write, u.cost
    FROM json_each(?) AS g CROSS JOIN sessions AS s ON s.id = g.value
    CROSS JOIN figures_usage AS u ON u.session = s.rowid
"""


def usage_of(connection: sqlite3.Connection, session_ids: Sequence[str]) -> dict[str, tuple[Usage, ...]]:
    """See ``SqliteRunFigures.usage_of``."""
    found: dict[str, list[Usage]] = {}
    asked = json.dumps(list(session_ids))
    for session, day, model, context, *sums, cost in connection.execute(_USAGE_OF, (asked,)):
        tokens = Tokens(input=sums[0], output=sums[1], cache_read=sums[2], cache_write=sums[3])
        if cost or any(sums):
            found.setdefault(session, []).append(
                Usage(key=session, day=day, model=model, context=context, tokens=tokens, cost=cost)
            )
    return {session: tuple(usage) for session, usage in found.items()}


def answer(connection: sqlite3.Connection, query: Query, by: By, price_changes: Sequence[int]) -> Figures:
    """The figures in the connection's snapshot, as far as they are counted."""
    first, last, query = days_of(query)
    choice = Choice(first, last)
    summing = Summing(connection, by)
    periods = [choice._replace(first=a, last=b) for a, b in ranges(first, last, () if by == "day" else price_changes)]
    if _needs_runs(query):
        for rows in Matches(connection, SessionFilter(), query).every():
            sessions = f"[{','.join(str(row[2]) for row in rows)}]"
            for period in periods:
                summing.add_sessions(sessions, period)
        return summing.figures()
    agents = _fitting(connection, "agent", query.agents, query.excluded.agents)
    projects = _fitting(connection, "project", query.projects, query.excluded.projects)
    for period in periods:
        summing.add_all(period._replace(agents=agents, projects=projects))
    return summing.figures()


def _needs_runs(query: Query) -> bool:
    """Whether it has a condition that the sums do not know of."""
    known = Query(
        now=query.now, since=query.since, before=query.before, agents=query.agents, projects=query.projects,
        excluded=Conditions(agents=query.excluded.agents, projects=query.excluded.projects),
    )  # fmt: skip
    return query != known


def _fitting(
    connection: sqlite3.Connection, name: str, wanted: Sequence[str], excluded: Sequence[str]
) -> list[str] | None:
    if not wanted and not excluded:
        return None
    return [
        value
        for value in values_of(connection, name)
        if (not wanted or any(agrees(name, one, value) for one in wanted))
        and not any(agrees(name, one, value) for one in excluded)
    ]
