"""A session as a list shows it: its own row, how much is below it, and whether it has reached the team's database."""

import sqlite3
from collections.abc import Sequence

import msgspec

from acode_tui.domain.entities import SessionSummary
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.domain.synthetic_calls import SQL_NAMES
from acode_tui.storage.sqlite.runs import rows

# Every count is a range of an index that covers it.
_SUMMARIES = f"""
SELECT
    {rows.quoted([c.name for c in TABLES[EntityType.SESSION].columns], "s.")},
    (SELECT count(*) FROM session_tasks AS t WHERE t.session_id = s.id),
    (SELECT count(*) FROM session_tasks AS t WHERE t.session_id = s.id AND t.state IN ('Completed', 'Skipped')),
    (SELECT count(*) FROM tool_calls AS c
     WHERE c.session_id = s.id AND c.tool_name NOT IN ({SQL_NAMES})),
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
    END
FROM json_each(?) AS given JOIN sessions AS s ON s.id = given.value
"""  # noqa: S608

_WIDTH = len(TABLES[EntityType.SESSION].columns)
_load = rows.loader(
    EntityType.SESSION, SessionSummary, "task_count", "tasks_done", "tool_call_count", "artifact_count", "sync"
)


def read_summaries(connection: sqlite3.Connection, ids: Sequence[str]) -> list[SessionSummary]:
    """The sessions with these ids, in the order given."""
    given = msgspec.json.encode(ids).decode()
    found: dict[str, SessionSummary] = {}
    for row in connection.execute(_SUMMARIES, (given,)):
        summary: SessionSummary = _load(row, *row[_WIDTH:])
        found[summary.id] = summary
    return [found[each] for each in ids if each in found]
