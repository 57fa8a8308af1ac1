"""Being asked for a sync while another worker is at it: wait for that one instead of getting in its way."""

from collections.abc import Awaitable, Callable

from acode_tui.domain.clock import WallClock
from acode_tui.domain.errors import SyncError
from acode_tui.storage.sqlite.sync.journal import SyncJournal
from acode_tui.sync.ports import SyncReport

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
    first = least = (await journal.standing()).outbox.pending
    while True:
        standing = await journal.standing()
        pending = standing.outbox.pending
        if not pending or should_stop():
            return SyncReport(
                synced=max(0, first - pending),
                remaining=pending + standing.outbox.failed,
                duration_seconds=(wall() - started).total_seconds(),
            )
        if not await journal.is_live(standing.lease):
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
