"""Keyset pages, counts and search of the team's sessions, with the cursors and the order of the local store.

SQL texts are built from constants and numbered placeholders; values are always parameters.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

from acode_tui.domain.clock import parse_time
from acode_tui.domain.entities import SessionSummary
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import STATE_ORDER, EntityType, SessionState
from acode_tui.storage.cursors import CursorPosition, check_page, cursor_of, decode_cursor
from acode_tui.storage.ports import SessionFilter, SessionPage
from acode_tui.storage.postgres.identifiers import Connection, is_uuid
from acode_tui.storage.postgres.rows import entity_values, select_list
from acode_tui.storage.session_filter import is_unspaced

MAX_COUNT = 10_000
"""Counts stop here and are reported as None."""

_SESSIONS = TABLES[EntityType.SESSION]


def _needs_scan(given: SessionFilter) -> bool:
    """Whether the filter has conditions other than states, so that a count may have to read every row."""
    return bool(
        given.user is not None
        or given.workspace is not None
        or given.since
        or given.until
        or (given.text is not None and given.text.strip())
    )


async def count_by_state(connection: Connection, schema: str, given: SessionFilter) -> dict[SessionState, int] | None:
    """The number of sessions by state, regardless of the filter's states; None if there are more than ``MAX_COUNT``."""
    if _needs_scan(given):
        return None
    sql = f"SELECT state, count(*) FROM (SELECT state FROM {schema}.sessions LIMIT $1) AS few GROUP BY state"  # noqa: S608
    found = {row["state"]: int(row["count"]) for row in await connection.fetch(sql, MAX_COUNT + 1)}
    return {state: found.get(state.value, 0) for state in SessionState} if sum(found.values()) <= MAX_COUNT else None


async def count_before(connection: Connection, schema: str, given: SessionFilter, cursor: str) -> int | None:
    """The number of sessions before the page after a cursor; None if they are more than ``MAX_COUNT``.

    Raises ValidationError for a bad cursor.
    """
    place = decode_cursor(cursor, given.sort)
    if _needs_scan(given) or given.states:
        return None
    stamp = "created_at" if given.sort == "created" else "updated_at"
    values: list[object] = [MAX_COUNT + 1, parse_time(place.stamp), place.id]
    where = f"({stamp}, id) >= ($2, $3::uuid)"
    if given.sort == "state":
        earlier = [state.value for state in STATE_ORDER[: STATE_ORDER.index(SessionState(place.state))]]
        values += [place.state, earlier]
        where = f"(state = $4 AND {where} OR state = ANY($5::text[]))"
    sql = f"SELECT count(*) FROM (SELECT FROM {schema}.sessions WHERE {where} LIMIT $1) AS counted"  # noqa: S608
    counted = int(await connection.fetchval(sql, *values))
    return counted if counted <= MAX_COUNT else None


_WORD = re.compile(r"[^\W_]+")
_START = "(^|[^[:alnum:]])"
_END = "($|[^[:alnum:]])"

FIELDS = {
    "session_tasks": "title",
    "steps": "name",
    "tool_calls": "tool_name",
    "artifacts": "name",
}
"""The searched column of each table below a session."""


def word_patterns(text: str) -> list[str]:
    """A POSIX regular expression for each word of a search text; empty if it contains no word."""
    patterns = []
    for word in _WORD.findall(_folded(text)):
        end = _END if len(word) == 1 and word.isascii() else ""
        start = "" if is_unspaced(word) else _START
        patterns.append(f"{start}{word}{end}")
    return patterns


def text_condition(schema: str, patterns: list[str], parameter: Callable[[object], str]) -> str:
    """The condition on a session ``s``. ``parameter`` takes a value and returns its placeholder."""
    placeholders = [parameter(pattern) for pattern in patterns]

    def matches(column: str) -> str:
        folded = f"regexp_replace(normalize(lower({column}), NFD), '[\\u0300-\\u036f]', '', 'g')"
        return " AND ".join(f"{folded} ~ {placeholder}" for placeholder in placeholders)

    below = (
        f"EXISTS (SELECT FROM {schema}.{table} AS f WHERE f.session_id = s.id AND {matches(f'f.{column}')})"
        for table, column in FIELDS.items()
    )
    return f"(({matches('s.task_description')}) OR {' OR '.join(below)})"


def _folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text.lower())
    return "".join(char for char in decomposed if not "\u0300" <= char <= "\u036f")


class _Query:
    """Conditions on a session ``s``, and the values of their placeholders."""

    def __init__(self, schema: str, given: SessionFilter) -> None:
        self.schema = schema
        self.given = given
        self.values: list[Any] = []
        self.conditions: list[str] = []
        self.stamp = "created_at" if given.sort == "created" else "updated_at"
        self.place: CursorPosition | None = None
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
        """Select only rows on one side of a cursor."""
        self.place = decode_cursor(cursor, self.given.sort)
        if not is_uuid(self.place.id):
            raise ValidationError("cursor", "is not a cursor of a page", hint="start again without it")
        if self.given.sort != "state":
            self.conditions.append(self._beyond_cursor(self.place, comparison))

    def _beyond_cursor(self, place: CursorPosition, comparison: str) -> str:
        stamp, entity_id = self.parameter(parse_time(place.stamp)), self.parameter(place.id)
        return f"(s.{self.stamp}, s.id) {comparison} ({stamp}, {entity_id}::uuid)"

    def page(self, limit: int, *, newest_first: bool) -> tuple[str, str]:
        """The statement that selects the page's rows, and their ORDER BY."""
        order = "DESC" if newest_first else "ASC"
        by = f"s.{self.stamp} {order}, s.id {order}"
        placeholder = self.parameter(limit)
        if self.given.sort != "state":
            rows = f"SELECT s.* FROM {self.schema}.sessions AS s WHERE {self.where} ORDER BY {by} LIMIT {placeholder}"  # noqa: S608
            return rows, by
        # Each state is a range of one index: merge the first rows of every range.
        branches = [
            f"(SELECT s.*, {rank} AS rank FROM {self.schema}.sessions AS s WHERE {where} "  # noqa: S608
            f"ORDER BY {by} LIMIT {placeholder})"
            for rank, where in self._by_state(newest_first)
        ]
        by = f"s.rank {'ASC' if newest_first else 'DESC'}, {by}"
        union = " UNION ALL ".join(branches)
        return f"SELECT s.* FROM ({union}) AS s ORDER BY {by} LIMIT {placeholder}", by  # noqa: S608

    def _by_state(self, newest_first: bool) -> Iterator[tuple[int, str]]:
        """Each state that the page may contain: its rank and the conditions on its rows."""
        at = None if self.place is None else STATE_ORDER.index(SessionState(self.place.state))
        for rank, state in enumerate(STATE_ORDER):
            if self.given.states and state not in self.given.states and rank != at:
                continue
            if at is not None and (rank < at if newest_first else rank > at):
                continue
            where = f"{self.where} AND s.state = {self.parameter(state.value)}"
            if self.place is not None and rank == at:
                where += f" AND {self._beyond_cursor(self.place, '<' if newest_first else '>')}"
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
    found = await _read_sessions(connection, query, limit + 1, newest_first=before is None)
    more = len(found) > limit
    if before is not None and not more:
        # The top is reached: return a full first page instead of the few rows before the cursor.
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
    """The number of sessions that match, counted up to ``cap``."""
    query = _Query(schema, given)
    limit = query.parameter(cap)
    sql = (
        f"SELECT count(*) FROM (SELECT FROM {schema}.sessions AS s "  # noqa: S608
        f"WHERE {query.where} LIMIT {limit}::bigint) AS counted"
    )
    return int(await connection.fetchval(sql, *query.values))


async def _cheap_total(connection: Connection, schema: str, given: SessionFilter) -> int | None:
    if given.text is not None and given.text.strip():
        # The search reads every row, so it is counted only in a small table.
        rows = await connection.fetchval(
            "SELECT reltuples FROM pg_class WHERE oid = to_regclass($1)", f"{schema}.sessions"
        )
        if rows is None or rows > MAX_COUNT:
            return None
    total = await count(connection, schema, given, cap=MAX_COUNT + 1)
    return total if total <= MAX_COUNT else None


async def _read_sessions(
    connection: Connection, query: _Query, limit: int, *, newest_first: bool
) -> list[SessionSummary]:
    schema = query.schema
    page, order = query.page(limit, newest_first=newest_first)
    sql = f"""
        WITH page AS MATERIALIZED ({page})
        SELECT {select_list(_SESSIONS, "s")},
            (SELECT count(*) FROM {schema}.session_tasks AS t WHERE t.session_id = s.id) AS task_count,
            (SELECT count(*) FROM {schema}.session_tasks AS t
             WHERE t.session_id = s.id AND t.state IN ('Completed', 'Skipped')) AS tasks_done,
            (SELECT count(*) FROM {schema}.tool_calls AS c WHERE c.session_id = s.id) AS tool_call_count,
            (SELECT count(*) FROM {schema}.artifacts AS a WHERE a.session_id = s.id) AS artifact_count
        FROM page AS s ORDER BY {order}
    """  # noqa: S608
    return [
        SessionSummary(
            **entity_values(_SESSIONS.columns, row),
            task_count=row["task_count"],
            tasks_done=row["tasks_done"],
            tool_call_count=row["tool_call_count"],
            artifact_count=row["artifact_count"],
            sync="synced",
        )
        for row in await connection.fetch(sql, *query.values)
    ]
