"""What filters ask of a session, kept beside the index by the same batches."""

import sqlite3
from collections.abc import Iterable

import msgspec

from acode_tui.domain.search.facts import RunFacts
from acode_tui.storage.sqlite.search.indexed_rows import IndexedRow

_COUNT_FAILED = """
SELECT count(*) FROM tool_calls WHERE session_id = (SELECT id FROM sessions WHERE rowid = ?) AND state = 'Failed'
AND rowid <= ?
"""
_SET = """
INSERT INTO session_facts
    (session, agent, project, models, branch, parent_session_id, resumable, failed_calls, first_at, last_at)
VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?)
ON CONFLICT (session) DO UPDATE SET agent = excluded.agent, project = excluded.project, models = excluded.models,
    branch = excluded.branch, parent_session_id = excluded.parent_session_id, resumable = excluded.resumable
"""
_RAISE = """
UPDATE session_facts SET failed_calls = coalesce(?, failed_calls + ?), first_at = min(first_at, ?),
    last_at = max(last_at, ?)
WHERE session = ?
"""


class FactsChange:
    """What a batch changes of one session's facts. The times are as stored: their text order is time order."""

    __slots__ = ("facts", "failed", "first_at", "last_at", "recounted")

    def __init__(self, at: str) -> None:
        self.facts: RunFacts | None = None
        """Where the session's own row is in the batch."""
        self.failed = 0
        """Failed calls that were not counted before."""
        self.recounted: int | None = None
        """All its failed calls, where one that was counted may have changed."""
        self.first_at = self.last_at = at

    def add(self, row: IndexedRow, *, is_new: bool) -> None:
        if row.first_at < self.first_at:
            self.first_at = row.first_at
        if row.last_at > self.last_at:
            self.last_at = row.last_at
        if row.facts is not None:
            self.facts = row.facts
        elif is_new and row.is_failed:
            self.failed += 1


def count_failed(connection: sqlite3.Connection, session: int, upto: int) -> int:
    """How many of a session's calls have failed, of those up to a rowid."""
    return int(connection.execute(_COUNT_FAILED, (session, upto)).fetchone()[0])


def changes_of(changed: Iterable[IndexedRow], fresh: Iterable[IndexedRow]) -> dict[int, FactsChange]:
    """By session what rows that were indexed before, and rows that were not, change of its facts."""
    found: dict[int, FactsChange] = {}
    for rows, is_new in ((changed, False), (fresh, True)):
        for row in rows:
            change = found.get(row.session)
            if change is None:
                change = found[row.session] = FactsChange(row.first_at)
            change.add(row, is_new=is_new)
    return found


def searched_values(facts: RunFacts) -> dict[str, str | None]:
    """What is stored of the facts that fields name a value of, by column, in the order of the columns."""
    return {
        "agent": facts.agent,
        "project": facts.project,
        "models": msgspec.json.encode(facts.models).decode() if facts.models else None,
        "branch": facts.branch,
    }


def store_facts(connection: sqlite3.Connection, changes: dict[int, FactsChange]) -> None:
    """Write the changes, in the transaction that indexes the rows."""
    connection.executemany(
        _SET,
        [
            (
                session,
                *searched_values(facts).values(),
                facts.parent_session_id,
                facts.resumable,
                change.first_at,
                change.last_at,
            )
            for session, change in changes.items()
            if (facts := change.facts) is not None
        ],
    )
    connection.executemany(
        _RAISE,
        [
            (change.recounted, change.failed, change.first_at, change.last_at, session)
            for session, change in changes.items()
        ],
    )
