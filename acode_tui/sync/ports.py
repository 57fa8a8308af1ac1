"""What the rest of the program asks of the sync worker, and the states it can be in."""

from datetime import datetime
from enum import StrEnum
from typing import Protocol

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


class SyncStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The worker at a glance. ``reason`` and ``hint`` say why it is not idle, secrets redacted.

    ``rate`` is records per second over the current or last drain; ``target`` is ``host:port/database``.
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


class SyncReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one drain did. ``remaining`` counts records still unprocessed, dead letters included."""

    synced: int = 0
    duplicates: int = 0
    superseded: int = 0
    conflicts: int = 0
    failed: int = 0
    remaining: int = 0
    duration_seconds: float = 0.0


class SyncService(Protocol):
    """The worker. Starting twice is harmless; stopping finishes the batch in hand."""

    @property
    def is_running(self) -> bool: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def pause(self) -> None: ...

    async def resume(self) -> None: ...

    async def sync_now(self, *, batch_size: int | None = None, progress: ReportProgress | None = None) -> SyncReport:
        """Drain until nothing is due; ``progress`` receives records after every batch.

        Raises SyncError, or a more precise AcodeError, if the target is unusable.
        """
        ...

    async def status(self) -> SyncStatus: ...
