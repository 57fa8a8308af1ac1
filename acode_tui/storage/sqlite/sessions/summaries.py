"""Summaries of the sessions of a page, by a constant number of statements: counts, sync, and what the run does now."""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from acode_tui.domain.entities import SessionSummary
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.search.marks import is_behind

# Every count is a range of an index that covers it. The last step of a run is the last entry of its range, so the call
# under way is found without reading the run's other calls.
_SUMMARIES = f"""
SELECT
    {rows.quoted([c.name for c in TABLES[EntityType.SESSION].columns], "s.")},
    (SELECT count(*) FROM session_tasks AS t WHERE t.session_id = s.id),
    (SELECT count(*) FROM session_tasks AS t WHERE t.session_id = s.id AND t.state IN ('Completed', 'Skipped')),
    (SELECT count(*) FROM artifacts AS a WHERE a.session_id = s.id),
    CASE
        WHEN (SELECT max(o.failed_at IS NOT NULL) FROM outbox AS o INDEXED BY outbox_refused
              WHERE o.session_id = s.id AND o.processed_at IS NULL AND o.attempts > 0) THEN 'failed'
        WHEN EXISTS (SELECT 1 FROM outbox AS o INDEXED BY outbox_refused
                     WHERE o.session_id = s.id AND o.processed_at IS NULL AND o.attempts > 0) THEN 'retrying'
        WHEN EXISTS (SELECT 1 FROM outbox AS o INDEXED BY outbox_lane
                     WHERE o.session_id = s.id AND o.processed_at IS NULL) THEN 'pending'
        WHEN s.sync_version > 0 THEN 'synced'
        ELSE 'local'
    END,
    (SELECT e.reason FROM session_events AS e WHERE e.session_id = s.id ORDER BY e.timestamp DESC, e.id DESC LIMIT 1),
    CASE WHEN s.state IN ('Planning', 'Executing', 'AwaitingApproval') THEN
        (SELECT c.tool_name || char(10) || c.created_at FROM tool_calls AS c
         WHERE c.step_id = (SELECT p.id FROM steps AS p INDEXED BY steps_by_session
                            WHERE p.session_id = s.id ORDER BY p.rowid DESC LIMIT 1)
         AND c.state IN ('Pending', 'Executing') ORDER BY c."order" DESC LIMIT 1)
    END
FROM json_each(?) AS given JOIN sessions AS s ON s.id = given.value
"""  # noqa: S608

_load = rows.loader(
    EntityType.SESSION,
    SessionSummary,
    *("task_count", "tasks_done", "artifact_count", "sync", "last_reason"),
    *("current_tool", "current_tool_at", "tool_call_count", "failed_calls", "child_count"),
)


# What is kept beside the search index. The counts of calls are used where all is indexed (?2), and else once they have
# the run's last change; a row that comes later with an older stamp, as from another machine, is counted when the index
# has caught up.
_FACTS = """
SELECT s.id,
    CASE WHEN ?2 OR f.last_at >= s.updated_at
            AND NOT EXISTS (SELECT 1 FROM figures_changes AS m WHERE m.session = s.rowid)
        THEN (SELECT g.calls FROM figures_sessions AS g WHERE g.session = s.rowid) END,
    CASE WHEN ?2 OR f.last_at >= s.updated_at THEN f.failed_calls END,
    (SELECT count(*) FROM session_facts AS c WHERE c.parent_session_id = s.id)
FROM json_each(?1) AS given JOIN sessions AS s ON s.id = given.value LEFT JOIN session_facts AS f ON f.session = s.rowid
"""
_CALLS = """
SELECT session_id, count(*), sum(state = 'Failed') FROM tool_calls
WHERE session_id IN (SELECT value FROM json_each(?)) GROUP BY session_id
"""


class _Facts(NamedTuple):
    calls: int
    failed: int
    children: int


def read_summaries(connection: sqlite3.Connection, ids: Sequence[str]) -> list[SessionSummary]:
    """The sessions with these ids, in the order given."""
    given = msgspec.json.encode(ids).decode()
    facts = _facts(connection, ids)
    found = {row[0]: _summary(row, facts[row[0]]) for row in connection.execute(_SUMMARIES, (given,))}
    return [found[each] for each in ids if each in found]


def _summary(row: Sequence[Any], facts: _Facts) -> SessionSummary:
    *stored, call = row
    tool, _, since = call.rpartition("\n") if call is not None else (None, "", None)
    summary: SessionSummary = _load((*stored, tool, since, *facts))
    return summary


def _facts(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, _Facts]:
    """By id how many calls the sessions have, how many of them failed, and how many runs are their children."""
    kept: dict[str, tuple[int | None, int | None, int]] = {}
    with suppress(sqlite3.DatabaseError):  # a list needs only the rows, where the index is lost or damaged
        given = msgspec.json.encode(ids).decode()
        kept = {row[0]: row[1:] for row in connection.execute(_FACTS, (given, not is_behind(connection)))}
    rest = [each for each in ids if None in kept.get(each, (None,))]
    rows = connection.execute(_CALLS, (msgspec.json.encode(rest).decode(),)) if rest else ()
    counted = {row[0]: row[1:] for row in rows}
    made: dict[str, _Facts] = {}
    for each in ids:
        calls, failed, children = kept.get(each, (None, None, 0))
        all_calls, all_failed = counted.get(each, (0, 0))
        made[each] = _Facts(all_calls if calls is None else calls, all_failed if failed is None else failed, children)
    return made
