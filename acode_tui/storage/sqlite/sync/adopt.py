"""Writing the central version of a row here: without an outbox record, and never over an edit that is still pending."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Sequence

from acode_tui.domain.clock import MonotonicClock
from acode_tui.domain.entities import Artifact, Entity
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.search.notes import note_change, note_changes

# Keys begin with kind and id, so a row's records are one range of their unique index; "~" sorts after any stamp.
_PENDING = """
SELECT asked.key FROM json_each(?) AS asked WHERE EXISTS (
    SELECT 1 FROM outbox
    WHERE idempotency_key >= asked.value || ':' AND idempotency_key < asked.value || ':~' AND processed_at IS NULL
)
"""
_LOCAL_ROW = {
    kind: f"SELECT sync_version, updated_at FROM {table.name} WHERE id = ?"  # noqa: S608
    for kind, table in TABLES.items()
    if table.mutable
}
_LOCAL_VERSIONS = {
    kind: f"SELECT id, {'sync_version' if table.mutable else '0'} FROM {table.name} "  # noqa: S608
    "WHERE id IN (SELECT value FROM json_each(?))"
    for kind, table in TABLES.items()
}
# Not ON CONFLICT DO NOTHING: the triggers of these tables refuse a row that is there already before that is looked at.
_INSERT_ABSENT = {
    kind: f"INSERT INTO {table.name} ({rows.quoted(table.column_names)}) "  # noqa: S608
    f"SELECT {', '.join('?' for _ in table.columns)} WHERE NOT EXISTS (SELECT 1 FROM {table.name} WHERE id = ?1)"
    for kind, table in TABLES.items()
    if not table.mutable
}


def pending_among(
    connection: sqlite3.Connection, rows: Sequence[tuple[EntityType, str]]
) -> set[tuple[EntityType, str]]:
    """Those of the rows that have a pending record."""
    asked = json.dumps([f"{kind.value}:{entity_id}" for kind, entity_id in rows])
    return {rows[position] for (position,) in connection.execute(_PENDING, (asked,))}


def adopt(connection: sqlite3.Connection, remote: Entity) -> bool:
    """Insert or replace one row by the central one. Returns whether anything was written."""
    kind = remote.kind
    row = rows.to_row(remote)
    if not TABLES[kind].mutable:
        return connection.execute(_INSERT_ABSENT[kind], row).rowcount > 0
    local = connection.execute(_LOCAL_ROW[kind], (remote.id,)).fetchone()
    if local is None:
        connection.execute(rows.INSERT[kind], row)
        return True
    connection.execute(rows.UPDATE[kind], (*row[1:], row[0]))
    note_change(connection, kind, remote.id, "rewritten")
    return True


def adopt_pulled(connection: sqlite3.Connection, clock: MonotonicClock, pulled: Sequence[Entity]) -> int:
    """Write pulled rows, parents first; returns how many were new or newer than the local ones.

    A row with a pending record is left to the push; one that is not newer by ``sync_version`` stays as it is here. A
    table's rows take a fixed number of statements, since a first pull may bring years of them.
    """
    by_kind: defaultdict[EntityType, dict[str, Entity]] = defaultdict(dict)
    for remote in pulled:
        clock.raise_to(remote.updated_at)
        by_kind[remote.kind][remote.id] = remote
    return sum(_adopt_kind(connection, kind, by_kind[kind]) for kind in TABLES if kind in by_kind)


def _adopt_kind(connection: sqlite3.Connection, kind: EntityType, pulled: dict[str, Entity]) -> int:
    local = dict(connection.execute(_LOCAL_VERSIONS[kind], (json.dumps(list(pulled)),)))
    fresh = [remote for entity_id, remote in pulled.items() if entity_id not in local and _is_whole(remote)]
    rows.insert_many(connection, rows.INSERT[kind], [rows.to_row(remote) for remote in fresh])
    if not TABLES[kind].mutable:
        return len(fresh)
    newer = [entity_id for entity_id, version in local.items() if _version(pulled[entity_id]) > version]
    waiting = pending_among(connection, [(kind, entity_id) for entity_id in newer])
    changed = [rows.to_row(pulled[entity_id]) for entity_id in newer if (kind, entity_id) not in waiting]
    connection.executemany(rows.UPDATE[kind], [(*row[1:], row[0]) for row in changed])
    note_changes(connection, kind, [row[0] for row in changed], "rewritten")
    return len(fresh) + len(changed)


def _is_whole(remote: Entity) -> bool:
    return not isinstance(remote, Artifact) or remote.content is not None


def _version(entity: Entity) -> int:
    return getattr(entity, "sync_version", 0)
