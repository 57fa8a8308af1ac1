"""Any sequence of writes, claims, replies, refusals and crashes delivers the newest version of each row.

The local half is the program's own functions over a database in memory, the server is that of ``model``. What holds
after every step: at most one record of a row waits unclaimed, and the server never gets a child before its parent. What
holds at the end: both sides have the same rows, each version was written once, and every conflict that was recorded is
one: neither of its versions is based on the other.
"""

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from acode_tui.domain.clock import MonotonicClock, format_time
from acode_tui.domain.entities import Entity, SessionEvent, SessionTask, Step
from acode_tui.domain.ids import new_id
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType, SessionState, WorkState
from acode_tui.storage.delivery_protocol import ApplyReply, ApplyRow
from acode_tui.storage.ports import ClaimedRecord
from acode_tui.storage.sqlite.rows import to_row
from acode_tui.storage.sqlite.runs import row_writes
from acode_tui.storage.sqlite.runs.read_graph import read_graph
from acode_tui.storage.sqlite.runs.save_graph import save_graph
from acode_tui.storage.sqlite.sync import acknowledge, adopt, claim, records, retention
from acode_tui.storage.sqlite.sync.records import RetryPolicy
from tests.sync.fake_time import NOON
from tests.sync.histories import EditLog, RecordedEdit
from tests.sync.model import ModelServer, copy_of, first_replica

NAME = {EntityType.SESSION: "task_description", EntityType.SESSION_TASK: "title", EntityType.STEP: "name"}
JSON_NAME = {"session": "taskDescription", "session_task": "title", "step": "name"}
MUTABLE = st.sampled_from(sorted(NAME))
_EMPTY = first_replica()

_UNCLAIMED = """
SELECT entity_type, entity_id, count(*) FROM outbox
WHERE processed_at IS NULL AND id NOT IN (SELECT record_id FROM outbox_claims) GROUP BY 1, 2 HAVING count(*) > 1
"""


class StrictServer(ModelServer):
    """A server with foreign keys, which notes every version that it writes."""

    def __init__(self) -> None:
        super().__init__()
        self.written: Counter[tuple[str, str]] = Counter()

    def _write(self, row: ApplyRow, version: int) -> int:
        entity: Any = row.entity
        parents = {
            EntityType.SESSION_EVENT: [(EntityType.SESSION, "session_id")],
            EntityType.SESSION_TASK: [(EntityType.SESSION, "session_id")],
            EntityType.STEP: [(EntityType.SESSION_TASK, "task_id")],
        }
        for kind, column in parents.get(row.kind, []):
            assert (kind, getattr(entity, column)) in self.rows, f"a {row.kind} came before its {kind}"
        self.written[row.idempotency_key, entity.id] += 1
        return super()._write(row, version)


class Folding(RuleBasedStateMachine):
    """One workspace and the server. A worker's memory is ``claimed`` and ``delivered``; a crash empties it."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = copy_of(_EMPTY)
        self.server = StrictServer()
        self.edit_log = EditLog()
        self.now = NOON
        self.clock = MonotonicClock(lambda: self.now)
        self.claimed: list[tuple[ClaimedRecord, ...]] = []
        self.delivered: list[tuple[tuple[ClaimedRecord, ...], ApplyReply]] = []
        self.cursor = 0

    def teardown(self) -> None:
        try:
            self.crash()
            self.retry()
            self._drain()
            self.pull()
            self._drain()
            self._check()
        finally:
            self.connection.close()

    # Writes

    @rule(kind=MUTABLE, data=st.data())
    def edit(self, kind: EntityType, data: st.DataObject) -> None:
        found = self._ids(kind)
        if not found:
            return
        stored: Any = row_writes.require(self.connection, kind, data.draw(st.sampled_from(found)))
        text, now = self.edit_log.text(0, kind), self._tick()
        changed: Any = msgspec.structs.replace(row_writes.stamped(stored, now), **{NAME[kind]: text})
        row_writes.update(self.connection, changed, now)
        self._note(kind, stored, text, changed)

    @rule(data=st.data(), count=st.integers(1, 3))
    def save_whole_graph(self, data: st.DataObject, count: int) -> None:
        """Several rows of a run change in one save, as an import of a grown transcript does."""
        (session_id,) = self._ids(EntityType.SESSION)
        graph = read_graph(self.connection, session_id)
        stamp = self._tick()
        tasks = list(graph.tasks)
        edits: list[tuple[Any, str]] = []
        for index in range(min(count, len(tasks))):
            text = self.edit_log.text(0, EntityType.SESSION_TASK)
            edits.append((tasks[index], text))
            tasks[index] = msgspec.structs.replace(tasks[index], title=text, updated_at=stamp)
        save_graph(self.connection, msgspec.structs.replace(graph, tasks=tuple(tasks)), self.clock)
        for former, text in edits:
            changed, _ = row_writes.load_with_session_stamp(self.connection, SessionTask, former.id)
            self._note(EntityType.SESSION_TASK, former, text, changed)

    @rule()
    def add_task(self) -> None:
        now = self._tick()
        task = SessionTask(
            id=new_id(),
            session_id=self._ids(EntityType.SESSION)[0],
            title="a task",
            state=WorkState.PENDING,
            order=0,
            created_at=now,
            updated_at=now,
        )
        row_writes.insert(self.connection, task, now)

    @rule(data=st.data())
    def add_step(self, data: st.DataObject) -> None:
        now = self._tick()
        step = Step(
            id=new_id(),
            session_id=self._ids(EntityType.SESSION)[0],
            task_id=data.draw(st.sampled_from(self._ids(EntityType.SESSION_TASK))),
            name="a step",
            state=WorkState.PENDING,
            order=0,
            created_at=now,
            updated_at=now,
        )
        row_writes.insert(self.connection, step, now)

    @rule()
    def add_event(self) -> None:
        now = self._tick()
        event = SessionEvent(
            id=new_id(),
            session_id=self._ids(EntityType.SESSION)[0],
            from_state=SessionState.CREATED,
            to_state=SessionState.PLANNING,
            reason="go",
            timestamp=now,
            created_at=now,
            updated_at=now,
        )
        row_writes.insert(self.connection, event, now)

    # The worker

    @precondition(lambda self: len(self.claimed) < 2)
    @rule(size=st.sampled_from([1, 2, 500]))
    def claim(self, size: int) -> None:
        """The next batch, or the one beside the batch in flight."""
        beside = self.claimed[0] if self.claimed else ()
        if self.claimed and self.delivered:
            return  # what was delivered is acknowledged first
        batch = self._claim(size, beside)
        if batch:
            self.claimed.append(batch)

    @precondition(lambda self: self.claimed)
    @rule()
    def deliver(self) -> None:
        if self.delivered:
            self.acknowledge()
        batch = self.claimed.pop(0)
        self.delivered.append((batch, self._apply(batch)))

    @precondition(lambda self: self.delivered)
    @rule()
    def acknowledge(self) -> None:
        batch, reply = self.delivered.pop(0)
        acknowledge.acknowledge(self.connection, self.clock, batch, reply.results, now=format_time(self.now))
        if reply.change_seq == self.cursor + 1:
            self.cursor = reply.change_seq

    @precondition(lambda self: self.claimed)
    @rule()
    def crash_after_delivery(self) -> None:
        """Also what a lost lease is: the batch arrived, and another worker goes on without its reply."""
        self._apply(self.claimed[0])
        self.crash()

    @rule()
    def crash(self) -> None:
        self.claimed, self.delivered = [], []

    @precondition(lambda self: self.claimed and not self.delivered)
    @rule(data=st.data(), dead=st.booleans())
    def refuse(self, data: st.DataObject, dead: bool) -> None:
        """The server refuses one record, unless it has it already; what was claimed beside is claimed again."""
        batch = self.claimed.pop(0)
        record = data.draw(st.sampled_from(batch))
        self.claimed = []
        if record.row.idempotency_key in self.server.ledger:
            return
        retry = RetryPolicy(delay=lambda attempt: 5.0)
        records.mark_failed(self.connection, record.oldest_id, "no", now=self.now, retry=retry, dead=dead)

    @rule()
    def retry(self) -> None:
        self.connection.execute("UPDATE outbox SET attempts = 0, next_attempt_at = NULL, failed_at = NULL")

    @precondition(lambda self: not self.claimed and not self.delivered)
    @rule()
    def queue_history(self) -> None:
        """A full re-send is left out: it sends rows that were pulled, which another machine may have changed since."""
        retention.queue_unsent(self.connection, self.clock, after="", limit=9, everything=False)

    # The other machine

    @rule(data=st.data())
    def edit_elsewhere(self, data: st.DataObject) -> None:
        """A replica that is in step with the server edits a row and sends it at once."""
        there = [key for key in self.server.rows if key[0] in NAME]
        if not there:
            return
        key = data.draw(st.sampled_from(sorted(there)))
        kind = key[0]
        row = self.server.rows[key]
        text = self.edit_log.text(1, kind)
        stamp = max(self._tick(), row.updated_at + timedelta(microseconds=1))
        self.clock.raise_to(stamp)
        self.server.change_seq += 1
        changed = msgspec.structs.replace(
            row, **{NAME[kind]: text}, updated_at=stamp, sync_version=row.sync_version + 1
        )
        self.server.rows[key], self.server.numbers[key] = changed, self.server.change_seq
        self._note(kind, row, text, changed)
        self.edit_log.delivered.add(text)

    @precondition(lambda self: not self.claimed and not self.delivered)
    @rule()
    def pull(self) -> None:
        adopt.adopt_pulled(self.connection, self.clock, self.server.pull(self.cursor))
        self.cursor = self.server.change_seq

    # What holds

    @invariant()
    def one_record_a_row_waits_unclaimed(self) -> None:
        assert self.connection.execute(_UNCLAIMED).fetchall() == []

    @invariant()
    def keys_are_of_the_newest_stamp(self) -> None:
        for kind in NAME:
            waiting = f"""
                SELECT t.id FROM {TABLES[kind].name} AS t WHERE EXISTS (
                    SELECT 1 FROM outbox WHERE entity_id = t.id AND processed_at IS NULL)
                AND NOT EXISTS (SELECT 1 FROM outbox
                    WHERE idempotency_key = '{kind.value}:' || t.id || ':' || t.updated_at AND processed_at IS NULL)
            """
            assert self.connection.execute(waiting).fetchall() == []

    @invariant()
    def no_conflict_is_false(self) -> None:
        for found in self.server.conflicts:
            name = JSON_NAME[found.entity_type]
            local, remote = (json.loads(bytes(p))[name] for p in (found.local_payload, found.remote_payload))
            # A session that was bumped since has a stamp of its own: an edit elsewhere is concurrent with that.
            edit = self.edit_log.edits.get(local)
            is_bumped = edit is not None and edit.stamp != format_time(found.local_updated_at)
            assert is_bumped or local not in self._ancestry(remote), f"{remote} is based on {local}"
            assert remote not in self._ancestry(local), f"{local} is based on {remote}"

    def _check(self) -> None:
        assert self.connection.execute("SELECT count(*) FROM outbox WHERE processed_at IS NULL").fetchone() == (0,)
        assert self.connection.execute("SELECT count(*) FROM outbox_claims").fetchone() == (0,)
        here: dict[tuple[EntityType, str], Entity] = {}
        for kind in TABLES:
            for entity_id in self._ids(kind):
                here[kind, entity_id] = row_writes.require(self.connection, kind, entity_id)
        assert here.keys() == self.server.rows.keys()
        for key, entity in here.items():
            assert to_row(entity) == to_row(self.server.rows[key])
        assert max(self.server.written.values()) == 1
        self.one_record_a_row_waits_unclaimed()
        self.no_conflict_is_false()

    # Helpers

    def _drain(self) -> None:
        while batch := self._claim(500):
            reply = self._apply(batch)
            acknowledge.acknowledge(self.connection, self.clock, batch, reply.results, now=format_time(self.now))
            if reply.change_seq == self.cursor + 1:
                self.cursor = reply.change_seq

    def _claim(self, size: int, beside: tuple[ClaimedRecord, ...] = ()) -> tuple[ClaimedRecord, ...]:
        claims = claim.claim(self.connection, now=format_time(self.now), max_records=size, beside=beside)
        batch, lost = claim.load(self.connection, claims, max_bytes=1 << 20)
        assert not lost
        return batch

    def _apply(self, batch: tuple[ClaimedRecord, ...]) -> ApplyReply:
        for record in batch:
            if record.row.kind in NAME:
                self.edit_log.delivered.add(getattr(record.row.entity, NAME[record.row.kind]))
        return self.server.apply([record.row for record in batch])

    def _ids(self, kind: EntityType) -> list[str]:
        return [row[0] for row in self.connection.execute(f"SELECT id FROM {TABLES[kind].name} ORDER BY id")]

    def _tick(self) -> Any:
        self.now += timedelta(seconds=1)
        return self.clock.tick()

    def _note(self, kind: EntityType, former: Any, text: str, changed: Any) -> None:
        self.edit_log.edits[text] = RecordedEdit(getattr(former, NAME[kind]), format_time(changed.updated_at))

    def _ancestry(self, text: str) -> set[str]:
        return self.edit_log.ancestry(text) - {text}


@pytest.mark.ac("AC-038")
@pytest.mark.ac("AC-042")
def test_folding_delivers_the_newest_version_of_each_row_once_and_in_order() -> None:
    run_state_machine_as_test(Folding, settings=settings(max_examples=90, stateful_step_count=40, deadline=None))


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_folding_in_many_more_histories() -> None:
    run_state_machine_as_test(
        Folding, settings=settings(max_examples=5_000, stateful_step_count=60, deadline=None, derandomize=False)
    )
