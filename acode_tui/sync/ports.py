"""What the rest of the program asks of the sync worker, and the states that the worker can be in."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec

from acode_tui.domain.progress import ReportProgress


class SyncState(StrEnum):
    """Shown everywhere: dashboard, ``db status``, ``db sync status``, logs."""

    DISABLED = "disabled"
    MISCONFIGURED = "misconfigured"
    CONNECTING = "connecting"
    IDLE = "idle"
    SYNCING = "syncing"
    OFFLINE = "offline"
    AUTH_FAILED = "auth_failed"
    SCHEMA_MISMATCH = "schema_mismatch"
    READ_ONLY = "read_only"
    REMOTE_BEHIND = "remote_behind"
    PAUSED = "paused"
    STANDBY = "standby"
    STOPPED = "stopped"


class StateReason(NamedTuple):
    """A state of the worker, why it is in it, and what a person can do about it."""

    state: SyncState
    reason: str = ""
    hint: str = ""


class SyncStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The worker and its queue, for people and for ``--json``. ``reason`` and ``hint`` say why it is not idle, secrets
    redacted.

    ``rate`` is records per second over the current or last drain; ``target`` is ``host:port/database``, None where
    PostgreSQL is off or misconfigured. ``quarantined`` counts rows of the team's database that are kept aside;
    ``stamps_ahead_seconds`` is how far new stamps are ahead of every clock, 0 within what is allowed.
    """

    state: SyncState
    reason: str = ""
    hint: str = ""
    target: str | None = None
    database: str | None = None
    holder: str | None = None
    heartbeat_at: datetime | None = None
    pending: int = 0
    oldest_pending_at: datetime | None = None
    retrying: int = 0
    failed: int = 0
    conflicts: int = 0
    unreviewed_conflicts: int = 0
    duplicates: int = 0
    rate: float = 0.0
    last_sync_at: datetime | None = None
    next_attempt_at: datetime | None = None
    schema_version: str | None = None
    target_schema_version: str | None = None
    latency_ms: float | None = None
    clock_offset_ms: float | None = None
    quarantined: int = 0
    stamps_ahead_seconds: float = 0.0

    @property
    def switched_off_by(self) -> str | None:
        """The setting that switches the sync off; None unless the state is ``disabled``."""
        if self.state is not SyncState.DISABLED:
            return None
        return "persistence.postgres.enabled" if self.target is None else "persistence.sync.enabled"


class SyncReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one drain did. ``remaining`` counts the records that are still unprocessed, dead letters included."""

    synced: int = 0
    duplicates: int = 0
    superseded: int = 0
    conflicts: int = 0
    failed: int = 0
    remaining: int = 0
    duration_seconds: float = 0.0


class SyncService(Protocol):
    """The worker. Starting twice is harmless; stopping finishes the batch in flight."""

    @property
    def is_running(self) -> bool: ...

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Stop the worker and every sync that was asked for, within 10 s."""
        ...

    async def pause(self) -> None: ...

    async def resume(self) -> None: ...

    async def sync_now(self, *, batch_size: int | None = None, progress: ReportProgress | None = None) -> SyncReport:
        """Drain until nothing is due; ``progress`` receives records after every batch.

        Raises SyncError, or a more precise AcodeError, if the target is unusable.
        """
        ...

    async def status(self) -> SyncStatus: ...
