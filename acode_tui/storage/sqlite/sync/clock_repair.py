"""Bringing the workspace's clock back after this machine's was wrong once.

The clock never goes back by itself: it would hand out stamps that were handed out before. It may go back here because a
row's new stamp lies after that row's own in any case (``domain.clock.stamp_after``): keys stay unique, and no version
of a row gets a stamp before an earlier one. Nothing that is stored gets another stamp.
"""

import sqlite3
from datetime import datetime, timedelta

from acode_tui.domain.clock import MonotonicClock, format_time, is_ahead
from acode_tui.storage.sqlite import meta

LONGEST_WAIT = timedelta(days=1)
"""No record waits longer for its next attempt, and no lease lasts longer, unless a wrong clock said so."""

# Records go in the order of their moment, then of their id. Those of the wrong clock go in the order of their ids, in
# which they were written, and before those that are written from now on.
_ORDER = "UPDATE outbox SET created_at = ?1 WHERE processed_at IS NULL AND created_at > ?1"
_ATTEMPTS = "UPDATE outbox SET next_attempt_at = ?1 WHERE processed_at IS NULL AND next_attempt_at > ?2"
_LEASE = "DELETE FROM sync_lease WHERE expires_at > ?"


def repair_clock(
    connection: sqlite3.Connection, clock: MonotonicClock, *, now: datetime, server_time: datetime
) -> timedelta | None:
    """Set the clock to ``now`` if it is ahead of that and of the server's time; part of a unit.

    Returns by how much it was ahead; None if it was not. Other processes follow with their next transaction.
    """
    last = clock.last
    if not is_ahead(last, now, server_time):
        return None
    clock.set_to(now)
    meta.store_clock(connection, clock)
    moment, latest = format_time(now), format_time(now + LONGEST_WAIT)
    connection.execute(_ORDER, (moment,))
    connection.execute(_ATTEMPTS, (moment, latest))
    connection.execute(_LEASE, (latest,))
    return last - now
