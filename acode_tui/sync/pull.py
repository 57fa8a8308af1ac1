"""Following what the other replicas of this workspace wrote. An idle pull is one row read."""

from collections.abc import Callable

from acode_tui.storage.delivery_protocol import Fault, FaultKind, Head, PostgresFault
from acode_tui.storage.ports import PullCursor, PullCursorStore, SyncTarget


def is_behind(head: Head | None, cursor: PullCursor) -> bool:
    """Whether the central database has gone back in time, or is another one than it was (design: remote identity)."""
    return head is None or head.incarnation != cursor.incarnation or head.change_seq < cursor.change_seq


def behind_fault() -> PostgresFault:
    """The fault of such a database: nothing is pushed or pulled until a person decides."""
    return PostgresFault(
        Fault(
            kind=FaultKind.REMOTE_BEHIND,
            sentence="the team's database was reset or restored: it is behind what this workspace has sent",
            hint="run `acode-tui db sync --full` to send everything again",
        )
    )


async def pull(
    store: PullCursorStore,
    target: SyncTarget,
    cursor: PullCursor,
    *,
    workspace_id: str,
    token: str,
    should_stop: Callable[[], bool],
) -> int:
    """Write every row past the cursor that is new or newer; returns how many. Raises PostgresFault, LeaseLostError.

    Each page moves the cursor in its own transaction, so a pull that is interrupted goes on from there.
    """
    head = await target.head(workspace_id)
    if head is None or is_behind(head, cursor):
        raise behind_fault()
    written = 0
    while cursor.change_seq < head.change_seq and not should_stop():
        page = await target.pull(workspace_id, cursor.change_seq)
        cursor = PullCursor(change_seq=page.upto, incarnation=cursor.incarnation)
        written += await store.adopt(token, page.rows, cursor)
        head = page.head
        if is_behind(head, cursor):
            raise behind_fault()
    return written
