"""What the worker knows of itself: what it was told, what it is doing, what is in its way; and how that is shown.

One object that the loop and the exchange share.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from acode_tui.config import PostgresTarget, Settings
from acode_tui.domain.clock import WallClock
from acode_tui.domain.errors import AcodeError
from acode_tui.logs import get_logger
from acode_tui.storage.delivery_protocol import Fault
from acode_tui.storage.ports import Lease, SyncSnapshot, WorkerStatus
from acode_tui.sync.classify import Random, Verdict, classify, heals_itself, probe_delay, state_of
from acode_tui.sync.lease_holder import Tenure
from acode_tui.sync.ports import SyncState, SyncStatus
from acode_tui.sync.target import Link, Off


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """What decides the state. ``rival`` holds the lease instead of this worker; ``trouble`` is the workspace's own."""

    token: str
    off: Off | None
    is_enabled: bool
    is_running: bool
    is_busy: bool
    is_paused: bool
    rival: Lease | None
    activity: SyncState | None
    fault: Fault | None
    fault_state: SyncState | None
    trouble: AcodeError | None


class Told(NamedTuple):
    """A state, why, and what to do about it."""

    state: SyncState
    reason: str = ""
    hint: str = ""


def describe(condition: Condition, live: Lease | None) -> Told:
    """The state of this worker; of the one behind the ``live`` lease where this one does not run."""
    if condition.off is not None:
        return Told(*condition.off)
    fault = condition.fault
    if not (condition.is_running or condition.is_busy):
        if live is not None and live.token != condition.token and live.state in tuple(SyncState):
            return Told(SyncState(live.state), f"{live.holder} drains this workspace")
        if fault is None:
            return Told(SyncState.STOPPED, "no worker runs", "open the dashboard or run `acode-tui --headless`")
    elif not condition.is_enabled and not condition.is_busy:
        return Told(
            SyncState.DISABLED,
            "the worker is switched off (persistence.sync.enabled)",
            "send by hand with `acode-tui db sync now`, or switch it on",
        )
    if condition.is_paused:
        return Told(SyncState.PAUSED, "the worker is paused", "press p to resume")
    if condition.rival is not None:
        return Told(
            SyncState.STANDBY, f"{condition.rival.holder} drains this workspace", "it is taken over when that one ends"
        )
    if fault is not None and condition.fault_state is not None:
        return Told(condition.fault_state, fault.sentence, fault.hint)
    state = condition.activity or SyncState.IDLE
    if condition.trouble is not None:
        return Told(state, condition.trouble.message, condition.trouble.hint)
    return Told(state)


def status_of(
    standing: SyncSnapshot,
    live: Lease | None,
    condition: Condition,
    own: WorkerStatus,
    *,
    address: PostgresTarget | None,
) -> SyncStatus:
    """The whole status. Where another process drains, its last heartbeat says why it is not idle, how fast it is."""
    told = describe(condition, live)
    shown = own
    if live is not None and live.token != condition.token and standing.worker is not None:
        # What this process found out itself, by a probe for instance, is fresher than a heartbeat.
        shown = standing.worker if own.latency_ms is None else msgspec.structs.replace(own, rate=standing.worker.rate)
        if told.state == standing.worker.state and standing.worker.reason:
            told = Told(told.state, standing.worker.reason, standing.worker.hint)
    told_of = None if standing.worker is None else standing.worker.last_sync_at
    synced = [own.last_sync_at, standing.last_sync_at, told_of]
    outbox = standing.outbox
    return SyncStatus(
        state=told.state,
        reason=told.reason,
        hint=told.hint,
        target=None if address is None else address.display,
        database=None if address is None else address.database,
        holder=None if live is None else live.holder,
        heartbeat_at=None if live is None else live.heartbeat_at,
        pending=outbox.pending,
        oldest_pending_at=outbox.oldest_pending_at,
        retrying=outbox.retrying,
        failed=outbox.failed,
        conflicts=standing.conflicts.total,
        unreviewed_conflicts=standing.conflicts.unreviewed,
        duplicates=standing.duplicates,
        rate=shown.rate,
        last_sync_at=max((at for at in synced if at is not None), default=None),
        next_attempt_at=shown.next_attempt_at or outbox.next_attempt_at,
        schema_version=shown.schema_version,
        target_schema_version=own.target_schema_version,
        latency_ms=shown.latency_ms,
        clock_offset_ms=shown.clock_offset_ms,
    )


class Circuit:
    """Closed while the target works. Open, it knows why, and from when it may be tried again."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._failures = 0
        self.fault: Fault | None = None
        self.state: SyncState | None = None
        self.probe_at: datetime | None = None

    def trip(self, fault: Fault, *, now: datetime, interval_seconds: float) -> None:
        """Open, or stay open with one failure more."""
        verdict = classify(fault)
        self._failures += 1
        self.fault = fault
        self.state = state_of(verdict) or SyncState.OFFLINE
        self.probe_at = None
        if heals_itself(verdict) or verdict is Verdict.RETRY_NOW:
            delay = probe_delay(self._failures, interval_seconds=interval_seconds, random=self._random)
            self.probe_at = now + timedelta(seconds=delay)

    def close(self) -> None:
        """The target works, or something has changed that makes it worth trying at once."""
        self._failures = 0
        self.fault = None
        self.state = None
        self.probe_at = None

    def may_try(self, now: datetime) -> bool:
        """Whether to ask the target now."""
        return self.fault is None or (self.probe_at is not None and now >= self.probe_at)


log = get_logger("acode_tui.sync")


class Situation:
    """Starts out stopped, with nothing in the way."""

    def __init__(
        self,
        settings: Settings,
        link: Link,
        tenure: Tenure,
        *,
        is_running: Callable[[], bool],
        wall: WallClock,
        random: Random,
    ) -> None:
        self._link = link
        self._tenure = tenure
        self._is_running = is_running
        self._wall = wall
        self.settings = settings
        self.circuit = Circuit(random)
        self.stopping = False
        self.paused = False
        self.winding_down = False
        self.changing = False
        """Whether other settings are being taken over."""
        self.busy = asyncio.Lock()
        """Held by whoever works with the target or changes what it is."""
        self.activity: SyncState | None = None
        self.trouble: AcodeError | None = None
        self.rate = 0.0
        self.synced_at: datetime | None = None

    def should_stop(self) -> bool:
        """Asked between batches and pages: whether somebody wants this drain to end."""
        return self.stopping or self.paused or self.changing or self.winding_down or self._tenure.is_lost

    def resting_place(self) -> SyncState | None:
        """The state of a worker that its settings give nothing to do; None if there is something."""
        off = self._link.off()
        if off is not None:
            return off.state
        return None if self.settings.persistence.sync.enabled else SyncState.DISABLED

    def trip(self, fault: Fault) -> bool:
        """Open the circuit; answers whether that is another state than before."""
        before = self.circuit.fault
        interval = self.settings.persistence.sync.interval_seconds
        self.circuit.trip(fault, now=self._wall(), interval_seconds=interval)
        if before is not None and before.sentence == fault.sentence:
            return False
        state = str(self.circuit.state)
        log.warning("sync.state", code="ACODE-DB-005", state=state, reason=fault.sentence, hint=fault.hint)
        return True

    def state(self) -> SyncState:
        """In one word."""
        return describe(self.condition(), None).state

    def condition(self) -> Condition:
        """What decides the state."""
        return Condition(
            token=self._tenure.token,
            off=self._link.off(),
            is_enabled=self.settings.persistence.sync.enabled,
            is_running=self._is_running(),
            is_busy=self.busy.locked(),
            is_paused=self.paused,
            rival=self._tenure.rival,
            activity=self.activity,
            fault=self.circuit.fault,
            fault_state=self.circuit.state,
            trouble=self.trouble,
        )

    def shown(self) -> WorkerStatus:
        """What goes with a heartbeat."""
        facts = self._link.facts
        told = describe(self.condition(), None)
        return WorkerStatus(
            state=told.state.value,
            reason=told.reason,
            hint=told.hint,
            rate=self.rate,
            last_sync_at=self.synced_at,
            next_attempt_at=self.circuit.probe_at,
            schema_version=None if facts is None else facts.schema_version,
            target_schema_version=self._link.target_schema_version,
            latency_ms=None if facts is None else facts.latency * 1000,
            clock_offset_ms=None if facts is None else facts.clock_offset * 1000,
        )
