"""This worker's hold on the lease: it takes it, keeps it with heartbeats, and notices when it is gone.

Invariants: a token is never used again once it was given up or lost, for whoever took over counts on its being void;
and while this worker holds the lease, what others read about it is never older than a heartbeat.
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


class Tenure:
    """Starts out without the lease; ``hold`` before every piece of work."""

    def __init__(self, journal: LeaseStore, *, mode: str, wall: WallClock) -> None:
        """``mode`` is what other processes see of the holder: dashboard, headless, api."""
        self._journal = journal
        self._mode = mode
        self._wall = wall
        self._beaten_at: datetime | None = None
        self._told: tuple[str, str, datetime | None] | None = None
        self.token = new_id()
        self.rival: Lease | None = None
        """Who holds it instead, as of the last look."""
        self.is_lost = False
        """Whether it was found to be somebody else's while this worker thought it its own."""

    @property
    def is_held(self) -> bool:
        """Whether it is this worker's, as far as it knows; every acknowledgement asks the file again."""
        return self._beaten_at is not None and not self.is_lost

    async def hold(self, shown: WorkerStatus) -> bool:
        """Take or keep the lease; False while somebody else has it. Writes no more often than a heartbeat does."""
        now = self._wall()
        beat_soon = timedelta(seconds=HEARTBEAT_SECONDS)
        if self.is_held and self._beaten_at is not None and timedelta() <= now - self._beaten_at < beat_soon:
            return True
        self.rival = await self._journal.acquire_lease(self.token, mode=self._mode, status=shown)
        self.is_lost = False
        self._beaten_at = now if self.rival is None else None
        self._told = _news(shown)
        return self.rival is None

    async def show(self, shown: WorkerStatus) -> None:
        """A heartbeat at once if the state, or when it is tried again, is another than others were told."""
        if _news(shown) != self._told:
            await self.beat(shown)

    async def beat(self, shown: WorkerStatus) -> None:
        """A heartbeat, if the lease is held. That it is lost is noted, not raised; so is a file that is busy."""
        if not self.is_held:
            return
        try:
            await self._journal.renew_lease(self.token, shown)
            self._beaten_at = self._wall()
            self._told = _news(shown)
        except LeaseLostError:
            self.is_lost = True
        except AcodeError as error:
            log.warning("sync.heartbeat", code=error.code, reason=error.message)

    def forget(self) -> None:
        """The lease is somebody else's now; begin anew with another token."""
        self.token = new_id()
        self.is_lost = False
        self._beaten_at = None

    async def release(self, shown: WorkerStatus) -> None:
        """Give it up, so that a standby need not wait for it to expire."""
        if self._beaten_at is None:
            return
        try:
            await self._journal.release_lease(self.token, shown)
        except AcodeError as error:
            log.warning("sync.release", code=error.code, reason=error.message)
        self.forget()


def _news(shown: WorkerStatus) -> tuple[str, str, datetime | None]:
    return shown.state, shown.reason, shown.next_attempt_at


LOOK_SECONDS = 0.5
PATIENCE_SECONDS = 10.0
"""How long the other worker may make no progress before whoever asked is told so."""


async def drained_by_other(
    journal: SyncJournal,
    *,
    wall: WallClock,
    sleep: Callable[[float], Awaitable[None]],
    should_stop: Callable[[], bool],
) -> SyncReport | None:
    """Wait until the holder of the lease has sent what is pending, which it begins to within a second of a commit.

    Answers what it did; None once the lease is free to be taken. Raises SyncError where it makes no progress.
    """
    started = moved_at = wall()
    first = least = (await journal.snapshot()).outbox.pending
    while True:
        standing = await journal.snapshot()
        pending = standing.outbox.pending
        if not pending or should_stop():
            return SyncReport(
                synced=max(0, first - pending),
                remaining=pending + standing.outbox.failed,
                duration_seconds=(wall() - started).total_seconds(),
            )
        if not journal.is_live(standing.lease):
            return None
        if pending < least:
            least, moved_at = pending, wall()
        elif (wall() - moved_at).total_seconds() > PATIENCE_SECONDS:
            holder, state = "another worker", ""
            if standing.lease is not None:
                holder, state = standing.lease.holder, f" (it is {standing.lease.state})"
            raise SyncError(
                f"{holder} drains this workspace and makes no progress{state}",
                hint="see `acode-tui db sync status`; where that process hangs, end it, and this one takes over",
            )
        await sleep(LOOK_SECONDS)
