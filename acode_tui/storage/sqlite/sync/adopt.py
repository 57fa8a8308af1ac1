"""Writing the central version of a row here: without an outbox record, and never over an edit that is still pending."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from acode_tui.domain.clock import MonotonicClock, system_clock
from acode_tui.domain.entities import Artifact, Entity
from acode_tui.domain.redaction import Redact, keep_hidden_text, unchanged
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.delivery_protocol import RejectedRow, row_key
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.search.notes import note_change, note_changes
from acode_tui.storage.sqlite.sync import quarantine

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
    kind: f"SELECT id, {'sync_version' if table.mutable else '0'}, {table.session_column} FROM {table.name} "  # noqa: S608
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


def adopt(connection: sqlite3.Connection, remote: Entity, redact: Redact[Any] = unchanged) -> bool:
    """Insert or replace one row by the central one; text that ``redact`` hid on its way there stays here.

    Returns whether anything was written.
    """
    kind = remote.kind
    row = rows.to_row(_with_hidden_text(connection, remote, redact) if TABLES[kind].mutable else remote)
    if not TABLES[kind].mutable:
        return connection.execute(_INSERT_ABSENT[kind], row).rowcount > 0
    local = connection.execute(_LOCAL_ROW[kind], (remote.id,)).fetchone()
    if local is None:
        connection.execute(rows.INSERT[kind], row)
        return True
    connection.execute(rows.UPDATE[kind], (*row[1:], row[0]))
    note_change(connection, kind, remote.id, "rewritten")
    return True


def adopt_pulled(
    connection: sqlite3.Connection,
    clock: MonotonicClock,
    pulled: Sequence[Entity],
    rejected: Sequence[RejectedRow] = (),
    *,
    now: datetime | None = None,
    redact: Redact[Any] = unchanged,
) -> int:
    """Write pulled rows, parents first; returns how many were new or newer than the local ones.

    A row with a pending record is left to the push; one that is not newer by ``sync_version`` stays as it is here. A
    table's rows take a fixed number of statements, since a first pull may bring years of them. ``rejected`` rows are
    kept aside, and with them those whose parent is not here; ``now`` is when they were seen. Text that ``redact`` hid
    on its way to the server stays here.
    """
    by_kind: defaultdict[EntityType, dict[str, Entity]] = defaultdict(dict)
    aside = list(rejected)
    for remote in pulled:
        clock.raise_to(remote.updated_at)
        if (other := by_kind[remote.kind].get(remote.id)) is not None and row_key(other) != row_key(remote):
            aside.append(_not_here(remote, "id: is that of a row of another session"))
            continue
        by_kind[remote.kind][remote.id] = remote
    written = 0
    for kind in TABLES:
        if kind in by_kind:
            sound, orphans = _with_parents(connection, kind, by_kind[kind])
            aside += orphans
            written += _adopt_kind(connection, kind, sound, redact)
            quarantine.remove(connection, [row_key(remote) for remote in sound.values()])
    if aside:
        quarantine.store(connection, aside, now=now or system_clock())
    return written


def _with_parents(
    connection: sqlite3.Connection, kind: EntityType, pulled: dict[str, Entity]
) -> tuple[dict[str, Entity], list[RejectedRow]]:
    """The rows that have a place here, and the others: each parent is here, in the same session."""
    aside: list[RejectedRow] = []
    lanes = {entity_id: lane for entity_id, _, lane in _local_versions(connection, kind, pulled)}
    sound: dict[str, Entity] = {}
    for entity_id, remote in pulled.items():
        if lanes.get(entity_id, row_key(remote).session_id) != row_key(remote).session_id:
            aside.append(_not_here(remote, "id: is that of a row of another session"))
        else:
            sound[entity_id] = remote
    above: list[tuple[str, EntityType]] = list(TABLES[kind].parents)
    if kind is not EntityType.SESSION:
        above.insert(0, ("session_id", EntityType.SESSION))
    for column, parent_kind in above:
        wanted = {parent for remote in sound.values() if (parent := getattr(remote, column)) is not None}
        if not wanted:
            continue
        here = {parent: lane for parent, _, lane in _local_versions(connection, parent_kind, wanted)}
        for entity_id, remote in list(sound.items()):
            parent = getattr(remote, column)
            if parent is not None and here.get(parent) != row_key(remote).session_id:
                del sound[entity_id]
                reason = f"{column}: the {parent_kind.value.replace('_', ' ')} above it is not here"
                aside.append(_not_here(remote, reason, parent=(parent_kind, parent)))
    return sound, aside


def _local_versions(connection: sqlite3.Connection, kind: EntityType, ids: Iterable[str]) -> list[tuple[str, int, str]]:
    """(id, version, session) of those of the rows that are here."""
    return connection.execute(_LOCAL_VERSIONS[kind], (json.dumps(list(ids)),)).fetchall()


def _not_here(remote: Entity, reason: str, *, parent: tuple[EntityType, str] | None = None) -> RejectedRow:
    return RejectedRow(
        kind=remote.kind,
        id=remote.id,
        session_id=row_key(remote).session_id,
        change_seq=0,
        reason=reason,
        parent=parent,
    )


def _with_hidden_text(connection: sqlite3.Connection, remote: Entity, redact: Redact[Any]) -> Entity:
    local = None if redact is unchanged else rows.fetch(connection, remote.kind, remote.id)
    return remote if local is None else keep_hidden_text(local, remote, redact)


def _adopt_kind(
    connection: sqlite3.Connection, kind: EntityType, pulled: dict[str, Entity], redact: Redact[Any]
) -> int:
    local = {entity_id: version for entity_id, version, _ in _local_versions(connection, kind, pulled)}
    fresh = [remote for entity_id, remote in pulled.items() if entity_id not in local and _is_whole(remote)]
    rows.insert_many(connection, rows.INSERT[kind], [rows.to_row(remote) for remote in fresh])
    if not TABLES[kind].mutable:
        return len(fresh)
    newer = [entity_id for entity_id, version in local.items() if _version(pulled[entity_id]) > version]
    waiting = pending_among(connection, [(kind, entity_id) for entity_id in newer])
    changed = [
        rows.to_row(_with_hidden_text(connection, pulled[entity_id], redact))
        for entity_id in newer
        if (kind, entity_id) not in waiting
    ]
    connection.executemany(rows.UPDATE[kind], [(*row[1:], row[0]) for row in changed])
    note_changes(connection, kind, [row[0] for row in changed], "rewritten")
    return len(fresh) + len(changed)


def _is_whole(remote: Entity) -> bool:
    return not isinstance(remote, Artifact) or remote.content is not None


def _version(entity: Entity) -> int:
    return getattr(entity, "sync_version", 0)
