"""How the worker stands, in words. Pure: conditions in, state, reason and hint out."""

from typing import NamedTuple

import msgspec

from acode_tui.config import PostgresTarget
from acode_tui.domain.errors import AcodeError
from acode_tui.storage.postgres.fault import Fault
from acode_tui.storage.sqlite.sync.journal import Shown, Standing
from acode_tui.storage.sqlite.sync.lease import Lease
from acode_tui.sync.ports import SyncState, SyncStatus
from acode_tui.sync.target import Off


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
    standing: Standing, live: Lease | None, condition: Condition, own: Shown, *, address: PostgresTarget | None
) -> SyncStatus:
    """The whole status. Where another process drains, its last heartbeat says why it is not idle, how fast it is."""
    told = describe(condition, live)
    shown = own
    if live is not None and live.token != condition.token and standing.shown is not None:
        # What this process found out itself, by a probe for instance, is fresher than a heartbeat.
        shown = standing.shown if own.latency_ms is None else msgspec.structs.replace(own, rate=standing.shown.rate)
        if told.state == standing.shown.state and standing.shown.reason:
            told = Told(told.state, standing.shown.reason, standing.shown.hint)
    told_of = None if standing.shown is None else standing.shown.last_sync_at
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
