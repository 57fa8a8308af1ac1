"""The worker's side of the lease: taking it, keeping it with heartbeats, noticing that it is lost.

Invariants: a token is never used again once it was given up or lost, because the next holder relies on its being void;
and while this worker holds the lease, the status that other processes read is never older than a heartbeat.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from acode_tui.domain.clock import WallClock
from acode_tui.domain.errors import AcodeError, SyncError
from acode_tui.domain.ids import new_id
from acode_tui.logs import get_logger
from acode_tui.storage.ports import HEARTBEAT_SECONDS, Lease, LeaseLostError, LeaseStore, SyncJournal, WorkerStatus
from acode_tui.sync.ports import SyncReport

log = get_logger("acode_tui.sync")

POLL_SECONDS = 0.5
NO_PROGRESS_SECONDS = 10.0
"""How long another worker may make no progress before a sync that waits for it gives up."""


class LeaseHolder:
    """Starts without the lease; ``acquire`` before every piece of work."""

    def __init__(self, store: LeaseStore, *, mode: str, wall: WallClock) -> None:
        """``mode`` is what other processes see of the holder: dashboard, headless, api."""
        self._store = store
        self._mode = mode
        self._wall = wall
        self._heartbeat_at: datetime | None = None
        self._published: tuple[str, str, datetime | None] | None = None
        self.token = new_id()
        self.other: Lease | None = None
        """The lease of another worker, as of the last try; None where this one has it."""
        self.is_lost = False
        """Whether another worker took the lease while this one relied on it."""

    @property
    def is_held(self) -> bool:
        """Whether this worker has the lease, as far as it knows; every acknowledgement checks the file again."""
        return self._heartbeat_at is not None and not self.is_lost

    async def acquire(self, status: WorkerStatus) -> bool:
        """Take or keep the lease; False while another worker has it. Writes no more often than heartbeats do."""
        now = self._wall()
        heartbeat_due = timedelta(seconds=HEARTBEAT_SECONDS)
        if self.is_held and self._heartbeat_at is not None and timedelta() <= now - self._heartbeat_at < heartbeat_due:
            return True
        self.other = await self._store.acquire_lease(self.token, mode=self._mode, status=status)
        self.is_lost = False
        self._heartbeat_at = now if self.other is None else None
        self._published = _published_part(status)
        return self.other is None

    async def publish(self, status: WorkerStatus) -> None:
        """A heartbeat at once if the state, or the time of the next try, differs from what others read."""
        if _published_part(status) != self._published:
            await self.heartbeat(status)

    async def heartbeat(self, status: WorkerStatus) -> None:
        """A heartbeat, if the lease is held. A lost lease is noted, not raised; a file that is locked is logged."""
        if not self.is_held:
            return
        try:
            await self._store.renew_lease(self.token, status)
            self._heartbeat_at = self._wall()
            self._published = _published_part(status)
        except LeaseLostError:
            self.is_lost = True
        except AcodeError as error:
            log.warning("sync.heartbeat", code=error.code, reason=error.message)

    def reset(self) -> None:
        """Drop the lease that was lost, and its token; the next ``acquire`` uses a new one."""
        self.token = new_id()
        self.is_lost = False
        self._heartbeat_at = None

    async def release(self, status: WorkerStatus) -> None:
        """Give the lease up, so that a standby need not wait for it to expire."""
        if self._heartbeat_at is None:
            return
        try:
            await self._store.release_lease(self.token, status)
        except AcodeError as error:
            log.warning("sync.release", code=error.code, reason=error.message)
        self.reset()


def _published_part(status: WorkerStatus) -> tuple[str, str, datetime | None]:
    return status.state, status.reason, status.next_attempt_at


async def wait_for_holder(
    journal: SyncJournal,
    *,
    wall: WallClock,
    sleep: Callable[[float], Awaitable[None]],
    should_stop: Callable[[], bool],
) -> SyncReport | None:
    """Wait until the holder of the lease has sent what is pending, which it starts within a second of a commit.

    Returns what it did; None once the lease can be taken. Raises SyncError where it makes no progress for 10 s.
    """
    started = moved_at = wall()
    first = least = (await journal.snapshot()).outbox.pending
    while True:
        snapshot = await journal.snapshot()
        pending = snapshot.outbox.pending
        if not pending or should_stop():
            return SyncReport(
                synced=max(0, first - pending),
                remaining=pending + snapshot.outbox.failed,
                duration_seconds=(wall() - started).total_seconds(),
            )
        if not journal.is_live(snapshot.lease):
            return None
        if pending < least:
            least, moved_at = pending, wall()
        elif (wall() - moved_at).total_seconds() > NO_PROGRESS_SECONDS:
            holder, state = "another worker", ""
            if snapshot.lease is not None:
                holder, state = snapshot.lease.holder, f" (it is {snapshot.lease.state})"
            raise SyncError(
                f"{holder} drains this workspace and makes no progress{state}",
                hint="see `acode-tui db sync status`; if that process hangs, end it, and this one takes over",
            )
        await sleep(POLL_SECONDS)
