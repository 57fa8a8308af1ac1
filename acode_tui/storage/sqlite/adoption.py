"""Writing the team's version of a row here: no outbox record, and never over an edit that waits to be sent."""

import json
import sqlite3
from collections.abc import Sequence

from acode_tui.domain.clock import MonotonicClock
from acode_tui.domain.entities import Artifact, Entity
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite import rows

# Keys begin with kind and id, so a row's records are one range of their unique index; "~" sorts after any stamp.
_PENDING = """
SELECT asked.key FROM json_each(?) AS asked WHERE EXISTS (
    SELECT 1 FROM outbox
    WHERE idempotency_key >= asked.value || ':' AND idempotency_key < asked.value || ':~' AND processed_at IS NULL
)
"""
_STANDING = {
    kind: f"SELECT sync_version, updated_at FROM {table.name} WHERE id = ?"  # noqa: S608
    for kind, table in TABLES.items()
    if table.mutable
}
_IGNORE = {
    kind: rows.INSERT[kind] + " ON CONFLICT (id) DO NOTHING" for kind, table in TABLES.items() if not table.mutable
}


def pending_among(
    connection: sqlite3.Connection, rows: Sequence[tuple[EntityType, str]]
) -> set[tuple[EntityType, str]]:
    """Those of the rows that a write still waiting to be delivered is about."""
    asked = json.dumps([f"{kind.value}:{entity_id}" for kind, entity_id in rows])
    return {rows[position] for (position,) in connection.execute(_PENDING, (asked,))}


def adopt(connection: sqlite3.Connection, remote: Entity) -> bool:
    """Replace or insert one row by the central one. Answers whether anything was written."""
    kind = remote.kind
    row = rows.to_row(remote)
    if not TABLES[kind].mutable:
        return connection.execute(_IGNORE[kind], row).rowcount > 0
    standing = connection.execute(_STANDING[kind], (remote.id,)).fetchone()
    if standing is None:
        connection.execute(rows.INSERT[kind], row)
        return True
    connection.execute(rows.UPDATE[kind], (*row[1:], row[0]))
    return True


def adopt_pulled(connection: sqlite3.Connection, clock: MonotonicClock, pulled: Sequence[Entity]) -> int:
    """Write rows that came with a pull, parents first as they came; answers how many were news here.

    A row that a pending record is about is left to the push; one that is not newer by ``sync_version`` stays.
    """
    mutable = [(remote.kind, remote.id) for remote in pulled if TABLES[remote.kind].mutable]
    pending = pending_among(connection, mutable)
    written = 0
    for remote in pulled:
        clock.raise_to(remote.updated_at)
        if TABLES[remote.kind].mutable:
            standing = connection.execute(_STANDING[remote.kind], (remote.id,)).fetchone()
            version: int = getattr(remote, "sync_version", 0)
            if standing is not None and standing[0] >= version:
                continue
            if (remote.kind, remote.id) in pending:
                continue
        elif isinstance(remote, Artifact) and remote.content is None:
            continue
        written += adopt(connection, remote)
    return written
