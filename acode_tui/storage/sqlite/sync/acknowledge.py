"""The second half of a delivery: what the server's results change here.

A batch's results are written in one transaction that also checks the lease: a worker that lost it may not acknowledge,
so its work comes back as duplicates. That takes a fixed number of statements for any batch, since the user's own writes
wait for it.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from acode_tui.domain.clock import MonotonicClock, parse_time
from acode_tui.domain.codec import same_content
from acode_tui.domain.entities import Entity
from acode_tui.domain.redaction import Redact, unchanged
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.delivery_protocol import ApplyResult, RejectedRow, row_key
from acode_tui.storage.ports import ClaimedRecord, RecordKey
from acode_tui.storage.sqlite.sync import quarantine, records
from acode_tui.storage.sqlite.sync.adopt import adopt, pending_among
from acode_tui.storage.sqlite.sync.conflicts import insert_conflict

_SET_VERSION = {
    kind: f"UPDATE {table.name} SET sync_version = ? WHERE id = ? AND sync_version < ?"  # noqa: S608
    for kind, table in TABLES.items()
    if table.mutable
}


def acknowledge(
    connection: sqlite3.Connection,
    clock: MonotonicClock,
    claimed: Sequence[ClaimedRecord],
    results: Sequence[ApplyResult],
    *,
    now: str,
    redact: Redact[Any] = unchanged,
) -> int:
    """Write the results of a batch; part of a unit that has checked the lease. Returns how many conflicts are new."""
    outcomes: list[tuple[RecordKey, str]] = []
    for record, result in zip(claimed, results, strict=True):
        outcomes.append((RecordKey(record.row.record_id, record.row.idempotency_key), result.outcome))
        outcomes += [(older, "superseded") for older in record.superseded]
    # The records first, so that a record that is pending below was queued after this batch was claimed.
    records.mark_processed(connection, outcomes, now=now)
    mutable = [record.row.entity for record in claimed if TABLES[record.row.kind].mutable]
    edited = pending_among(connection, [(entity.kind, entity.id) for entity in mutable])
    conflicts = 0
    aside: list[RejectedRow] = []
    versions: defaultdict[EntityType, list[tuple[int, str, int]]] = defaultdict(list)
    for record, result in zip(claimed, results, strict=True):
        if result.conflict is not None:
            conflicts += insert_conflict(connection, result.conflict)
        if result.remote is not None:
            clock.raise_to(result.remote.updated_at)
        if result.rejected is not None:
            aside.append(result.rejected)
        sent = record.row.entity
        if not TABLES[sent.kind].mutable or result.rejected is not None:
            # A row that is not valid leaves the local one where it is: it is newer once it is valid.
            continue
        match _settlement(sent, result, edited_since=(sent.kind, sent.id) in edited):
            case Entity() as remote:
                adopt(connection, remote, redact)
            case int(version):
                versions[sent.kind].append((version, sent.id, version))
    for kind, raised in versions.items():
        connection.executemany(_SET_VERSION[kind], raised)
    sound = (
        row_key(record.row.entity) for record, result in zip(claimed, results, strict=True) if result.rejected is None
    )
    quarantine.remove(connection, sound)
    quarantine.store(connection, aside, now=parse_time(now))
    return conflicts


def _settlement(sent: Entity, result: ApplyResult, *, edited_since: bool) -> Entity | int | None:
    """How the local row comes into step with the central one: by adopting that row, by taking its version, or not yet.

    A row that was edited after it was sent is never overwritten.
    """
    remote = result.remote
    if remote is None or not edited_since:
        if remote is None or remote.updated_at < sent.updated_at:
            # The central row is what was sent, so the local row is based on it, edited since or not.
            return result.sync_version
        return remote
    # The later local edit was made without a central row that says something else: its base version stays behind, so
    # that the next delivery sees the conflict.
    return result.sync_version if same_content(sent, remote) else None
