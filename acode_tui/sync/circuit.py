"""Whether the target is worth asking. A fault of the target opens the circuit; no record pays for it.

Faults that heal by themselves are probed with full jitter; the others wait for a person: a changed configuration or
somebody asking. Pure but for the random number it is given.
"""

from datetime import datetime, timedelta

from acode_tui.storage.postgres.fault import Fault
from acode_tui.sync.backoff import Random, probe_delay
from acode_tui.sync.classify import Verdict, classify, heals_itself, state_of
from acode_tui.sync.ports import SyncState


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
