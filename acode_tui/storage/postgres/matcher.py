"""Decides whether sessions match a query, by their facts and, where the lexemes do not decide, by their texts."""

import asyncio
from collections.abc import Mapping, Sequence

from acode_tui.domain.entities import Entity, Session
from acode_tui.domain.search.facts import RunFacts, facts_of, meets
from acode_tui.domain.search.hits import places_found
from acode_tui.domain.search.places import Place, places_of_run
from acode_tui.domain.search.query import Query
from acode_tui.storage.postgres.identifiers import Connection
from acode_tui.storage.postgres.lexemes import EDITED, tsquery, wanted_lexemes
from acode_tui.storage.postgres.run_texts import read_runs

MOST_RUNS = 64
"""Sessions in a group whose runs are read."""

RUNS_A_PAGE = 256
"""Runs that are read for a page. One that finds no more within them is shorter than its limit, and has a cursor."""

_READ_TOGETHER = 8
"""Runs whose texts are in memory at once: each may have many megabytes."""

_CANDIDATES_A_PAGE = 5_000
"""Sessions that are looked at for a page where no run has to be read."""


class Matcher:
    """Decides about the sessions that the conditions of one query let through."""

    def __init__(self, connection: Connection, schema: str, query: Query) -> None:
        """``schema`` is quoted."""
        wanted = wanted_lexemes(query)
        self.query = query
        self.reads_runs = not wanted.exact
        """Whether the runs have to be read: the lexemes do not decide."""
        self.asks_words = bool(wanted.all_of or wanted.none_of)
        self._connection = connection
        self._schema = schema
        self._counts_failures = "failed" in (*query.is_, *query.excluded.is_)

    @property
    def most_candidates(self) -> int:
        """Sessions that are looked at for a page, at most."""
        return RUNS_A_PAGE if self.reads_runs else _CANDIDATES_A_PAGE

    @property
    def counts_in_sql(self) -> bool:
        """Whether the conditions alone decide, so that a count needs no session to be read."""
        conditions = (self.query, self.query.excluded)
        facts = any(
            (each.agents, each.projects, each.models, each.branches, each.users, each.is_) != ((),) * 6
            for each in conditions
        )
        return not (self.reads_runs or facts)

    async def facts(self, sessions: Sequence[Session]) -> dict[str, RunFacts]:
        """The facts of each session, by id."""
        failures: dict[str, int] = {}
        if self._counts_failures and sessions:
            rows = await self._connection.fetch(
                f"SELECT session_id, count(*) AS failed FROM {self._schema}.tool_calls "  # noqa: S608
                "WHERE session_id = ANY($1::uuid[]) AND state = 'Failed' GROUP BY session_id",
                [session.id for session in sessions],
            )
            failures = {str(row["session_id"]): row["failed"] for row in rows}
        return {session.id: facts_of(session, failed_calls=failures.get(session.id, 0)) for session in sessions}

    async def places(self, sessions: Sequence[Session]) -> list[tuple[Session, list[Place]]]:
        """The sessions that match, in the given order, each with the places that are its hits. Reads the runs."""
        facts = await self.facts(sessions)
        met = [session for session in sessions if meets(self.query, facts[session.id])]
        found: list[tuple[Session, list[Place]]] = []
        for start in range(0, len(met), _READ_TOGETHER):
            group = met[start : start + _READ_TOGETHER]
            runs = await read_runs(self._connection, self._schema, group, self.query)
            found += await asyncio.to_thread(self._find, group, facts, runs)
        return found

    def _find(
        self, sessions: Sequence[Session], facts: Mapping[str, RunFacts], runs: Mapping[str, Sequence[Entity]]
    ) -> list[tuple[Session, list[Place]]]:
        found = [(run, places_found(self.query, facts[run.id], places_of_run(runs[run.id]))) for run in sessions]
        return [(run, places) for run, places in found if places is not None]

    async def matching(self, sessions: Sequence[Session]) -> set[str]:
        """The ids of the sessions that match. Reads the runs only where the lexemes do not decide."""
        if self.query.is_empty:
            return {session.id for session in sessions}
        if self.reads_runs:
            return {session.id for session, _ in await self.places(sessions)}
        edited = await self._edited(sessions) if self.asks_words else set()
        facts = await self.facts(sessions)
        met = {session.id for session in sessions if meets(self.query, facts[session.id])}
        read = [session for session in sessions if session.id in met & edited]
        return met - edited | {session.id for session, _ in await self.places(read)}

    async def _edited(self, sessions: Sequence[Session]) -> set[str]:
        """The ids of those sessions in which a row may have lost words that the index still has."""
        rows = await self._connection.fetch(
            f"SELECT DISTINCT session_id FROM {self._schema}.session_search "  # noqa: S608
            "WHERE session_id = ANY($1::uuid[]) AND document @@ $2::tsquery",
            [session.id for session in sessions],
            tsquery(EDITED),
        )
        return {str(row["session_id"]) for row in rows}
