"""The sync in memory: replicas as SQLite databases in memory, and a server that follows the apply protocol.

The local half is the program's own functions; of the central half the settling is. What is modelled is what the
statements do: head, ledger, compare-and-set, numbers.
"""

import sqlite3
from datetime import datetime
from typing import Any

import msgspec

from acode_tui.domain.clock import MonotonicClock, format_time
from acode_tui.domain.codec import content_digest, encode_payload
from acode_tui.domain.entities import Entity, Session, SessionTask
from acode_tui.domain.ids import new_id
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType, SessionState, WorkState
from acode_tui.storage.delivery_protocol import ApplyReply, ApplyResult, ApplyRow
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.ports import ClaimedRecord, Conflict
from acode_tui.storage.postgres.settle import RemoteRow, settle
from acode_tui.storage.sqlite.runs import row_writes
from acode_tui.storage.sqlite.sync import acknowledge, adopt, claim
from acode_tui.sync.conflict import ConflictResolver
from tests.sync.fake_time import NOON
from tests.sync.histories import FIELD, EditLog, RecordedEdit, Sync

Key = tuple[EntityType, str]
FAR = "9999-01-01T00:00:00.000000Z"


class ModelServer:
    """One workspace's rows, ledger and numbers."""

    def __init__(self) -> None:
        self.rows: dict[Key, Any] = {}
        self.numbers: dict[Key, int] = {}
        self.ledger: dict[str, bytes] = {}
        self.conflicts: list[Conflict] = []
        self.change_seq = 0

    def apply(self, batch: list[ApplyRow]) -> ApplyReply:
        self.change_seq += 1
        return ApplyReply(results=tuple(self._one(row) for row in batch), change_seq=self.change_seq)

    def _one(self, row: ApplyRow) -> ApplyResult:
        key = (row.kind, row.entity.id)
        there = self.rows.get(key)
        digest = content_digest(row.entity)
        fresh = row.idempotency_key not in self.ledger
        self.ledger.setdefault(row.idempotency_key, digest)
        in_step = there is None or (_version(there) == row.base and there.updated_at <= row.entity.updated_at)
        if fresh and in_step:
            return ApplyResult(record_id=row.record_id, outcome="applied", sync_version=self._write(row, row.base + 1))
        remote = None if there is None else self._seen(there)
        delivered = not fresh and self.ledger[row.idempotency_key] == digest
        decision = settle(row, remote, delivered=delivered, rules=ConflictResolver())
        found = self._conflict(row, there, decision.outcome) if decision.is_conflict else None
        version = max(row.base, 0 if there is None else _version(there)) + 1
        return ApplyResult(
            record_id=row.record_id,
            outcome=decision.outcome,
            sync_version=self._write(row, version) if there is None or decision.write else _version(there),
            remote=None if decision.write or remote is None else remote.entity,
            rejected=None if decision.write or remote is None else remote.rejected,
            conflict=found,
        )

    def _seen(self, there: Any) -> RemoteRow:
        """The row as a delivery reads it."""
        return RemoteRow(there, _version(there), "w")

    def _write(self, row: ApplyRow, version: int) -> int:
        key = (row.kind, row.entity.id)
        entity: Any = row.entity
        self.rows[key] = msgspec.structs.replace(entity, sync_version=version) if TABLES[row.kind].mutable else entity
        self.numbers[key] = self.change_seq
        return version

    def _conflict(self, row: ApplyRow, there: Any, outcome: str) -> Conflict:
        found = Conflict(
            id=new_id(),
            session_id=row.session_id,
            entity_type=row.kind,
            entity_id=row.entity.id,
            local_payload=msgspec.Raw(encode_payload(row.entity)),
            remote_payload=msgspec.Raw(encode_payload(there)),
            local_updated_at=row.entity.updated_at,
            remote_updated_at=there.updated_at,
            winner="local" if outcome == "conflict_local" else "remote",
            detected_at=NOON,
        )
        self.conflicts.append(found)
        return found

    def pull(self, after: int) -> list[Entity]:
        """Parents first."""
        return [self.rows[key] for kind in TABLES for key in self.rows if key[0] is kind and self.numbers[key] > after]


def _version(entity: Entity) -> int:
    """Events and artifacts never change."""
    return getattr(entity, "sync_version", 1)


class ModelReplica:
    """A workspace file in memory, its clock, and how far it pulled."""

    def __init__(self, number: int, connection: sqlite3.Connection, edit_log: EditLog) -> None:
        self.number = number
        self.connection = connection
        self.now: datetime = NOON
        self.cursor = 0
        self._edit_log = edit_log
        self._clock = MonotonicClock(lambda: self.now)

    def edit(self, kind: EntityType) -> None:
        self._clock.tick()
        text = self._edit_log.text(self.number, kind)
        (entity_id,) = self.connection.execute(f"SELECT id FROM {TABLES[kind].name}").fetchone()
        stored: Any = row_writes.require(self.connection, kind, entity_id)
        now = self._clock.tick()
        changed: Any = msgspec.structs.replace(row_writes.stamped(stored, now), **{FIELD[kind]: text})
        row_writes.update(self.connection, changed, now)
        self._edit_log.edits[text] = RecordedEdit(getattr(stored, FIELD[kind]), format_time(changed.updated_at))

    def sync(self, server: ModelServer, step: Sync) -> None:
        """As the drain does: one batch is acknowledged and the next but one claimed while another is delivered."""
        behind: tuple[tuple[ClaimedRecord, ...], ApplyReply] | None = None
        mishaps = iter([step])
        batch = self._claim(step)
        while batch:
            if behind is not None and not self._acknowledge(*behind, next(mishaps, None)):
                return
            ahead = self._claim(step, beside=batch)
            behind = batch, server.apply([record.row for record in batch])
            for record in batch:
                self._edit_log.note_delivery(record.row.entity)
            batch = ahead
        if behind is not None and not self._acknowledge(*behind, next(mishaps, None)):
            return
        if self._claim(step):
            self.sync(server, Sync(self.number, batch_size=step.batch_size))
            return
        self._pull(server)
        self.cursor = server.change_seq

    def _pull(self, server: ModelServer) -> None:
        adopt.adopt_pulled(self.connection, self._clock, server.pull(self.cursor))

    def _claim(self, step: Sync, beside: tuple[ClaimedRecord, ...] = ()) -> tuple[ClaimedRecord, ...]:
        claims = claim.claim(self.connection, now=FAR, max_records=step.batch_size, beside=beside)
        batch, lost = claim.load(self.connection, claims, max_bytes=1 << 20)
        assert not lost
        return batch

    def _acknowledge(self, batch: tuple[ClaimedRecord, ...], reply: ApplyReply, mishap: Sync | None) -> bool:
        """Acknowledge, unless the step crashes the replica; returns whether it acknowledged."""
        if mishap is not None and mishap.edit is not None:
            self.edit(mishap.edit)
        if mishap is not None and mishap.crash:
            return False
        acknowledge.acknowledge(
            self.connection,
            self._clock,
            batch,
            reply.results,
            now=format_time(self.now),
        )
        if reply.change_seq == self.cursor + 1:
            self.cursor = reply.change_seq
        return True

    def rows(self) -> dict[Key, Any]:
        found: dict[Key, Any] = {}
        for kind in FIELD:
            for (entity_id,) in self.connection.execute(f"SELECT id FROM {TABLES[kind].name}"):
                found[kind, entity_id] = row_writes.require(self.connection, kind, entity_id)
        return found


def first_replica() -> sqlite3.Connection:
    """An unsynced workspace with a session and a task."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for migration in packaged("sqlite"):
        connection.executescript(migration.sql)
    session = Session(
        id=new_id(),
        task_description="the first text",
        state=SessionState.CREATED,
        created_at=NOON,
        updated_at=NOON,
        workspace_id=new_id(),
    )
    task = SessionTask(
        id=new_id(),
        session_id=session.id,
        title="the first title",
        state=WorkState.PENDING,
        order=0,
        created_at=NOON,
        updated_at=NOON,
    )
    for entity in (session, task):
        row_writes.insert(connection, entity, NOON)
    return connection


def copy_of(connection: sqlite3.Connection) -> sqlite3.Connection:
    copy = sqlite3.connect(":memory:", isolation_level=None)
    connection.backup(copy)
    return copy
