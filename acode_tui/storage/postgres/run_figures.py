"""Figures of the whole team's runs: ``RunFigures`` over PostgreSQL.

Nothing is kept there beside the rows: the sessions that a query finds are read in groups, newest first, and what their
steps and calls add up to is asked for each group. So it takes as long as the runs are many, and there is a limit.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.entities import Session
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.figures import (
    CONTEXTS,
    GIVEN,
    MOST_DOLLARS,
    MOST_TOKENS,
    NANO,
    FiguresBuilder,
    SessionFigures,
    day_of,
)
from acode_tui.domain.schema import TABLES
from acode_tui.domain.search.facts import facts_of
from acode_tui.domain.search.query import parse_query
from acode_tui.domain.states import EntityType
from acode_tui.storage.figures_sum import FiguresSum, days_of
from acode_tui.storage.ports import By, Figures, require_by
from acode_tui.storage.postgres.connection import ReadPool
from acode_tui.storage.postgres.identifiers import Connection, quoted_schema
from acode_tui.storage.postgres.matcher import MOST_RUNS, Matcher
from acode_tui.storage.postgres.migrate import check_schema
from acode_tui.storage.postgres.rows import entity_values
from acode_tui.storage.postgres.session_conditions import SessionCandidates, SessionSelect, find_few, without_scans

MOST_SESSIONS = 200_000
"""Most sessions that are read for one answer, in some half a minute where each has thirty calls."""

_GROUP = 4_000
_SESSIONS = TABLES[EntityType.SESSION]

_DAY = "(({0}.created_at AT TIME ZONE 'UTC')::date - date '1970-01-01')"
_MODEL = "coalesce({0}.metadata ->> 'model', '')"
_NAMES = {
    "input": "input",
    "output": "output",
    "cacheRead": "cache_read",
    "cacheWrite": "cache_write",
    "cacheWrite1h": "hour",
}


def _bounded(value: str, most: int) -> str:
    """A JSON value as a number from 0 to the most that counts; NULL where it is none."""
    found = f"least(greatest(({value} #>> '{{}}')::numeric, 0), {most})"
    return f"CASE WHEN jsonb_typeof({value}) = 'number' THEN {found} END"


def _tokens(name: str) -> str:
    number = _bounded(f"t.metadata -> 'tokens' -> '{name}'", MOST_TOKENS)
    return f"coalesce(trunc({number})::bigint, 0) AS {_NAMES[name]}"


_TOKENS = ", ".join(map(_tokens, _NAMES))
_DOLLARS = _bounded("t.metadata -> 'cost'", MOST_DOLLARS)
_COST = f"round({_DOLLARS} * {NANO})::bigint AS cost"
_CONTEXT = " ".join(
    f"WHEN input + cache_read + cache_write > {threshold} THEN {threshold}" for threshold in reversed(CONTEXTS)
)
_STEPS = f"""
SELECT session_id, day, model, CASE WHEN cost IS NOT NULL THEN {GIVEN} {_CONTEXT} ELSE 0 END AS context,
    sum(input)::bigint, sum(output)::bigint, sum(cache_read)::bigint, sum(cache_write)::bigint,
    sum(least(hour, cache_write))::bigint, coalesce(sum(cost), 0)::bigint
FROM (
    SELECT t.session_id, {_DAY.format("t")} AS day, {_MODEL.format("t")} AS model, {_TOKENS}, {_COST}
    FROM {{schema}}.steps AS t WHERE t.session_id = ANY($1::uuid[]) AND t.metadata IS NOT NULL
) AS used
GROUP BY 1, 2, 3, 4
"""  # noqa: S608
_CALLS = f"""
SELECT c.session_id, {_DAY.format("c")} AS day, {_MODEL.format("t")} AS model, c.tool_name, count(*),
    count(*) FILTER (WHERE c.state = 'Failed')
FROM {{schema}}.tool_calls AS c LEFT JOIN {{schema}}.steps AS t ON t.session_id = c.session_id AND t.id = c.step_id
WHERE c.session_id = ANY($1::uuid[]) GROUP BY 1, 2, 3, 4
"""  # noqa: S608


class PostgresRunFigures:
    """``RunFigures`` over a pool that the caller closes."""

    def __init__(self, pool: ReadPool, *, schema: str = "public", wall: WallClock = system_clock) -> None:
        self._pool = pool
        self._schema_name = schema
        self._schema = quoted_schema(schema)
        self._wall = wall

    async def models(self) -> tuple[str, ...]:
        """None: usage is given by its own day, so that no change of a price need be known before."""
        return ()

    async def figures(self, query: str, by: By, *, price_changes: Sequence[int] = ()) -> Figures:
        """See ``RunFigures.figures``. Raises ValidationError too where the query finds more than ``MOST_SESSIONS``."""
        by = require_by(by)
        first, last, asked = days_of(parse_query(query, now=self._wall()))
        added = FiguresSum(by)
        async with self._pool.connection() as connection:
            await check_schema(connection, self._schema_name)
            async with without_scans(connection):
                few = await find_few(connection, self._schema, asked)
                near = not await self._pool.is_distributed(connection, self._schema_name)
                candidates = SessionCandidates(connection, self._schema, asked, few, near=near)
                matcher = Matcher(connection, self._schema, asked)
                async for sessions in _groups(candidates, MOST_RUNS if matcher.reads_runs else _GROUP):
                    matching = await matcher.matching(sessions)
                    chosen = [session for session in sessions if session.id in matching]
                    for figures in await self._contributions(connection, chosen):
                        _add(added, by, figures, first, last)
        return added.figures()

    async def _contributions(self, connection: Connection, sessions: Sequence[Session]) -> list[SessionFigures]:
        made = {session.id: _builder(session) for session in sessions}
        ids = list(made)
        for session, *step in await connection.fetch(_STEPS.replace("{schema}", self._schema), ids):
            made[str(session)].add_steps(*step)
        for session, *calls in await connection.fetch(_CALLS.replace("{schema}", self._schema), ids):
            made[str(session)].add_calls(*calls)
        return [each.figures() for each in made.values()]


async def _groups(candidates: SessionCandidates, size: int) -> AsyncIterator[list[Session]]:
    """All candidate sessions, newest first, in groups. Raises ValidationError where they are too many."""
    position: tuple[Any, str] | None = None
    read = 0

    def select(of: SessionSelect) -> str:
        beyond = []
        if position is not None:
            beyond.append(f"(s.updated_at, s.id) < ({of.parameter(position[0])}, {of.parameter(position[1])}::uuid)")
        return of.rows(beyond, order="s.updated_at DESC, s.id DESC", limit=of.parameter(size))

    while True:
        rows = await candidates.fetch(select, size)
        sessions = [Session(**entity_values(_SESSIONS.columns, row)) for row in rows]
        read += len(sessions)
        if read > MOST_SESSIONS:
            raise ValidationError(
                "query", f"finds more than {MOST_SESSIONS} runs of the team", hint="ask for fewer days: since:30d"
            )
        if sessions:
            yield sessions
        if len(sessions) < size:
            return
        position = sessions[-1].updated_at, sessions[-1].id


def _builder(session: Session) -> FiguresBuilder:
    facts, metadata = facts_of(session), session.metadata or {}
    tokens = metadata.get("tokens")
    own = tokens if isinstance(tokens, dict) else {}
    numbers = [int(_number(own.get(name), MOST_TOKENS) or 0) for name in _NAMES]
    cost = _number(metadata.get("cost"), MOST_DOLLARS)
    return FiguresBuilder(
        day_of(session.created_at),
        facts.agent or "",
        facts.project or "",
        facts.models[-1] if facts.models else "",
        numbers,
        None if cost is None else round(cost * NANO),
    )


def _number(value: object, most: int) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return min(max(value, 0), most)


def _add(added: FiguresSum, by: By, figures: SessionFigures, first: int, last: int) -> None:
    for each in figures.tools if by == "tool" else figures.usage:
        if not first <= each.day <= last:
            continue
        if by == "tool":
            added.add_tool(str(each.rest[0]), each.sums)
            continue
        model, context = each.rest
        keys: dict[By, str | int] = {
            "day": each.day, "model": model, "agent": figures.agent, "project": figures.project
        }  # fmt: skip
        added.add_usage(keys[by], each.day, str(model), int(context), each.sums)
