"""Keeping the outbox small: what is delivered and old goes once the ledger vouches for it; what waits is folded.

Runs hourly, in pages, between the user's writes.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from acode_tui.storage.sqlite.sync.journal import SyncJournal

if TYPE_CHECKING:
    from acode_tui.storage.postgres.sync_target import SyncTarget

PAGE = 500
EVERY = timedelta(hours=1)


async def retain(journal: SyncJournal, target: "SyncTarget", *, before: datetime) -> int:
    """Forget delivered records from before a moment, if the ledger holds their key or a newer one replaced them."""
    gone, after = 0, 0
    while page := await journal.expired(before=before, after_id=after, limit=PAGE):
        after = page[-1].id
        asked = [(each.session_id, each.idempotency_key) for each in page if each.needs_ledger]
        held = await target.ledger_has(asked) if asked else set()
        ids = [each.id for each in page if not each.needs_ledger or each.idempotency_key in held]
        gone += await journal.delete_records(ids)
    return gone


async def fold(journal: SyncJournal) -> int:
    """Fold the pending records of a workspace that has nowhere to send to: one a row stays."""
    gone, after = 0, 0
    while True:
        count, last = await journal.compact(after_id=after, limit=PAGE)
        gone += count
        if last is None:
            return gone
        after = last
