"""The state of the worker: its settings, what it does, what keeps it from working; and the status made of these."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from acode_tui.config import PostgresTarget, Settings
from acode_tui.domain.clock import WallClock, is_ahead
from acode_tui.domain.errors import AcodeError
from acode_tui.logs import get_logger
from acode_tui.storage.delivery_protocol import Fault
from acode_tui.storage.ports import Lease, SyncSnapshot, WorkerStatus
from acode_tui.sync.classify import Random, Verdict, classify, heals_itself, is_full, probe_delay, state_of
from acode_tui.sync.lease_holder import LeaseHolder
from acode_tui.sync.ports import StateReason, SyncState, SyncStatus
from acode_tui.sync.sharing import full_delay
from acode_tui.sync.target import TargetConnection

log = get_logger("acode_tui.sync")


class WorkerConditions(msgspec.Struct, frozen=True, kw_only=True):
    """What decides the state of a worker.

    ``unusable`` is why the settings name no target; ``other_lease`` is held by another worker instead of this one;
    ``fault`` is the target's and opened the circuit in ``fault_state``; ``local_error`` is the workspace's own.
    """

    token: str
    unusable: StateReason | None
    is_enabled: bool
    is_running: bool
    is_busy: bool
    is_paused: bool
    other_lease: Lease | None
    activity: SyncState | None
    fault: Fault | None
    fault_state: SyncState | None
    local_error: AcodeError | None


def explain(conditions: WorkerConditions, live: Lease | None) -> StateReason:
    """The state of this worker; of the holder of the ``live`` lease where this one does not run."""
    fault, unusable = conditions.fault, conditions.unusable
    is_idle = not (conditions.is_running or conditions.is_busy)
    is_others = is_idle and live is not None and live.token != conditions.token and live.state in tuple(SyncState)
    # The address may stand in the environment of the worker's service alone: then its own word counts.
    if unusable is not None and not (is_others and unusable.state is SyncState.MISCONFIGURED):
        return unusable
    if is_idle:
        if live is not None and is_others:
            return StateReason(SyncState(live.state), f"{live.holder} drains this workspace")
        if fault is None:
            return StateReason(SyncState.STOPPED, "no worker runs", "open the dashboard or run `acode-tui --headless`")
    elif not conditions.is_enabled and not conditions.is_busy:
        return StateReason(
            SyncState.DISABLED,
            "the worker is switched off (persistence.sync.enabled)",
            "send by hand with `acode-tui db sync now`, or switch it on",
        )
    if conditions.is_paused:
        return StateReason(SyncState.PAUSED, "the worker is paused", "press p to resume")
    if conditions.other_lease is not None:
        return StateReason(
            SyncState.STANDBY,
            f"{conditions.other_lease.holder} drains this workspace",
            "this worker takes over when that one ends",
        )
    if fault is not None and conditions.fault_state is not None:
        return StateReason(conditions.fault_state, fault.sentence, fault.hint)
    state = conditions.activity or SyncState.IDLE
    if conditions.local_error is not None:
        return StateReason(state, conditions.local_error.message, conditions.local_error.hint)
    return StateReason(state)


def make_status(
    snapshot: SyncSnapshot,
    live: Lease | None,
    conditions: WorkerConditions,
    own: WorkerStatus,
    *,
    address: PostgresTarget | None,
    now: datetime,
) -> SyncStatus:
    """The public status. Where another process drains, its last heartbeat brings the reason and the rate."""
    explained = explain(conditions, live)
    worker, stored = own, snapshot.worker
    if live is not None and live.token != conditions.token and stored is not None:
        # What this process found out itself, by a probe for instance, is fresher than a heartbeat.
        worker = stored if own.latency_ms is None else msgspec.structs.replace(own, rate=stored.rate)
        if explained.state == stored.state and stored.reason:
            explained = StateReason(explained.state, stored.reason, stored.hint)
    syncs = [own.last_sync_at, snapshot.last_sync_at, None if stored is None else stored.last_sync_at]
    outbox = snapshot.outbox
    return SyncStatus(
        state=explained.state,
        reason=explained.reason,
        hint=explained.hint,
        target=None if address is None else address.display,
        database=None if address is None else address.database,
        holder=None if live is None else live.holder,
        heartbeat_at=None if live is None else live.heartbeat_at,
        pending=outbox.pending,
        oldest_pending_at=outbox.oldest_pending_at,
        retrying=outbox.retrying,
        failed=outbox.failed,
        conflicts=snapshot.conflicts.total,
        unreviewed_conflicts=snapshot.conflicts.unreviewed,
        duplicates=snapshot.duplicates,
        rate=worker.rate,
        last_sync_at=max((at for at in syncs if at is not None), default=None),
        next_attempt_at=worker.next_attempt_at or outbox.next_attempt_at,
        schema_version=worker.schema_version,
        target_schema_version=own.target_schema_version,
        latency_ms=worker.latency_ms,
        clock_offset_ms=worker.clock_offset_ms,
        quarantined=snapshot.conflicts.quarantined,
        stamps_ahead_seconds=_stamps_ahead(snapshot.last_stamp, now, worker.clock_offset_ms or 0.0),
    )


def _stamps_ahead(last: datetime | None, now: datetime, offset_ms: float) -> float:
    """How far the workspace's clock is ahead of this machine's and the server's; 0 within what is allowed."""
    server = now + timedelta(milliseconds=offset_ms)
    if last is None or not is_ahead(last, now, server):
        return 0.0
    return (last - max(now, server)).total_seconds()


class Circuit:
    """Closed while the target works. Open, it holds the fault, and the time from which the target may be tried."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._failures = 0
        self.fault: Fault | None = None
        self.state: SyncState | None = None
        self.probe_at: datetime | None = None

    def trip(self, fault: Fault, *, now: datetime, interval_seconds: float) -> None:
        """Open, or stay open with one failure more. What gets here is the target's: a record's refusal was counted."""
        verdict = classify(msgspec.structs.replace(fault, before_batch=True))
        self._failures += 1
        self.fault = fault
        self.state = state_of(verdict) or SyncState.OFFLINE
        self.probe_at = None
        if heals_itself(verdict) or verdict is Verdict.RETRY_NOW:
            delay_of = full_delay if is_full(fault) else probe_delay
            delay = delay_of(self._failures, interval_seconds=interval_seconds, random=self._random)
            self.probe_at = now + timedelta(seconds=delay)

    def close(self) -> None:
        """The target works, or something has changed that makes it worth trying at once."""
        self._failures = 0
        self.fault = None
        self.state = None
        self.probe_at = None

    def may_try(self, now: datetime) -> bool:
        """Whether to use the target at ``now``."""
        return self.fault is None or (self.probe_at is not None and now >= self.probe_at)


class WorkerState:
    """Shared by the loop and its rounds. Starts out stopped, with the circuit closed."""

    def __init__(
        self,
        settings: Settings,
        target: TargetConnection,
        lease: LeaseHolder,
        *,
        is_running: Callable[[], bool],
        wall: WallClock,
        random: Random,
    ) -> None:
        self._target = target
        self._lease = lease
        self._is_running = is_running
        self._wall = wall
        self.settings = settings
        self.circuit = Circuit(random)
        self.stopping = False
        self.paused = False
        self.winding_down = False
        self.reconfiguring = False
        self.busy = asyncio.Lock()
        """Held while the target is used, or while the settings that name it change."""
        self.activity: SyncState | None = None
        self.local_error: AcodeError | None = None
        self.rate = 0.0
        self.synced_at: datetime | None = None

    def should_stop(self) -> bool:
        """Checked between batches and pages: whether this drain is to end."""
        return self.stopping or self.paused or self.reconfiguring or self.winding_down or self._lease.is_lost

    def is_switched_off(self) -> bool:
        """Whether the settings leave the worker nothing to do."""
        return self._target.unusable() is not None or not self.settings.persistence.sync.enabled

    def trip(self, fault: Fault) -> bool:
        """Open the circuit; returns whether its fault is another one than before."""
        before = self.circuit.fault
        interval = self.settings.persistence.sync.interval_seconds
        self.circuit.trip(fault, now=self._wall(), interval_seconds=interval)
        if before is not None and before.sentence == fault.sentence:
            return False
        state = str(self.circuit.state)
        log.warning("sync.state", code="ACODE-DB-005", state=state, reason=fault.sentence, hint=fault.hint)
        return True

    def conditions(self) -> WorkerConditions:
        """What decides the state at present."""
        return WorkerConditions(
            token=self._lease.token,
            unusable=self._target.unusable(),
            is_enabled=self.settings.persistence.sync.enabled,
            is_running=self._is_running(),
            is_busy=self.busy.locked(),
            is_paused=self.paused,
            other_lease=self._lease.other,
            activity=self.activity,
            fault=self.circuit.fault,
            fault_state=self.circuit.state,
            local_error=self.local_error,
        )

    def status(self) -> WorkerStatus:
        """What is stored with a heartbeat."""
        facts = self._target.facts
        explained = explain(self.conditions(), None)
        return WorkerStatus(
            state=explained.state.value,
            reason=explained.reason,
            hint=explained.hint,
            rate=self.rate,
            last_sync_at=self.synced_at,
            next_attempt_at=self.circuit.probe_at,
            schema_version=None if facts is None else facts.schema_version,
            target_schema_version=self._target.target_schema_version,
            latency_ms=None if facts is None else facts.latency * 1000,
            clock_offset_ms=None if facts is None else facts.clock_offset * 1000,
        )
