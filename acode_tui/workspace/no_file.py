"""The parts of a workspace that there are only beside a file: without one, nothing waits to be sent or was imported."""

from collections.abc import Sequence
from typing import Any

from acode_tui.domain.errors import AcodeError, ConfigError, NotFoundError
from acode_tui.domain.progress import ReportProgress
from acode_tui.domain.states import EntityType
from acode_tui.storage.ports import (
    Conflict,
    ConflictCounts,
    OutboxRecord,
    OutboxStats,
    OutboxStatus,
    QuarantinedRow,
    SaveResult,
    TranscriptFile,
)
from acode_tui.sync.ports import SyncReport, SyncState, SyncStatus


def needs_file(what: str = "this command") -> AcodeError:
    """The error of an operation on a workspace file where there is none."""
    return ConfigError(
        f"{what} needs a workspace file, and the runs are in PostgreSQL itself",
        hint="give the folder of a workspace with --workspace",
    )


class NoOutbox:
    """``Outbox`` where each write is in the team's database before it is answered."""

    async def enqueue(self, kind: EntityType, entity_id: str) -> OutboxRecord:
        raise needs_file("an outbox")

    async def get_pending(self, limit: int) -> tuple[OutboxRecord, ...]:
        return ()

    async def mark_processed(self, record_id: int, outcome: str = "applied") -> None:
        raise _no_record(record_id)

    async def mark_failed(self, record_id: int, error: str, *, dead: bool = False, token: str | None = None) -> bool:
        raise _no_record(record_id)

    async def pending_count(self) -> int:
        return 0

    async def stats(self) -> OutboxStats:
        return OutboxStats()

    async def get(self, record_id: int) -> OutboxRecord:
        raise _no_record(record_id)

    async def last_refused(self) -> OutboxRecord | None:
        return None

    async def list(
        self, *, status: OutboxStatus = "pending", limit: int = 100, after: OutboxRecord | None = None
    ) -> tuple[OutboxRecord, ...]:
        return ()

    async def retry(self, record_ids: Sequence[int] | None = None) -> tuple[int, ...]:
        return ()

    async def discard(self, record_ids: Sequence[int]) -> int:
        return 0


class NoConflicts:
    """``ConflictLog`` where no second version of a row can come to be."""

    async def counts(self) -> ConflictCounts:
        return ConflictCounts()

    async def list(
        self, *, unreviewed_only: bool = False, limit: int = 100, after: Conflict | None = None
    ) -> tuple[Conflict, ...]:
        return ()

    async def get(self, conflict_id: str) -> Conflict:
        raise _no_conflict(conflict_id)

    async def mark_reviewed(self, conflict_id: str) -> Conflict:
        raise _no_conflict(conflict_id)

    async def quarantined(self, *, limit: int = 100) -> tuple[QuarantinedRow, ...]:
        return ()

    async def take_other(self, conflict_id: str) -> Conflict:
        raise _no_conflict(conflict_id)


class NoTranscripts:
    """``TranscriptLog`` of a workspace into which nothing is imported."""

    def prepare(self, graph: Any, new: bool, whole: bool = False) -> Any:
        raise needs_file("importing transcripts")

    async def known(self, paths: Sequence[str] | None = None) -> dict[str, TranscriptFile]:
        return {}

    async def resumes(self, paths: Sequence[str]) -> dict[str, bytes]:
        return {}

    async def stored(self, ids: Sequence[str]) -> set[str]:
        return set()

    async def without_transcript(self, ids: Sequence[str]) -> set[str]:
        return set()

    async def save_many(self, items: Sequence[tuple[TranscriptFile, Sequence[Any]]]) -> tuple[SaveResult, ...]:
        raise needs_file("importing transcripts")


class NoSync:
    """``SyncService`` where there is nothing to send: idle at the address that the runs are in."""

    is_running = False

    def __init__(self, target: str, schema_version: str) -> None:
        self._status = SyncStatus(
            state=SyncState.IDLE,
            reason="runs are recorded in the database itself",
            target=target,
            schema_version=schema_version,
            target_schema_version=schema_version,
        )

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def pause(self) -> None:
        raise needs_file("a sync")

    async def resume(self) -> None:
        raise needs_file("a sync")

    async def sync_now(self, *, batch_size: int | None = None, progress: ReportProgress | None = None) -> SyncReport:
        return SyncReport()

    async def status(self) -> SyncStatus:
        return self._status


def _no_record(record_id: int) -> NotFoundError:
    return NotFoundError(f"there is no outbox record {record_id}")


def _no_conflict(conflict_id: str) -> NotFoundError:
    return NotFoundError(f"there is no conflict {conflict_id[:64]!r}")
