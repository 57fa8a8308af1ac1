"""Following what the other replicas of this workspace wrote. An idle pull is one row read."""

from collections.abc import Callable, Sequence

from acode_tui.domain.incoming import MAX_NUMBER
from acode_tui.logs import get_logger
from acode_tui.storage.delivery_protocol import (
    Fault,
    FaultKind,
    Head,
    PostgresFault,
    RejectedRow,
    RowKey,
    exhausted_fault,
    row_key,
)
from acode_tui.storage.ports import PullCursor, PullCursorStore, SyncTarget

READ_AGAIN = 500
"""Rows kept aside that are read again at once."""

log = get_logger("acode_tui.sync")


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


def require_numbers_left(head: Head) -> None:
    """Raise PostgresFault for a head that somebody set where no further number follows: it is not followed."""
    if head.change_seq >= MAX_NUMBER:
        raise PostgresFault(exhausted_fault())


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
    require_numbers_left(head)
    written = 0
    while cursor.change_seq < head.change_seq and not should_stop():
        page = await target.pull(workspace_id, cursor.change_seq)
        cursor = PullCursor(change_seq=page.upto, incarnation=cursor.incarnation)
        written += await store.adopt(token, page.rows, cursor, page.rejected)
        log_rejected(page.rejected)
        head = page.head
        if is_behind(head, cursor):
            raise behind_fault()
        require_numbers_left(head)
    while not should_stop() and (due := await store.read_again(limit=READ_AGAIN)):
        written += await _read_again(store, target, due, token)
    return written


async def read_all_again(
    store: PullCursorStore, target: SyncTarget, *, token: str, should_stop: Callable[[], bool]
) -> int:
    """Read every row again that is kept aside: this program may know more, or allow more, than the one before it.

    Returns how many rows were written. Raises PostgresFault, LeaseLostError.
    """
    written = 0
    keys = await store.kept_aside(None, limit=READ_AGAIN)
    while keys and not should_stop():
        written += await _read_again(store, target, keys, token)
        keys = await store.kept_aside(keys[-1], limit=READ_AGAIN)
    return written


async def _read_again(store: PullCursorStore, target: SyncTarget, keys: Sequence[RowKey], token: str) -> int:
    rows, rejected = await target.read_again(keys)
    there = {row_key(row) for row in rows} | {each.key for each in rejected}
    return await store.adopt(token, rows, None, rejected, [key for key in keys if key not in there])


def log_rejected(rejected: Sequence[RejectedRow]) -> None:
    """One line for each row that is kept aside, without its values."""
    for each in rejected:
        log.warning(
            "sync.quarantined",
            code="ACODE-DB-007",
            entity_type=each.kind.value,
            entity_id=each.id,
            reason=each.reason,
        )
