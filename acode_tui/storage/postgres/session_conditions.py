"""The conditions of a query on a session ``s``, as SQL over the columns of ``sessions`` and over ``session_search``.

SQL texts are built from constants and numbered placeholders; values are always parameters. The conditions let through
every session that matches; a ``Matcher`` decides about those that they let through.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from acode_tui.domain.search.query import LIVE_SPAN, Query
from acode_tui.domain.states import SessionState
from acode_tui.storage.postgres.identifiers import Connection
from acode_tui.storage.postgres.lexemes import EDITED, FAILED, tsquery, wanted_lexemes

FEW = 2_000
"""Rows of ``session_search`` that are collected; of a lexeme that more of them have, sessions are asked in order."""

WINDOW = 1_000
"""Sessions that are asked one by one for a group. Each costs up to 30 microseconds, most of it for decompression."""

PROBED = 20
"""Sessions that are asked before it is counted how many have a lexeme: that takes 10 ms for each that 100,000 have."""

_AT_WORK = (SessionState.PLANNING, SessionState.EXECUTING, SessionState.AWAITING_APPROVAL)
_SHORT = 3
"""Characters of a prefix that so many sessions have that they are not even counted: the count would read far more."""


_KNOWN_STATE = f"(s.state IN ({', '.join(repr(state.value) for state in SessionState)})) IS TRUE"
"""Leaves out sessions that a foreign program wrote before the server checked states. IS TRUE keeps the planner from
choosing an index by state for it: nearly every row meets it."""


class SessionSelect:
    """One statement that selects sessions: the conditions of a query, and the values of the placeholders.

    A lexeme that few rows have gives the sessions to choose from. Of the others, ``near`` asks the next ``WINDOW``
    sessions in the order one by one, which fills a group of a common word at once; otherwise the sessions of each
    lexeme are collected first, which takes as long whatever is asked.
    """

    def __init__(
        self, schema: str, query: Query, few: tuple[str, ...] = (), *, near: bool = False, window: int = WINDOW
    ) -> None:
        """``schema`` is quoted; ``few`` are the lexemes that ``find_few`` found."""
        self.values: list[Any] = []
        self._schema = schema
        self._query = query
        self._near = near
        self._window = window
        wanted = wanted_lexemes(query)
        self._columns = self._of_columns()
        if few:
            collected = " INTERSECT ".join(self._sessions_with(lexeme) for lexeme in few)
            self._columns.append(f"s.id = ANY(ARRAY({collected}))")
        self._lexemes = [self._has(lexeme) for lexeme in wanted.all_of if lexeme not in few]
        if "failed" in query.is_:
            failed_call = self._has(tsquery(FAILED))
            self._lexemes.append(f"(s.state = 'Failed' OR {failed_call})")
        # Only the texts of an edited session say whether it still has a word.
        self._lexemes += [f"(NOT {self._has(lexeme)} OR {self._has(tsquery(EDITED))})" for lexeme in wanted.none_of]

    @property
    def asks_sessions(self) -> bool:
        """Whether there is a lexeme that not only few sessions have."""
        return bool(self._lexemes)

    def parameter(self, value: object) -> str:
        self.values.append(value)
        return f"${len(self.values)}"

    def rows(self, conditions: Iterable[str], *, order: str, limit: str, also: str = "") -> str:
        """The statement for rows of sessions that also meet ``conditions``; ``also`` is a further output column."""
        columns = _all_of([*self._columns, *conditions, _KNOWN_STATE])
        source, where = f"{self._schema}.sessions AS s", _all_of([columns, *self._lexemes])
        if self._near and self._lexemes:
            source = f"(SELECT s.* FROM {source} WHERE {columns} ORDER BY {order} LIMIT {self._window}) AS s"  # noqa: S608
            where = _all_of(self._lexemes)
        return f"SELECT s.*{also} FROM {source} WHERE {where} ORDER BY {order} LIMIT {limit}"  # noqa: S608

    def where(self, conditions: Iterable[str]) -> str:
        """All conditions as one."""
        return _all_of([*self._columns, *conditions, *self._lexemes])

    def edited(self, *, wanted: bool) -> str:
        """The condition that a session was edited, or that it was not."""
        return self._has(tsquery(EDITED)) if wanted else f"NOT {self._has(tsquery(EDITED))}"

    def _sessions_with(self, lexeme: str) -> str:
        return (
            f"SELECT session_id FROM {self._schema}.session_search "  # noqa: S608
            f"WHERE document @@ {self.parameter(lexeme)}::tsquery"
        )

    def _has(self, lexeme: str) -> str:
        if not self._near:
            # IS TRUE keeps it a set that is made once and asked for each session, instead of a join.
            return f"((s.id IN ({self._sessions_with(lexeme)})) IS TRUE)"
        # OFFSET 0 keeps it a question about one session.
        return (
            f"EXISTS (SELECT 1 FROM {self._schema}.session_search AS d WHERE d.session_id = s.id "  # noqa: S608
            f"AND d.document @@ {self.parameter(lexeme)}::tsquery OFFSET 0)"
        )

    def _of_columns(self) -> list[str]:
        query, found = self._query, []
        if query.states:
            found.append(f"s.state = ANY({self.parameter([state.value for state in query.states])}::text[])")
        if query.excluded.states:
            states = [state.value for state in query.excluded.states]
            found.append(f"s.state <> ALL({self.parameter(states)}::text[])")
        if query.since is not None:
            found.append(f"s.updated_at >= {self.parameter(query.since)}")
        if query.before is not None:
            found.append(f"s.created_at < {self.parameter(query.before)}")
        if "live" in query.is_:
            states = [state.value for state in _AT_WORK]
            found.append(f"s.state = ANY({self.parameter(states)}::text[])")
            found.append(f"s.updated_at > {self.parameter(query.now - LIVE_SPAN)}")
        if "unsynced" in query.is_:
            # Everything that is here was sent.
            found.append("false")
        return found


class SessionCandidates:
    """Reads the sessions that the conditions of one query let through, from one snapshot."""

    def __init__(
        self, connection: Connection, schema: str, query: Query, few: tuple[str, ...], *, near: bool = True
    ) -> None:
        """``near``: try the sessions next in the order first. Citus can ask no such question of one of them."""
        self.connection = connection
        self.query = query
        self._schema = schema
        self._few = few
        self._near = near

    @property
    def are_few(self) -> bool:
        """Whether there is a lexeme that only few sessions have."""
        return bool(self._few)

    async def probe(self, make: Callable[[SessionSelect], str], size: int) -> Sequence[Mapping[str, Any]] | None:
        """``size`` rows, where the next sessions in the order have as many; no lexeme is counted before.

        None where they have fewer.
        """
        if not self._near or self._few or size > PROBED // 4:
            return None
        select = SessionSelect(self._schema, self.query, near=True, window=PROBED)
        rows: list[asyncpg.Record] = await self.connection.fetch(make(select), *select.values)
        return rows if len(rows) == size or not select.asks_sessions else None

    async def count(self) -> None:
        """Find out which lexemes few sessions have, where that was not given."""
        self._few = await find_few(self.connection, self._schema, self.query)

    async def fetch(self, make: Callable[[SessionSelect], str], size: int) -> Sequence[Mapping[str, Any]]:
        """At most ``size`` rows, which ``make`` gives the statement for. Fewer only where there are no more."""
        if self._near:
            select = SessionSelect(self._schema, self.query, self._few, near=True)
            rows: list[asyncpg.Record] = await self.connection.fetch(make(select), *select.values)
            if len(rows) == size or not select.asks_sessions:
                return rows
            # They are far between, so the groups behind this one are not near either.
            self._near = False
        select = SessionSelect(self._schema, self.query, self._few)
        found: list[asyncpg.Record] = await self.connection.fetch(make(select), *select.values)
        return found

    def select(self) -> SessionSelect:
        """A statement of which every row is read, as a count is."""
        return SessionSelect(self._schema, self.query, self._few)


@asynccontextmanager
async def without_scans(connection: Connection) -> AsyncIterator[None]:
    """A transaction that reads one snapshot, in which PostgreSQL does not scan a table that it can index.

    It takes a scan of ``session_search`` for cheap, because it leaves out what it costs to decompress each document.
    """
    settings = (
        "SET LOCAL enable_seqscan = off; SET LOCAL jit = off; "
        # Room for the ids of some million sessions. Where they do not fit, the planner would scan them for each row.
        "SET LOCAL work_mem = '128MB'"
    )
    if connection.is_in_transaction():
        # The one that a read makes behind a pooler: it reads one snapshot too, and the settings end with it.
        await connection.execute(settings)
        yield
        return
    await connection.execute(f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {settings}")
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("ROLLBACK")


async def find_few(connection: Connection, schema: str, query: Query) -> tuple[str, ...]:
    """The wanted lexemes of a query that few rows have. Reads at most about ``FEW`` rows for each."""
    asked = [lexeme for lexeme in wanted_lexemes(query).all_of if not _is_short_prefix(lexeme)]
    if not asked:
        return ()
    counts = " UNION ALL ".join(
        f"SELECT {number} AS number, count(*) AS rows FROM (SELECT 1 FROM {schema}.session_search "  # noqa: S608
        f"WHERE document @@ ${number + 2}::tsquery LIMIT $1) AS found_{number}"
        for number in range(len(asked))
    )
    sql = f"SELECT number FROM ({counts}) AS counted WHERE rows < $1"  # noqa: S608
    rows = await connection.fetch(sql, FEW + 1, *asked)
    return tuple(asked[row["number"]] for row in rows)


def _is_short_prefix(lexeme: str) -> bool:
    return lexeme.endswith(":*") and len(lexeme) < _SHORT + len("'':*")


def _all_of(conditions: Iterable[str]) -> str:
    return " AND ".join(each for each in conditions if each != "true") or "true"
