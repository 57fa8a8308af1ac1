"""Following what the other replicas of this workspace wrote. An idle pull is one row read."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from acode_tui.storage.delivery_protocol import Fault, FaultKind, Head, PostgresFault
from acode_tui.storage.sqlite.meta import Mark
from acode_tui.storage.sqlite.sync.journal import SyncJournal

if TYPE_CHECKING:
    from acode_tui.storage.postgres.sync_target import SyncTarget


def is_behind(head: Head | None, mark: Mark) -> bool:
    """Whether the central database has gone back in time, or is another one than it was (design: remote identity)."""
    return head is None or head.incarnation != mark.incarnation or head.change_seq < mark.change_seq


def behind_fault() -> PostgresFault:
    """Nothing is pushed or pulled until a person decides."""
    return PostgresFault(
        Fault(
            kind=FaultKind.REMOTE_BEHIND,
            sentence="the team's database was reset or restored: it is behind what this workspace has sent",
            hint="run `acode-tui db sync --full` to send everything again",
        )
    )


async def pull(
    journal: SyncJournal, target: "SyncTarget", mark: Mark, *, token: str, should_stop: Callable[[], bool]
) -> tuple[Mark, int]:
    """Write every row that is news here; answers the new mark and how many rows were. Raises PostgresFault.

    Each page moves the mark in its own transaction, so one that is broken off is gone on with.
    """
    head = await target.head(journal.workspace_id)
    if head is None or is_behind(head, mark):
        raise behind_fault()
    written = 0
    while mark.change_seq < head.change_seq and not should_stop():
        page = await target.pull(journal.workspace_id, mark.change_seq)
        mark = Mark(change_seq=page.upto, incarnation=mark.incarnation)
        written += await journal.adopt(token, page.rows, mark)
        head = page.head
        if is_behind(head, mark):
            raise behind_fault()
    return mark, written
