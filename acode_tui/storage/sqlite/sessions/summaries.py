"""Summaries of the sessions of a page, by a constant number of statements: counts, sync, and what the run does now."""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec

from acode_tui.domain.entities import SessionSummary
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite import rows

# Every count is a range of an index that covers it. The last step of a run is the last entry of its range, so the call
# under way is found without reading the run's other calls.
_SUMMARIES = f"""
SELECT
    {rows.quoted([c.name for c in TABLES[EntityType.SESSION].columns], "s.")},
    (SELECT count(*) FROM session_tasks AS t WHERE t.session_id = s.id),
    (SELECT count(*) FROM session_tasks AS t WHERE t.session_id = s.id AND t.state IN ('Completed', 'Skipped')),
    (SELECT count(*) FROM tool_calls AS c WHERE c.session_id = s.id),
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
    *("task_count", "tasks_done", "tool_call_count", "artifact_count", "sync", "last_reason"),
    *("current_tool", "current_tool_at", "failed_calls", "child_count"),
)


# What is kept beside the search index. The count of failed calls is used once the index has the run's last change; a
# row that comes later with an older stamp, as from another machine, is counted when the index has caught up.
_FACTS = """
SELECT s.id, CASE WHEN f.last_at >= s.updated_at THEN f.failed_calls END,
    (SELECT count(*) FROM session_facts AS c WHERE c.parent_session_id = s.id)
FROM json_each(?) AS given JOIN sessions AS s ON s.id = given.value LEFT JOIN session_facts AS f ON f.session = s.rowid
"""
_FAILURES = """
SELECT session_id, count(*) FROM tool_calls WHERE session_id IN (SELECT value FROM json_each(?)) AND state = 'Failed'
GROUP BY session_id
"""


def read_summaries(connection: sqlite3.Connection, ids: Sequence[str]) -> list[SessionSummary]:
    """The sessions with these ids, in the order given."""
    given = msgspec.json.encode(ids).decode()
    facts = _facts(connection, given)
    found = {row[0]: _summary(row, *facts.get(row[0], (0, 0))) for row in connection.execute(_SUMMARIES, (given,))}
    return [found[each] for each in ids if each in found]


def _summary(row: Sequence[Any], failed_calls: int, children: int) -> SessionSummary:
    *stored, call = row
    tool, _, since = call.rpartition("\n") if call is not None else (None, "", None)
    summary: SessionSummary = _load((*stored, tool, since, failed_calls, children))
    return summary


def _facts(connection: sqlite3.Connection, given: str) -> dict[str, tuple[int, int]]:
    """By id how many calls failed and how many runs are its children, of sessions that are given as JSON."""
    found: dict[str, tuple[int | None, int]] = {}
    with suppress(sqlite3.DatabaseError):  # a list needs only the rows, where the index is lost or damaged
        found = {row[0]: row[1:] for row in connection.execute(_FACTS, (given,))}
    rest = [each for each in msgspec.json.decode(given) if found.get(each, (None, 0))[0] is None]
    counted = dict(connection.execute(_FAILURES, (msgspec.json.encode(rest).decode(),))) if rest else {}
    known = {each: (failed, children) for each, (failed, children) in found.items() if failed is not None}
    return known | {each: (counted.get(each, 0), found.get(each, (None, 0))[1]) for each in rest}
