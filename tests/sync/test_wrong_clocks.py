"""Replicas whose clocks were wrong by years: what is kept aside, what is repaired, and that they end up equal."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from hypothesis import example, given, settings
from hypothesis import strategies as st

from acode_tui.domain.clock import ALLOWED_AHEAD, MonotonicClock
from acode_tui.domain.entities import Entity
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.incoming import IncomingRules, StampAheadError
from acode_tui.domain.states import EntityType
from acode_tui.domain.validation import Limits
from acode_tui.storage.delivery_protocol import RejectedRow, row_key
from acode_tui.storage.postgres.settle import RemoteRow
from acode_tui.storage.sqlite.rows import to_row
from acode_tui.storage.sqlite.sync import adopt, quarantine
from acode_tui.storage.sqlite.sync.clock_repair import repair_clock
from tests.sync.fake_time import NOON
from tests.sync.histories import FIELD, REPLICAS, Edit, EditLog, Sync
from tests.sync.model import ModelReplica, ModelServer, copy_of, first_replica

YEAR = timedelta(days=400)
SESSION, TASK = EntityType.SESSION, EntityType.SESSION_TASK


class Wrong(NamedTuple):
    """The machine's clock runs 400 days ahead from now on, or is right again."""

    replica: int
    wrong: bool


class Repair(NamedTuple):
    """``db check --repair-clock`` on the machine."""

    replica: int


class TimedServer(ModelServer):
    """A server with a right clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now: datetime = NOON
        self.reader = NOON
        """The clock of the machine whose delivery is handled."""

    def judge(self, row: Entity, machine: datetime) -> Entity | RejectedRow:
        """A row as a machine reads it."""
        retry_at = None
        try:
            IncomingRules(limits=Limits(), wall=lambda: machine).check(row, server_time=self.now)
        except StampAheadError as error:
            retry_at, reason = error.valid_from, error.message
        except ValidationError as error:
            reason = error.message
        else:
            return row
        key = row_key(row)
        return RejectedRow(
            kind=row.kind, id=row.id, session_id=key.session_id, change_seq=0, reason=reason, retry_at=retry_at
        )

    def _seen(self, there: Any) -> RemoteRow:
        found = self.judge(there, self.reader)
        if isinstance(found, RejectedRow):
            return RemoteRow(None, there.sync_version, "w", found)
        return super()._seen(there)


class TimedReplica(ModelReplica):
    """A machine whose clock may be wrong. It counts from the server's."""

    def __init__(self, number: int, connection: Any, edit_log: EditLog, server: TimedServer) -> None:
        super().__init__(number, connection, edit_log)
        self.wrong_by = timedelta()
        self._server = server
        self._clock = MonotonicClock(lambda: server.now + self.wrong_by)

    @property
    def last(self) -> datetime:
        return self._clock.last

    def sync(self, server: ModelServer, step: Sync) -> None:
        self._server.reader = self.now = self._server.now + self.wrong_by
        super().sync(server, step)

    def repair(self) -> None:
        now = self._server.now
        repair_clock(self.connection, self._clock, now=now + self.wrong_by, server_time=now)

    def _pull(self, server: ModelServer) -> None:
        self._adopt(server.pull(self.cursor))
        while due := quarantine.due(self.connection, now=max(self.now, self._server.now), limit=100):
            self._adopt([server.rows[key.kind, key.id] for key in due])

    def _adopt(self, rows: list[Entity]) -> None:
        read = [self._server.judge(row, self.now) for row in rows]
        valid = [row for row in read if not isinstance(row, RejectedRow)]
        rejected = [row for row in read if isinstance(row, RejectedRow)]
        adopt.adopt_pulled(self.connection, self._clock, valid, rejected, now=self.now)


_replicas = st.integers(0, REPLICAS - 1)
_steps = st.one_of(
    st.builds(Edit, _replicas, st.sampled_from(sorted(FIELD))),
    st.builds(Sync, _replicas, st.booleans(), st.none() | st.sampled_from(sorted(FIELD)), st.sampled_from([1, 500])),
    st.builds(Wrong, _replicas, st.booleans()),
    st.builds(Repair, _replicas),
)


@settings(max_examples=80, deadline=None)
@given(history=st.lists(_steps, min_size=3, max_size=20))
@example(history=[Wrong(0, True), Edit(0, TASK), Sync(0), Wrong(0, False), Repair(0), Edit(0, SESSION), Sync(0)])
@example(history=[Wrong(0, True), Edit(0, TASK), Sync(0), Sync(1), Edit(1, TASK), Sync(1), Wrong(0, False), Sync(0)])
def test_machines_with_wrong_clocks_drag_no_other_along_and_end_up_equal(
    history: list[Edit | Sync | Wrong | Repair],
) -> None:
    server, first = TimedServer(), first_replica()
    ModelReplica(0, first, EditLog()).sync(server, Sync(0))
    replicas = [TimedReplica(number, copy_of(first), EditLog(), server) for number in range(REPLICAS)]
    for replica in replicas:
        replica.cursor = server.change_seq
    wrong_once = set()
    try:
        for step in history:
            replica = replicas[step.replica]
            server.now += timedelta(seconds=1)
            match step:
                case Edit(_, kind):
                    replica.edit(kind)
                case Sync():
                    replica.sync(server, step)
                case Wrong(number, wrong):
                    replica.wrong_by = YEAR if wrong else timedelta()
                    wrong_once.add(number)
                case Repair():
                    replica.repair()
            for number, each in enumerate(replicas):
                if number not in wrong_once:
                    assert each.last <= server.now + ALLOWED_AHEAD
        for replica in replicas:
            replica.wrong_by = timedelta()
            replica.repair()
            assert replica.last <= server.now + ALLOWED_AHEAD
        _settle(server, replicas)
        for key, row in server.rows.items():
            for replica in replicas:
                held = replica.rows()[key]
                if row.updated_at <= server.now + ALLOWED_AHEAD:
                    assert to_row(held) == to_row(row)
        # Once the time of the wrong clock has come, what was kept aside is read again.
        server.now += YEAR
        _settle(server, replicas)
        for replica in replicas:
            assert {key: to_row(row) for key, row in replica.rows().items()} == {
                key: to_row(row) for key, row in server.rows.items()
            }
            assert quarantine.count(replica.connection) == 0
    finally:
        for replica in replicas:
            replica.connection.close()
        first.close()


def _settle(server: TimedServer, replicas: list[TimedReplica]) -> None:
    for _ in range(2):
        for replica in replicas:
            replica.sync(server, Sync(replica.number))
