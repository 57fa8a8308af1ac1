"""Keyset pages, counts and search of the team's sessions, with the cursors and the order of the local store.

SQL texts are built from constants and numbered placeholders; values are always parameters.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

from acode_tui.domain.clock import parse_time
from acode_tui.domain.entities import SessionSummary
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.search.query import Query
from acode_tui.domain.states import STATE_ORDER, EntityType, SessionState
from acode_tui.storage.cursors import CursorPosition, check_page, cursor_of, decode_cursor
from acode_tui.storage.ports import SessionFilter, SessionPage
from acode_tui.storage.postgres.identifiers import Connection, is_uuid
from acode_tui.storage.postgres.lexemes import EDITED, tsquery
from acode_tui.storage.postgres.matcher import MOST_RUNS, Matcher
from acode_tui.storage.postgres.rows import entity_values, select_column, select_list
from acode_tui.storage.postgres.session_conditions import SessionCandidates, SessionSelect, find_few, without_scans

MAX_COUNT = 10_000
"""Counts stop here and are reported as None."""

_SESSIONS = TABLES[EntityType.SESSION]
_CALL_BEGAN = next(column for column in TABLES[EntityType.TOOL_CALL].columns if column.name == "created_at")


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
    sql = f"SELECT count(*) FROM (SELECT 1 FROM {schema}.sessions WHERE {where} LIMIT $1) AS counted"  # noqa: S608
    counted = int(await connection.fetchval(sql, *values))
    return counted if counted <= MAX_COUNT else None


def _require_position(given: SessionFilter, cursor: str) -> CursorPosition:
    """The position of a cursor. Raises ValidationError."""
    place = decode_cursor(cursor, given.sort)
    if not is_uuid(place.id):
        raise ValidationError("cursor", "is not a cursor of a page", hint="start again without it")
    return place


class _Range:
    """The sessions of a filter on one side of a cursor, in their order."""

    def __init__(
        self, given: SessionFilter, cursor: str | None = None, *, newest_first: bool = True, edited: bool | None = None
    ) -> None:
        """``edited``: only sessions in which a row lost words, or only the others; None for all."""
        self.given = given
        self._edited = edited
        self.stamp = "created_at" if given.sort == "created" else "updated_at"
        self._place = None if cursor is None else _require_position(given, cursor)
        self._newest_first = newest_first
        direction = "DESC" if newest_first else "ASC"
        self._by = f"s.{self.stamp} {direction}, s.id {direction}"

    def page(self, select: SessionSelect, schema: str, size: int, *, distributed: bool) -> str:
        """The statement for the next ``size`` sessions with their counts; only their ids where they are distributed."""
        page, order = self._page(select, size)
        if distributed:
            return f"SELECT s.id FROM ({page}) AS s ORDER BY {order}"  # noqa: S608
        return f"WITH page AS MATERIALIZED ({page}) {_with_counts('page AS s', schema)} ORDER BY {order}"

    def _page(self, select: SessionSelect, size: int) -> tuple[str, str]:
        """The next ``size`` sessions, and their order."""
        limit = select.parameter(size)
        if self.given.sort != "state":
            beyond = [] if self._place is None else [self._beyond(select, self._place)]
            return select.rows([*self.conditions(select), *beyond], order=self._by, limit=limit), self._by
        # Each state is a range of one index: merge the first rows of every range.
        branches = [
            f"({select.rows([*self.conditions(select), *own], order=self._by, limit=limit, also=f', {rank} AS rank')})"
            for rank, own in self._by_state(select)
        ]
        order = f"s.rank {'ASC' if self._newest_first else 'DESC'}, {self._by}"
        return f"SELECT s.* FROM ({' UNION ALL '.join(branches)}) AS s ORDER BY {order} LIMIT {limit}", order  # noqa: S608

    def conditions(self, select: SessionSelect) -> list[str]:
        """The conditions of the filter, without its text."""
        given, found = self.given, []
        if given.user is not None:
            found.append(f"s.user_id = {select.parameter(given.user)}")
        if given.workspace is not None:
            known = is_uuid(given.workspace)
            found.append(f"s.workspace_id = {select.parameter(given.workspace)}" if known else "false")
        if given.states:
            states = select.parameter([state.value for state in given.states])
            found.append(f"s.state = ANY({states}::text[])")
        if given.since is not None:
            found.append(f"s.{self.stamp} >= {select.parameter(given.since)}")
        if given.until is not None:
            found.append(f"s.{self.stamp} < {select.parameter(given.until)}")
        if self._edited is not None:
            found.append(select.edited(wanted=self._edited))
        return found

    def _beyond(self, select: SessionSelect, place: CursorPosition) -> str:
        stamp, entity_id = select.parameter(parse_time(place.stamp)), select.parameter(place.id)
        return f"(s.{self.stamp}, s.id) {'<' if self._newest_first else '>'} ({stamp}, {entity_id}::uuid)"

    def _by_state(self, select: SessionSelect) -> Iterator[tuple[int, list[str]]]:
        """Each state that the page may contain: its rank and the conditions on its rows."""
        at = None if self._place is None else STATE_ORDER.index(SessionState(self._place.state))
        for rank, state in enumerate(STATE_ORDER):
            if self.given.states and state not in self.given.states and rank != at:
                continue
            if at is not None and (rank < at if self._newest_first else rank > at):
                continue
            own = [f"s.state = {select.parameter(state.value)}"]
            if self._place is not None and rank == at:
                own.append(self._beyond(select, self._place))
            yield rank, own


def _with_counts(sessions: str, schema: str) -> str:
    """Select the sessions of a FROM clause, as ``s``, with the counts of what they hold."""
    return f"""
        SELECT {select_list(_SESSIONS, "s")},
            (SELECT count(*) FROM {schema}.session_tasks AS t WHERE t.session_id = s.id) AS task_count,
            (SELECT count(*) FROM {schema}.session_tasks AS t
             WHERE t.session_id = s.id AND t.state IN ('Completed', 'Skipped')) AS tasks_done,
            (SELECT count(*) FROM {schema}.tool_calls AS c WHERE c.session_id = s.id) AS tool_call_count,
            (SELECT count(*) FROM {schema}.tool_calls AS c
             WHERE c.session_id = s.id AND c.state = 'Failed') AS failed_calls,
            (SELECT count(*) FROM {schema}.artifacts AS a WHERE a.session_id = s.id) AS artifact_count,
            (SELECT e.reason FROM {schema}.session_events AS e WHERE e.session_id = s.id
             ORDER BY e.timestamp DESC, e.id DESC LIMIT 1) AS last_reason,
            t.tool_name AS current_tool, t.created_at AS current_tool_at
        FROM {sessions} LEFT JOIN LATERAL (
            SELECT c.tool_name, {select_column(_CALL_BEGAN, "c")} FROM {schema}.tool_calls AS c
            WHERE c.session_id = s.id AND c.state IN ('Pending', 'Executing')
            AND s.state IN ('Planning', 'Executing', 'AwaitingApproval')
            ORDER BY c.created_at DESC, c.id DESC LIMIT 1
        ) AS t ON true
    """  # noqa: S608


def _summary(row: Mapping[str, Any]) -> SessionSummary:
    return SessionSummary(
        **entity_values(_SESSIONS.columns, row),
        task_count=row["task_count"],
        tasks_done=row["tasks_done"],
        tool_call_count=row["tool_call_count"],
        failed_calls=row["failed_calls"],
        artifact_count=row["artifact_count"],
        current_tool=row["current_tool"],
        current_tool_at=row["current_tool_at"],
        last_reason=row["last_reason"],
        sync="synced",
    )


class _Part(NamedTuple):
    """Sessions from a cursor on. Unless ``ended``, there may be more behind ``last``, the last one that was read."""

    sessions: list[SessionSummary]
    ended: bool
    last: SessionSummary | None


async def count_unknown(connection: Connection, schema: str, *, most: int) -> int:
    """How many sessions, ``most`` at most, have a state that is none of this program's: no page shows them."""
    names = sorted(state.value for state in SessionState)
    # Ranges between the known names: an index answers them, where NOT IN reads every row.
    outside = [f"state < '{names[0]}'", f"state > '{names[-1]}'"]
    between = [f"(state > '{low}' AND state < '{high}')" for low, high in pairwise(names)]
    found: int = await connection.fetchval(
        f"SELECT count(*) FROM (SELECT 1 AS one FROM {schema}.sessions "  # noqa: S608
        f"WHERE {' OR '.join((*outside, *between))} LIMIT {most}) AS unknown"
    )
    return found


async def read_page(
    connection: Connection,
    schema: str,
    given: SessionFilter,
    search: Query,
    *,
    limit: int,
    after: str | None,
    before: str | None,
    distributed: bool = False,
) -> SessionPage:
    """One page; ``search`` is the filter's text. Raises ValidationError.

    Where the sessions of a phrase are far between, a page may be shorter than its limit and still have a cursor.
    """
    check_page(limit, after, before)
    for cursor in (after, before):
        if cursor is not None:
            _require_position(given, cursor)
    if search.is_empty:
        read = _Reading(connection, schema, given, search, distributed=distributed)
        return await _page(read, given, limit=limit, after=after, before=before)
    async with without_scans(connection):
        few = await find_few(connection, schema, search)
        read = _Reading(connection, schema, given, search, few, distributed=distributed)
        return await _page(read, given, limit=limit, after=after, before=before)


async def _page(
    read: "_Reading", given: SessionFilter, *, limit: int, after: str | None, before: str | None
) -> SessionPage:
    part = await read.part(after or before, limit + 1, newest_first=before is None)
    more = len(part.sessions) > limit
    if before is not None and not more and part.ended:
        # The top is reached: return a full first page instead of the few rows before the cursor.
        return await _page(read, given, limit=limit, after=None, before=None)
    found = part.sessions[:limit]
    far_end = found[-1] if more else part.last
    if before is not None:
        found.reverse()
    more_after = (more or not part.ended) if before is None else not decode_cursor(before, given.sort).is_end
    more_before = before is not None or (after is not None and bool(found))
    first, last = (found[:1], [far_end]) if before is None else ([far_end], found[-1:])
    return SessionPage(
        sessions=tuple(found),
        next_cursor=_cursor_of_one(given, last) if more_after else None,
        previous_cursor=_cursor_of_one(given, first) if more_before else None,
        total=await read.cheap_total(part if after is None and before is None and not more else None),
    )


def _cursor_of_one(given: SessionFilter, sessions: Sequence[SessionSummary | None]) -> str | None:
    return next((cursor_of(given.sort, session) for session in sessions if session is not None), None)


class _Reading:
    """Reads the sessions of one filter and search."""

    def __init__(
        self,
        connection: Connection,
        schema: str,
        given: SessionFilter,
        search: Query,
        few: tuple[str, ...] = (),
        *,
        distributed: bool = False,
    ) -> None:
        self._distributed = distributed
        self._connection = connection
        self._schema = schema
        self._given = given
        self._search = search
        self._candidates = SessionCandidates(connection, schema, search, few, near=not distributed)
        self._matcher = Matcher(connection, schema, search)
        self._edited: bool | None = None

    async def part(self, cursor: str | None, wanted: int, *, newest_first: bool) -> _Part:
        """At most ``wanted`` matching sessions beyond a cursor, fewer where they are far between."""
        found: list[SessionSummary] = []
        last: SessionSummary | None = None
        read = 0
        async for rows, matching, ended in self._groups(cursor, wanted, newest_first=newest_first):
            found += matching
            last = rows[-1] if rows else last
            read += len(rows)
            if len(found) >= wanted or ended or read >= self._matcher.most_candidates:
                return _Part(found[:wanted], ended and len(found) <= wanted, last)
        raise AssertionError("the last group is marked")

    async def _groups(
        self, cursor: str | None, wanted: int, *, newest_first: bool, edited: bool | None = None
    ) -> AsyncIterator[tuple[list[SessionSummary], list[SessionSummary], bool]]:
        """The sessions beyond a cursor in groups: those read, those of them that match, and whether it is the last."""
        size = min(wanted, MOST_RUNS) if self._matcher.reads_runs else wanted
        while True:
            part = _Range(self._given, cursor, newest_first=newest_first, edited=edited)
            make = partial(part.page, schema=self._schema, size=size, distributed=self._distributed)
            rows = [_summary(row) for row in await self._with_counts(await self._candidates.fetch(make, size))]
            matching = await self._matcher.matching(rows)
            ended = len(rows) < size
            yield rows, [session for session in rows if session.id in matching], ended
            if ended:
                return
            cursor, size = cursor_of(self._given.sort, rows[-1]), max(size, MOST_RUNS)

    async def _with_counts(self, rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """The rows of a page. Citus counts for rows of a distributed table, not for those of a page of it."""
        if not self._distributed:
            return rows
        ids = [row["id"] for row in rows]
        sessions = _with_counts(f"{self._schema}.sessions AS s", self._schema)
        counted = await self._connection.fetch(f"{sessions} WHERE s.id = ANY($1::uuid[])", ids)
        by_id = {row["id"]: row for row in counted}
        return [by_id[each] for each in ids if each in by_id]

    async def cheap_total(self, whole: _Part | None) -> int | None:
        """The number of sessions that match; None where counting would not be cheap. ``whole``: all, if it is known."""
        if whole is not None and whole.ended:
            return len(whole.sessions)
        if not self._search.is_empty:
            if not self._matcher.counts_in_sql:
                return None
            rows = await self._connection.fetchval(
                "SELECT reltuples FROM pg_class WHERE oid = to_regclass($1)", f"{self._schema}.sessions"
            )
            if not self._candidates.are_few and (rows is None or rows > MAX_COUNT):
                return None
            if await self._has_edited() and await self._count(MOST_RUNS + 1, edited=True) > MOST_RUNS:
                return None
        total = await self._count_all(MAX_COUNT + 1)
        return total if total <= MAX_COUNT else None

    async def count(self) -> int:
        """The number of sessions that match."""
        if self._search.is_empty or self._matcher.counts_in_sql:
            return await self._count_all(None)
        return await self._count_one_by_one()

    async def _count_all(self, cap: int | None) -> int:
        """The number of sessions, where the conditions alone decide about all that were not edited."""
        if not await self._has_edited():
            return await self._count(cap)
        total = await self._count(cap, edited=False)
        return total if cap is not None and total >= cap else total + await self._count_one_by_one(edited=True)

    async def _has_edited(self) -> bool:
        """Whether the texts of some session have to be read, for an edit took words out of it."""
        if self._edited is None:
            self._edited = self._matcher.asks_words and await self._connection.fetchval(
                f"SELECT EXISTS (SELECT 1 FROM {self._schema}.session_search WHERE document @@ $1::tsquery)",  # noqa: S608
                tsquery(EDITED),
            )
        return self._edited

    async def _count_one_by_one(self, *, edited: bool | None = None) -> int:
        total = 0
        async for _, matching, _ in self._groups(None, MOST_RUNS, newest_first=True, edited=edited):
            total += len(matching)
        return total

    async def _count(self, cap: int | None, *, edited: bool | None = None) -> int:
        """The number of sessions that the conditions let through, counted up to ``cap``."""
        select = self._candidates.select()
        where = select.where(_Range(self._given, edited=edited).conditions(select))
        sql = (
            f"SELECT count(*) FROM (SELECT 1 FROM {self._schema}.sessions AS s "  # noqa: S608
            f"WHERE {where} LIMIT {select.parameter(cap)}::bigint) AS counted"
        )
        return int(await self._connection.fetchval(sql, *select.values))


async def count(
    connection: Connection, schema: str, given: SessionFilter, search: Query, *, distributed: bool = False
) -> int:
    """The number of sessions that match."""
    if search.is_empty:
        return await _Reading(connection, schema, given, search, distributed=distributed).count()
    async with without_scans(connection):
        few = await find_few(connection, schema, search)
        return await _Reading(connection, schema, given, search, few, distributed=distributed).count()
