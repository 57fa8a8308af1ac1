"""What the worker knows of itself: what it was told, what it is doing, what is in its way; and how that is shown.

One object that the loop and the exchange share.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

from acode_tui.config import Settings
from acode_tui.domain.clock import WallClock
from acode_tui.domain.errors import AcodeError
from acode_tui.logs import get_logger
from acode_tui.storage.postgres.fault import Fault
from acode_tui.storage.sqlite.sync.journal import Shown
from acode_tui.sync.backoff import Random
from acode_tui.sync.circuit import Circuit
from acode_tui.sync.lease_holder import Tenure
from acode_tui.sync.ports import SyncState
from acode_tui.sync.standing import Condition, describe
from acode_tui.sync.target import Link, target_version

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

    def shown(self) -> Shown:
        """What goes with a heartbeat."""
        facts = self._link.facts
        told = describe(self.condition(), None)
        return Shown(
            state=told.state.value,
            reason=told.reason,
            hint=told.hint,
            rate=self.rate,
            last_sync_at=self.synced_at,
            next_attempt_at=self.circuit.probe_at,
            schema_version=None if facts is None else facts.schema_version,
            target_schema_version=target_version(),
            latency_ms=None if facts is None else facts.latency * 1000,
            clock_offset_ms=None if facts is None else facts.clock_offset * 1000,
        )
