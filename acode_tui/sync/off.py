"""The sync worker of a workspace that has no PostgreSQL: it runs nothing and says why."""

from acode_tui.domain.errors import SyncError
from acode_tui.storage.ports import ConflictLog, Outbox
from acode_tui.sync.ports import ProgressCallback, SyncReport, SyncState, SyncStatus

REASON = "PostgreSQL is not enabled"
HINT = "enable it with `acode-tui config set persistence.postgres.enabled true`"


class SyncOff:
    """``SyncService`` in state ``disabled``. The outbox goes on filling, so nothing is lost when it is enabled."""

    def __init__(self, outbox: Outbox, conflicts: ConflictLog) -> None:
        self._outbox = outbox
        self._conflicts = conflicts

    @property
    def is_running(self) -> bool:
        return False

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def pause(self) -> None:
        """Nothing to pause."""

    async def resume(self) -> None:
        """Nothing to resume."""

    async def sync_now(self, *, batch_size: int | None = None, progress: ProgressCallback | None = None) -> SyncReport:
        """Raises SyncError: there is nowhere to sync to."""
        raise SyncError(REASON, hint=HINT)

    async def status(self) -> SyncStatus:
        stats = await self._outbox.stats()
        counts = await self._conflicts.counts()
        return SyncStatus(
            state=SyncState.DISABLED,
            reason=REASON,
            hint=HINT,
            pending=stats.pending,
            oldest_pending_at=stats.oldest_pending_at,
            retrying=stats.retrying,
            failed=stats.failed,
            conflicts=counts.total,
            unreviewed_conflicts=counts.unreviewed,
        )
