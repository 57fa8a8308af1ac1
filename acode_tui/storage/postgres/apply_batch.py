"""The apply protocol: delivers one batch in one transaction.

1. Increment the workspace's head; its row lock puts the batches of all replicas in one order.
2. Insert the keys into the ledger. A key that was there before has been delivered before.
3. Write each table with one statement, where the row still has the version that the record is based on.
4. Add the words of the rows to the search index.
5. Read the rows that were not written, decide about them (``settle``), write those that won, and record conflicts.

The number of round trips depends on which of these steps are needed, not on the number of records.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from acode_tui.domain.clock import ALLOWED_AHEAD, format_time
from acode_tui.domain.codec import encode_payload
from acode_tui.domain.entities import Entity
from acode_tui.domain.incoming import MAX_NUMBER, IncomingRules
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.delivery_protocol import (
    ApplyReply,
    ApplyResult,
    ApplyRow,
    ConflictRules,
    Fault,
    FaultKind,
    PostgresFault,
    RejectedRow,
    exhausted_fault,
)
from acode_tui.storage.ports import Conflict
from acode_tui.storage.postgres.apply_sql import ApplyStatements
from acode_tui.storage.postgres.batch_lexemes import Lexemes, lexemes_by_session, search_arrays, without_sent
from acode_tui.storage.postgres.errors import DRIVER_ERRORS, pruned_run
from acode_tui.storage.postgres.identifiers import Connection
from acode_tui.storage.postgres.incoming import read_incoming
from acode_tui.storage.postgres.lexemes import EDITED
from acode_tui.storage.postgres.prepared_batch import PreparedBatch, batch_arrays, sorted_by_id, write_arrays
from acode_tui.storage.postgres.rows import conflict_from_row
from acode_tui.storage.postgres.settle import Decision, RemoteRow, settle

CONFLICT_NAMESPACE = uuid.UUID("2c9c4f5e-4a53-5b0a-8f0e-6d1f3a8f5c71")
"""Namespace of conflict ids, which derive from the two versions: a repeated delivery records a conflict once."""


async def deliver(
    connection: Connection,
    statements: ApplyStatements,
    workspace_id: str,
    batch: Sequence[ApplyRow],
    *,
    incarnation: str,
    known_seq: int,
    rules: ConflictRules,
    incoming: IncomingRules,
    now: datetime,
    idle_timeout: float,
    only_as_based: bool = False,
    indexed: Collection[str] = (),
    sent_lexemes: Lexemes | None = None,
    delivery_type: "type[Delivery] | None" = None,
    prepared: PreparedBatch | None = None,
) -> ApplyReply:
    """Deliver a batch. ``idle_timeout`` in seconds; the server's rows that are read have to fulfil ``incoming``.

    ``delivery_type`` has the statements; without it they are those of a plain server. ``prepared`` is what ``prepare``
    made of this very batch, if it was called.

    ``only_as_based``: the batch is written as a whole, each row over the version that its record is based on, or
    nothing of it is and PostgresFault (OUTDATED) is raised. A batch that was delivered before is a duplicate.
    ``indexed`` are ids of rows whose texts are in the search index as they are. ``sent_lexemes`` are those that the
    sessions have in it for sure; they are not sent again, and those of this batch are added once it is committed.

    ``incarnation`` and ``known_seq`` are the head as the caller last saw it: PostgresFault (REMOTE_BEHIND) if the
    server's head differs or is lower. Errors of the driver are raised after a rollback. ValueError for a batch that is
    empty or has two records of one key or entity.
    """
    _require_distinct(batch)
    delivery = (delivery_type or Delivery)(connection, statements, workspace_id, rules, incoming, now)
    delivery.only_present = only_as_based
    delivery.prepared = prepared
    # Before the head is locked: a batch may have eight megabytes of text.
    if prepared is None:
        lexemes = await lexemes_by_session([row.entity for row in batch if row.entity.id not in indexed])
    else:
        lexemes = prepared.lexemes
    if sent_lexemes is not None:
        lexemes = without_sent(lexemes, sent_lexemes)
    milliseconds = max(1000, round(idle_timeout * 1000))
    # If this machine vanishes, the server must not hold the head's lock for as long as TCP believes in it.
    begin = f"BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = {milliseconds}"
    if delivery.writes_at_once:
        # The head is locked before the statement that writes takes its snapshot: what a pruning that had the lock
        # removed is then known to be pruned.
        begin = f"{begin}; {statements.lock_head.format(uuid.UUID(workspace_id))}"
    await connection.execute(begin)
    try:
        change_seq = await delivery.write(batch, lexemes, incarnation, known_seq)
        settle_rest = delivery.require_all if only_as_based else delivery.settle_rest
        results = await settle_rest(batch, change_seq)
    except (*DRIVER_ERRORS, PostgresFault):
        try:
            await connection.execute("ROLLBACK")
        except DRIVER_ERRORS:
            # The server rolls back when the connection is gone. The first error is the one that says why.
            connection.terminate()
        raise
    await connection.execute("COMMIT")
    if sent_lexemes is not None:
        for session_id, found in lexemes.items():
            sent_lexemes.setdefault(session_id, {}).update(found)
    return ApplyReply(results=results, change_seq=change_seq)


def _require_distinct(batch: Sequence[ApplyRow]) -> None:
    if not batch:
        raise ValueError("an empty batch")
    if len({row.idempotency_key for row in batch}) != len(batch):
        raise ValueError("two records of one key in a batch")
    if len({(row.entity.kind, row.entity.id) for row in batch}) != len(batch):
        raise ValueError("two records of one entity in a batch: coalesce them first")


_SETTLED_PART = 1 << 20
"""The first part of what is added after settling; a batch's own parts have smaller numbers."""


class Delivery:
    """The state of one delivery."""

    writes_at_once = True
    """Whether one statement updates the head and looks for pruned sessions, so that both have one snapshot."""

    def __init__(
        self,
        connection: Connection,
        statements: ApplyStatements,
        workspace_id: str,
        rules: ConflictRules,
        incoming: IncomingRules,
        now: datetime,
    ) -> None:
        self.only_present = False
        """Whether the statement has the tables that the batch has rows of, and not always all of them."""
        self.prepared: PreparedBatch | None = None
        self._connection = connection
        self._sql = statements
        self._workspace_id = workspace_id
        self._rules = rules
        self._incoming = incoming
        self._latest_time = now
        self._now = now
        self._new_keys: set[str] = set()
        self._edited: set[str] = set()
        self._written: dict[tuple[EntityType, str], int] = {}

    async def write(self, batch: Sequence[ApplyRow], lexemes: Lexemes, incarnation: str, known_seq: int) -> int:
        """Head, ledger, first writes and search index in one statement. Returns the batch's ``change_seq``."""
        prepared = self.prepared or PreparedBatch(
            *batch_arrays(batch, self._rules, only_present=self.only_present), lexemes
        )
        arguments = [self._workspace_id, incarnation, known_seq, *prepared.arrays, *search_arrays(lexemes)]
        change_seq: int | None = None
        for what, names, numbers in await self._connection.fetch(self._sql.fused(prepared.kinds), *arguments):
            if what == "head":
                (change_seq,) = numbers or (None,)
            elif what == "ledger":
                self._new_keys.update(names or ())
            elif what == "edited":
                self._edited.update(names or ())
            elif names:
                kind = EntityType(what)
                self._written.update(((kind, name), number) for name, number in zip(names, numbers, strict=True))
        return await self._require_head(change_seq)

    async def _add_lexemes(self, lexemes: Lexemes, change_seq: int, *, first_part: int = 0) -> None:
        """Add to the search index what the sessions do not have yet, and which of them were edited."""
        for session_id in self._edited:
            lexemes.setdefault(session_id, {})[EDITED] = None
        self._edited.clear()
        if not lexemes:
            return
        await self._write_lexemes(lexemes, change_seq, first_part)

    async def _write_lexemes(self, lexemes: Lexemes, change_seq: int, first_part: int) -> None:
        arrays = search_arrays(lexemes, first_part=first_part)
        await self._connection.execute(self._sql.search, change_seq, self._workspace_id, *arrays)

    async def _require_head(self, change_seq: int | None) -> int:
        """The number that the head gave. Raises PostgresFault where it gave none."""
        if change_seq is not None:
            return change_seq
        head = await self._connection.fetchval(self._sql.number, self._workspace_id)
        if head is not None and head >= MAX_NUMBER:
            raise PostgresFault(exhausted_fault())
        raise PostgresFault(
            Fault(
                kind=FaultKind.REMOTE_BEHIND,
                sentence="the team's database was reset or restored: it lacks changes that this workspace has sent",
                hint="run `acode-tui db sync --full` to send everything again",
            )
        )

    def _note_written(self, kind: EntityType, rows: Sequence[asyncpg.Record]) -> None:
        for row in rows:
            self._written[kind, str(row["id"])] = row["sync_version"]

    async def require_all(self, batch: Sequence[ApplyRow], change_seq: int) -> tuple[ApplyResult, ...]:
        """Results in the batch's order where the first write touched all rows, or the ledger had all keys before it.

        Raises PostgresFault, also for a pruned session: a laptop keeps what it sends, but this caller has no copy.
        """
        if all((row.kind, row.entity.id) in self._written for row in batch):
            return await self.settle_rest(batch, change_seq)
        if pruned := await self._find_pruned(batch):
            raise PostgresFault(pruned_run(min(pruned)))
        delivered, _ = await self._find_delivered(batch) if not self._new_keys else (set(), None)
        if len(delivered) < len(batch):
            raise PostgresFault(
                Fault(kind=FaultKind.OUTDATED, sentence="another process changed a row since it was read")
            )
        return tuple(
            ApplyResult(record_id=row.record_id, outcome="duplicate", sync_version=row.base + 1) for row in batch
        )

    async def settle_rest(self, batch: Sequence[ApplyRow], change_seq: int) -> tuple[ApplyResult, ...]:
        """Decide about the rows that the first write did not touch, and return all results in the batch's order."""
        rest = [row for row in batch if (row.entity.kind, row.entity.id) not in self._written]
        if not rest:
            if self._edited:
                await self._add_lexemes({}, change_seq, first_part=_SETTLED_PART)
            return tuple(
                ApplyResult(
                    record_id=row.record_id,
                    outcome="applied",
                    sync_version=self._written[row.entity.kind, row.entity.id],
                )
                for row in batch
            )
        pruned = await self._find_pruned([row for row in rest if row.idempotency_key not in self._new_keys])
        rest = [row for row in rest if row.session_id not in pruned]
        remote = await self._read_remote(rest)
        delivered, recorded = await self._find_delivered(rest)
        others: list[Entity] = []
        decisions: dict[int, Decision] = {}
        conflicts: dict[int, Conflict] = {}
        for position, row in enumerate(batch):
            if (row.kind, row.entity.id) in self._written or row.session_id in pruned:
                continue
            there = remote.get((row.kind, row.entity.id))
            decision = settle(row, there, delivered=row.idempotency_key in delivered, rules=self._rules)
            decisions[position] = decision
            if _is_conflict(decision, there):
                assert there is not None
                conflicts[position] = self._conflict(row, there, decision)
            elif decision.outcome == "duplicate" and row.idempotency_key in recorded:
                conflicts[position] = recorded[row.idempotency_key]
        await self._rewrite([batch[position] for position, made in decisions.items() if made.write], remote, change_seq)
        for position in decisions:
            row = batch[position]
            there = remote.get((row.kind, row.entity.id))
            if there is None or (there.entity is not None and self._rules.same_content(row.entity, there.entity)):
                continue
            self._edited.add(row.session_id)
            if there.entity is not None:
                # The index has the words of both, the row of one. A full re-send to an index that was lost begins
                # with old versions too, so the words of the row that stays are added here.
                others.append(there.entity)
        await self._add_lexemes(await lexemes_by_session(others), change_seq, first_part=_SETTLED_PART)
        fresh = [
            (batch[position], conflicts[position])
            for position, made in decisions.items()
            if position in conflicts and made.outcome != "duplicate"
        ]
        if fresh:
            await self._record_conflicts(fresh)
        return tuple(
            ApplyResult(record_id=row.record_id, outcome="duplicate", sync_version=max(row.base, 1))
            if row.session_id in pruned
            else self._result(row, decisions.get(position), conflicts.get(position), remote)
            for position, row in enumerate(batch)
        )

    def _result(
        self,
        row: ApplyRow,
        decision: Decision | None,
        conflict: Conflict | None,
        remote: dict[tuple[EntityType, str], RemoteRow],
    ) -> ApplyResult:
        key = (row.kind, row.entity.id)
        there = remote.get(key)
        if decision is None or decision.write:
            return ApplyResult(
                record_id=row.record_id,
                outcome=decision.outcome if decision is not None else "applied",
                sync_version=self._written[key],
                conflict=conflict,
            )
        assert there is not None
        return ApplyResult(
            record_id=row.record_id,
            outcome=decision.outcome,
            sync_version=there.version,
            remote=there.entity,
            conflict=conflict,
            rejected=there.rejected,
        )

    async def _read_remote(self, rows: Sequence[ApplyRow]) -> dict[tuple[EntityType, str], RemoteRow]:
        """The server's rows of these records, one statement for each table that occurs."""
        found: dict[tuple[EntityType, str], RemoteRow] = {}
        for kind in TABLES:
            ids = sorted(row.entity.id for row in rows if row.kind is kind)
            if not ids:
                continue
            sessions = sorted({row.session_id for row in rows if row.kind is kind})
            arguments = [ids] if kind is EntityType.SESSION else [sessions, ids]
            for record in await self._connection.fetch(self._sql.read[kind], *arguments):
                self._latest_time = max(self._latest_time, record["server_time"])
                entity = read_incoming(kind, record, self._incoming)
                owner = str(record["workspace_id"])
                if isinstance(entity, RejectedRow):
                    version = _sound_version(record) if TABLES[kind].mutable else 1
                    found[kind, entity.id] = RemoteRow(None, version, owner, entity)
                else:
                    found[kind, entity.id] = RemoteRow(entity, getattr(entity, "sync_version", 1), owner)
        return found

    async def _find_pruned(self, rows: Sequence[ApplyRow]) -> set[str]:
        """The sessions of these records that were removed because of their age: the workspaces keep theirs."""
        if not rows:
            return set()
        sessions = sorted({row.session_id for row in rows})
        return {str(found["session_id"]) for found in await self._connection.fetch(self._sql.pruned, sessions)}

    async def _find_delivered(self, rows: Sequence[ApplyRow]) -> tuple[set[str], dict[str, Conflict]]:
        """The keys that the ledger contains with the same payload, and the conflicts recorded for keys it contains."""
        old = [row for row in rows if row.idempotency_key not in self._new_keys]
        if not old:
            return set(), {}
        arguments = (sorted({row.session_id for row in old}), [row.idempotency_key for row in old])
        digests = {
            record["idempotency_key"]: record["payload_sha256"]
            for record in await self._connection.fetch(self._sql.delivered, *arguments)
        }
        same = {
            row.idempotency_key
            for row in old
            if digests.get(row.idempotency_key) == self._rules.content_digest(row.entity)
        }
        recorded = {
            record["idempotency_key"]: conflict_from_row(record)
            for record in await self._connection.fetch(self._sql.conflicts, *arguments)
        }
        return same, recorded

    async def _rewrite(
        self, rows: Sequence[ApplyRow], remote: dict[tuple[EntityType, str], RemoteRow], change_seq: int
    ) -> None:
        """Write the rows that won. A row that another workspace owns gets its number from that workspace's head."""
        if not rows:
            return
        owners = {
            (row.kind, row.entity.id): there.workspace_id if (there := remote.get((row.kind, row.entity.id))) else None
            for row in rows
        }
        heads = {self._workspace_id: change_seq}
        others = sorted({owner for owner in owners.values() if owner is not None} - set(heads))
        if others:
            for record in await self._connection.fetch(self._sql.raise_heads, others):
                heads[str(record["id"])] = record["change_seq"]
        for kind in TABLES:
            mine = sorted_by_id(row for row in rows if row.kind is kind)
            if not mine:
                continue
            keys = [(row.kind, row.entity.id) for row in mine]
            versions = [
                max(row.base, there.version if (there := remote.get(key)) else 0) + 1
                for row, key in zip(mine, keys, strict=True)
            ]
            owner_of = [owners[key] or self._workspace_id for key in keys]
            # An owner without a head was deleted by hand. No replica pulls its rows, so any number is correct.
            numbers = [heads.get(owner, change_seq) for owner in owner_of]
            self._note_written(kind, await self._rewrite_rows(kind, mine, versions, owner_of, numbers))
            if any(key not in self._written for key in keys):
                # Another workspace changed a shared row between the read and this write.
                raise PostgresFault(
                    Fault(kind=FaultKind.CONTENDED, sentence="another machine changed a row at the same time")
                )

    async def _rewrite_rows(
        self,
        kind: EntityType,
        rows: Sequence[ApplyRow],
        versions: Sequence[int],
        owners: Sequence[str],
        numbers: Sequence[int],
    ) -> Sequence[asyncpg.Record]:
        arguments: list[Any] = [*write_arrays(kind, rows, versions), owners, numbers]
        if TABLES[kind].mutable:
            arguments.append(self._latest_stamp)
        written: Sequence[asyncpg.Record] = await self._connection.fetch(self._sql.rewrite[kind], *arguments)
        return written

    @property
    def _latest_stamp(self) -> datetime:
        """The latest stamp that a row may have."""
        return self._latest_time + ALLOWED_AHEAD

    def _conflict(self, row: ApplyRow, there: RemoteRow, decision: Decision) -> Conflict:
        local, remote = row.entity, there.entity
        assert remote is not None
        name = "\x1f".join(
            (
                row.kind.value,
                local.id,
                self._rules.content_digest(local).hex(),
                format_time(local.updated_at),
                self._rules.content_digest(remote).hex(),
                format_time(remote.updated_at),
            )
        )
        return Conflict(
            id=str(uuid.uuid5(CONFLICT_NAMESPACE, name)),
            session_id=row.session_id,
            entity_type=row.kind,
            entity_id=local.id,
            local_payload=msgspec.Raw(encode_payload(local)),
            remote_payload=msgspec.Raw(encode_payload(remote)),
            local_updated_at=local.updated_at,
            remote_updated_at=remote.updated_at,
            winner="local" if decision.outcome == "conflict_local" else "remote",
            detected_at=self._now,
        )

    async def _record_conflicts(self, conflicts: Sequence[tuple[ApplyRow, Conflict]]) -> None:
        await self._connection.execute(
            self._sql.add_conflicts,
            self._workspace_id,
            self._now,
            [conflict.id for _, conflict in conflicts],
            [conflict.session_id for _, conflict in conflicts],
            [conflict.entity_type.value for _, conflict in conflicts],
            [conflict.entity_id for _, conflict in conflicts],
            [row.idempotency_key for row, _ in conflicts],
            [bytes(conflict.local_payload).decode() for _, conflict in conflicts],
            [bytes(conflict.remote_payload).decode() for _, conflict in conflicts],
            [conflict.local_updated_at for _, conflict in conflicts],
            [conflict.remote_updated_at for _, conflict in conflicts],
            [conflict.winner for _, conflict in conflicts],
        )


def _is_conflict(decision: Decision, there: RemoteRow | None) -> bool:
    """Whether two versions of a row meet that are both valid."""
    return decision.is_conflict and there is not None and there.entity is not None


def _sound_version(record: Mapping[str, Any]) -> int:
    """The version of a row that is not valid; 0 where that is not valid either."""
    version: int = record["sync_version"]
    return version if 0 <= version <= MAX_NUMBER else 0


SentRecord = tuple[str, str, str, datetime, str]
"""Kind, session id, id, stamp and idempotency key."""


async def held_otherwise(
    connection: Connection, statements: ApplyStatements, records: Sequence[SentRecord]
) -> list[int]:
    """The places of those records that the server had although the ledger lacks their keys, for it was pruned."""
    asked = [list(column) for column in zip(*records, strict=True)]
    return [row["number"] - 1 for row in await connection.fetch(statements.held_otherwise, *asked[:4])]
