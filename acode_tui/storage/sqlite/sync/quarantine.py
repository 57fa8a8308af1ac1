"""Rows of the team's database that are kept aside: they are not valid here, or wait for a parent that is not.

The last version seen of each row stands here; a later, valid version of the row removes it. Plain functions of the
connection, part of the unit that pulls or acknowledges.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime

from acode_tui.domain.clock import format_time, parse_time
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.delivery_protocol import RejectedRow, RowKey
from acode_tui.storage.ports import QuarantinedRow

_STORE = """
INSERT INTO quarantined_rows
    (entity_type, entity_id, session_id, change_seq, reason, parent_type, parent_id, retry_at, seen_at, excerpt)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (entity_type, entity_id, session_id) DO UPDATE SET
    change_seq = excluded.change_seq, reason = excluded.reason, parent_type = excluded.parent_type,
    parent_id = excluded.parent_id, retry_at = excluded.retry_at, seen_at = excluded.seen_at, excerpt = excluded.excerpt
"""
_REMOVE = """
DELETE FROM quarantined_rows WHERE (entity_type, entity_id, session_id) IN (
    SELECT value ->> 0, value ->> 2, value ->> 1 FROM json_each(?)
)
"""
_KEYS = "SELECT entity_type, session_id, entity_id FROM quarantined_rows"
_WITH_PARENT = " UNION ALL ".join(
    f"{_KEYS} AS q WHERE parent_type = '{kind.value}' "  # noqa: S608
    f"AND EXISTS (SELECT 1 FROM {table.name} AS p "
    f"WHERE p.id = q.parent_id AND p.{table.session_column} = q.session_id)"
    for kind, table in TABLES.items()
)
_DUE = f"{_WITH_PARENT} UNION ALL {_KEYS} WHERE retry_at <= ? LIMIT ?"
_ALL = f"{_KEYS} WHERE (entity_type, entity_id, session_id) > (?, ?, ?) ORDER BY 1, 3, 2 LIMIT ?"
_LIST = """
SELECT entity_type, entity_id, session_id, change_seq, reason, seen_at, excerpt FROM quarantined_rows
ORDER BY seen_at DESC, entity_id DESC LIMIT ?
"""


def store(connection: sqlite3.Connection, rejected: Iterable[RejectedRow], *, now: datetime) -> None:
    """Keep rows aside, each in the place of an earlier version of it."""
    seen_at = format_time(now)
    connection.executemany(
        _STORE,
        [
            (
                str(each.kind),
                each.id,
                each.session_id,
                each.change_seq,
                each.reason,
                *((None, None) if each.parent is None else (str(each.parent[0]), each.parent[1])),
                None if each.retry_at is None else format_time(each.retry_at),
                seen_at,
                each.excerpt,
            )
            for each in rejected
        ],
    )


def remove(connection: sqlite3.Connection, keys: Iterable[RowKey]) -> None:
    """Rows that are not kept aside any more."""
    if connection.execute("SELECT 1 FROM quarantined_rows LIMIT 1").fetchone() is not None:
        given = [(str(key.kind), key.session_id, key.id) for key in keys]
        connection.execute(_REMOVE, (json.dumps(given),))


def due(connection: sqlite3.Connection, *, now: datetime, limit: int) -> list[RowKey]:
    """Rows that are worth reading again: their parent is here by now, or their stamp is not ahead any more."""
    return _keys(connection.execute(_DUE, (format_time(now), limit)))


def after(connection: sqlite3.Connection, key: RowKey | None, *, limit: int) -> list[RowKey]:
    """All rows, page by page."""
    place = ("", "", "") if key is None else (str(key.kind), key.id, key.session_id)
    return _keys(connection.execute(_ALL, (*place, limit)))


def read(connection: sqlite3.Connection, *, limit: int) -> tuple[QuarantinedRow, ...]:
    """The rows that are kept aside, the last seen first."""
    return tuple(
        QuarantinedRow(
            entity_type=EntityType(kind),
            entity_id=entity_id,
            session_id=session_id,
            change_seq=change_seq,
            reason=reason,
            seen_at=parse_time(seen_at),
            excerpt=excerpt,
        )
        for kind, entity_id, session_id, change_seq, reason, seen_at, excerpt in connection.execute(_LIST, (limit,))
    )


def count(connection: sqlite3.Connection) -> int:
    """How many rows are kept aside; none in a file of an older schema."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'quarantined_rows'").fetchone() is None:
        return 0
    return int(connection.execute("SELECT count(*) FROM quarantined_rows").fetchone()[0])


def _keys(rows: Iterable[Sequence[str]]) -> list[RowKey]:
    return [RowKey(EntityType(kind), session_id, entity_id) for kind, session_id, entity_id in rows]
