"""What a query asks of a run as a whole: agent, project, state, times. Tested over the facts that are kept of it."""

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from acode_tui.domain.clock import format_time, parse_time
from acode_tui.domain.search.facts import RunFacts, agrees, meets
from acode_tui.domain.search.query import LIVE_SPAN, Query
from acode_tui.storage.sqlite.search.session_words import FAILING, RESUMABLE, SUBAGENT, fact_mark

MAX_VALUES = 2_000
"""Most different values of a column that are compared with what a field asks for."""

MAX_MARKS = 64
"""Most values that fit a field and are looked up in the index: it merges their lists."""

_NAMES = {"agents": "agent", "projects": "project", "models": "models", "branches": "branch"}
_COLUMNS = {
    "users": "s.user_id",
    "agents": "f.agent",
    "projects": "f.project",
    "models": "f.models",
    "branches": "f.branch",
}
"""The columns of fields, in the order of the rows. What a query does not ask for is not read."""

_ROWS = """
SELECT s.rowid, s.created_at, s.updated_at, s.state, {columns},
    f.parent_session_id IS NOT NULL, f.resumable, f.failed_calls > 0, {unsynced}
FROM json_each(?) AS g CROSS JOIN sessions AS s ON s.rowid = g.value LEFT JOIN session_facts AS f ON f.session = s.rowid
"""
_UNSYNCED = "EXISTS (SELECT 1 FROM outbox AS o WHERE o.session_id = s.id AND o.processed_at IS NULL)"


class FactsTest:
    """The conditions of a query on whole runs. Runs with the same facts are compared once."""

    def __init__(self, connection: sqlite3.Connection, query: Query) -> None:
        self._connection = connection
        self._query = query
        self._met: dict[tuple[object, ...], bool] = {}
        self.has_any = query != msgspec.structs.replace(
            Query(now=query.now), terms=query.terms, tools=query.tools, files=query.files, failed=query.failed,
            excluded=msgspec.structs.replace(
                query.excluded, agents=(), projects=(), models=(), branches=(), users=(), states=(), is_=()
            ),
        )  # fmt: skip
        flags = {*query.is_, *query.excluded.is_}
        asked = (
            column if getattr(query, name) or getattr(query.excluded, name) else "NULL"
            for name, column in _COLUMNS.items()
        )
        self._rows = _ROWS.format(columns=", ".join(asked), unsynced=_UNSYNCED if "unsynced" in flags else "0")
        self._since, self._before, self._live = (
            "" if moment is None else format_time(moment)
            for moment in (query.since, query.before, query.now - LIVE_SPAN)
        )

    def met_by(self, sessions: Sequence[int]) -> set[int]:
        """Those of the sessions that meet the conditions."""
        if not self.has_any:
            return set(sessions)
        asked = f"[{','.join(map(str, sessions))}]"
        return {row[0] for row in self._connection.execute(self._rows, (asked,)) if self._is_met(row[1:])}

    def marks(self) -> Iterator[list[str]]:
        """Marks of the index, of each list of which every session that meets the conditions has one."""
        for name, column in _NAMES.items():
            given = getattr(self._query, name)
            stored = self._values(column) if given else None
            if stored is None:
                continue
            fitting = [value for value in stored if _is_given(column, given, value)]
            if len(fitting) <= MAX_MARKS:
                yield [fact_mark(column, value) for value in fitting]
        if "subagent" in self._query.is_:
            yield [SUBAGENT]
        if "resumable" in self._query.is_:
            yield [RESUMABLE]
        if self._query.failed:
            yield [FAILING]

    def _values(self, column: str) -> list[str] | None:
        """The different values of a column, each by one look into its index; None where they are too many."""
        sql = f"SELECT min({column}) FROM session_facts WHERE {column} > ?"  # noqa: S608
        found: list[str] = []
        value = ""
        while len(found) <= MAX_VALUES:
            (value,) = self._connection.execute(sql, (value,)).fetchone()
            if value is None:
                return found
            found.append(value)
        return None

    def _is_met(self, row: Sequence[object]) -> bool:
        created, updated, *known = row
        # Of the times only what the query asks of them is part of the key.
        updated, created = str(updated), str(created)
        key = (updated >= self._since, created >= self._before, updated > self._live, *known)
        if (met := self._met.get(key)) is None:
            met = self._met[key] = meets(self._query, _facts(parse_time(created), parse_time(updated), known))
        return met


def _is_given(column: str, given: Sequence[str], stored: str) -> bool:
    if column == "models":
        names = msgspec.json.decode(stored, type=tuple[str, ...])
        return any(agrees("model", one, name) for one in given for name in names)
    return any(agrees(column, one, stored) for one in given)


def _facts(created: datetime, updated: datetime, known: Sequence[object]) -> RunFacts:
    state, user, agent, project, models, branch, is_child, resumable, failed, unsynced = known
    return msgspec.convert(
        {
            "agent": agent,
            "project": project,
            "models": msgspec.json.decode(str(models)) if models else (),
            "branch": branch,
            "user": user,
            "state": state,
            "parent_session_id": "" if is_child else None,
            "resumable": bool(resumable),
            "failed_calls": int(bool(failed)),
            "unsynced": bool(unsynced),
            "created_at": created,
            "updated_at": updated,
        },
        RunFacts,
    )
