"""Pages of the team's sessions by keyset, with the cursors and the order that the local store has.

Every text is put together from fixed parts and numbered placeholders; values travel as parameters.
"""

from collections.abc import Iterator
from typing import Any

from acode_tui.domain.entities import SessionSummary
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import STATE_ORDER, EntityType, SessionState
from acode_tui.domain.synthetic_calls import SQL_NAMES
from acode_tui.domain.times import parse_time
from acode_tui.storage.cursors import Place, check_page, cursor_of, decode_cursor
from acode_tui.storage.ports import SessionFilter, SessionPage
from acode_tui.storage.postgres.identifiers import is_uuid
from acode_tui.storage.postgres.rows import entity_values, select_list
from acode_tui.storage.postgres.search import text_condition, word_patterns
from acode_tui.storage.postgres.types import Connection

COUNT_CAP = 10_000
"""Beyond this many, a page is reported without a total."""

_TABLE = TABLES[EntityType.SESSION]


class _Query:
    """Conditions on a session ``s`` and the values of their placeholders."""

    def __init__(self, schema: str, given: SessionFilter) -> None:
        self.schema = schema
        self.given = given
        self.values: list[Any] = []
        self.conditions: list[str] = []
        self.stamp = "created_at" if given.sort == "created" else "updated_at"
        self.place: Place | None = None
        if given.user is not None:
            self.conditions.append(f"s.user_id = {self.parameter(given.user)}")
        if given.workspace is not None:
            known = is_uuid(given.workspace)
            self.conditions.append(f"s.workspace_id = {self.parameter(given.workspace)}" if known else "false")
        if given.states:
            states = self.parameter([state.value for state in given.states])
            self.conditions.append(f"s.state = ANY({states}::text[])")
        if given.since is not None:
            self.conditions.append(f"s.{self.stamp} >= {self.parameter(given.since)}")
        if given.until is not None:
            self.conditions.append(f"s.{self.stamp} < {self.parameter(given.until)}")
        if given.text is not None and given.text.strip():
            patterns = word_patterns(given.text)
            self.conditions.append(text_condition(schema, patterns, self.parameter) if patterns else "false")

    def parameter(self, value: object) -> str:
        self.values.append(value)
        return f"${len(self.values)}"

    def beyond(self, cursor: str, comparison: str) -> None:
        """Only rows on one side of a cursor."""
        self.place = decode_cursor(cursor, self.given.sort)
        if not is_uuid(self.place.id):
            raise ValidationError("cursor", "is not one that a page gave out", hint="start again without it")
        if self.given.sort != "state":
            self.conditions.append(self._past(self.place, comparison))

    def _past(self, place: Place, comparison: str) -> str:
        stamp, entity_id = self.parameter(parse_time(place.stamp)), self.parameter(place.id)
        return f"(s.{self.stamp}, s.id) {comparison} ({stamp}, {entity_id}::uuid)"

    def page(self, limit: int, *, newest_first: bool) -> tuple[str, str]:
        """The statement of the page's rows, and what they are in order of."""
        order = "DESC" if newest_first else "ASC"
        by = f"s.{self.stamp} {order}, s.id {order}"
        placeholder = self.parameter(limit)
        if self.given.sort != "state":
            rows = f"SELECT s.* FROM {self.schema}.sessions AS s WHERE {self.where} ORDER BY {by} LIMIT {placeholder}"  # noqa: S608
            return rows, by
        # Each state is a range of one index; of the few first rows of all, those in front stay.
        branches = [
            f"(SELECT s.*, {rank} AS rank FROM {self.schema}.sessions AS s WHERE {where} "  # noqa: S608
            f"ORDER BY {by} LIMIT {placeholder})"
            for rank, where in self._by_state(newest_first)
        ]
        by = f"s.rank {'ASC' if newest_first else 'DESC'}, {by}"
        union = " UNION ALL ".join(branches)
        return f"SELECT s.* FROM ({union}) AS s ORDER BY {by} LIMIT {placeholder}", by  # noqa: S608

    def _by_state(self, newest_first: bool) -> Iterator[tuple[int, str]]:
        """Each state that the page may hold, as its rank and the conditions on its rows."""
        at = None if self.place is None else STATE_ORDER.index(SessionState(self.place.state))
        for rank, state in enumerate(STATE_ORDER):
            if self.given.states and state not in self.given.states and rank != at:
                continue
            if at is not None and (rank < at if newest_first else rank > at):
                continue
            where = f"{self.where} AND s.state = {self.parameter(state.value)}"
            if self.place is not None and rank == at:
                where += f" AND {self._past(self.place, '<' if newest_first else '>')}"
            yield rank, where

    @property
    def where(self) -> str:
        return " AND ".join(self.conditions) or "true"


async def read_page(
    connection: Connection,
    schema: str,
    given: SessionFilter,
    *,
    limit: int,
    after: str | None,
    before: str | None,
) -> SessionPage:
    """One page. Raises ValidationError for a bad limit or cursor."""
    check_page(limit, after, before)
    query = _Query(schema, given)
    if before is not None:
        query.beyond(before, ">")
    elif after is not None:
        query.beyond(after, "<")
    found = await _sessions(connection, query, limit + 1, newest_first=before is None)
    more = len(found) > limit
    if before is not None and not more:
        # The top is reached: show a whole first page rather than the few rows above the cursor.
        return await read_page(connection, schema, given, limit=limit, after=None, before=None)
    found = found[:limit] if before is None else found[:limit][::-1]
    more_after = more if before is None else not decode_cursor(before, given.sort).is_end
    more_before = before is not None or (after is not None and bool(found))
    ends = [cursor_of(given.sort, session) for session in (*found[:1], *found[-1:])]
    total = await _cheap_total(connection, schema, given)
    return SessionPage(
        sessions=tuple(found),
        next_cursor=ends[-1] if more_after and ends else None,
        previous_cursor=ends[0] if more_before and ends else None,
        total=total,
    )


async def count(connection: Connection, schema: str, given: SessionFilter, *, cap: int | None = None) -> int:
    """How many sessions fit, counted no further than ``cap``."""
    query = _Query(schema, given)
    limit = query.parameter(cap)
    sql = (
        f"SELECT count(*) FROM (SELECT FROM {schema}.sessions AS s "  # noqa: S608
        f"WHERE {query.where} LIMIT {limit}::bigint) AS counted"
    )
    return int(await connection.fetchval(sql, *query.values))


async def _cheap_total(connection: Connection, schema: str, given: SessionFilter) -> int | None:
    if given.text is not None and given.text.strip():
        # Every row would be tested against the words: only where there are few.
        rows = await connection.fetchval(
            "SELECT reltuples FROM pg_class WHERE oid = to_regclass($1)", f"{schema}.sessions"
        )
        if rows is None or rows > COUNT_CAP:
            return None
    total = await count(connection, schema, given, cap=COUNT_CAP + 1)
    return total if total <= COUNT_CAP else None


async def _sessions(connection: Connection, query: _Query, limit: int, *, newest_first: bool) -> list[SessionSummary]:
    schema = query.schema
    page, order = query.page(limit, newest_first=newest_first)
    sql = f"""
        WITH page AS MATERIALIZED ({page})
        SELECT {select_list(_TABLE, "s")},
            (SELECT count(*) FROM {schema}.session_tasks AS t WHERE t.session_id = s.id) AS task_count,
            (SELECT count(*) FROM {schema}.session_tasks AS t
             WHERE t.session_id = s.id AND t.state IN ('Completed', 'Skipped')) AS tasks_done,
            (SELECT count(*) FROM {schema}.tool_calls AS c
                WHERE c.session_id = s.id AND c.tool_name NOT IN ({SQL_NAMES})) AS tool_call_count,
            (SELECT count(*) FROM {schema}.artifacts AS a WHERE a.session_id = s.id) AS artifact_count
        FROM page AS s ORDER BY {order}
    """  # noqa: S608
    return [
        SessionSummary(
            **entity_values(_TABLE.columns, row),
            task_count=row["task_count"],
            tasks_done=row["tasks_done"],
            tool_call_count=row["tool_call_count"],
            artifact_count=row["artifact_count"],
            sync="synced",
        )
        for row in await connection.fetch(sql, *query.values)
    ]
