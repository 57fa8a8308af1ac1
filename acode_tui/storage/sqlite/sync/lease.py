"""The lease: one row with a token, a heartbeat and an expiry, held by the one worker that drains the workspace.

Only the holder of the token may acknowledge. A holder whose heartbeats stop loses the lease when it expires, or at once
when it was a process of this machine that is gone. An old token is never valid again.
"""

import sqlite3
from datetime import datetime, timedelta

from acode_tui.domain.clock import format_time, parse_time
from acode_tui.files import is_alive
from acode_tui.storage.ports import HEARTBEAT_SECONDS, LEASE_SECONDS, Lease, LeaseLostError

_READ = "SELECT token, holder, pid, mode, state, acquired_at, heartbeat_at, expires_at FROM sync_lease WHERE id = 1"
_TAKE = """
INSERT INTO sync_lease (id, token, holder, pid, mode, state, acquired_at, heartbeat_at, expires_at)
VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET token = excluded.token, holder = excluded.holder, pid = excluded.pid,
    mode = excluded.mode, state = excluded.state, acquired_at = excluded.acquired_at,
    heartbeat_at = excluded.heartbeat_at, expires_at = excluded.expires_at
"""
_RENEW = "UPDATE sync_lease SET heartbeat_at = ?, expires_at = ?, state = ? WHERE id = 1 AND token = ?"
_RELEASE = "DELETE FROM sync_lease WHERE id = 1 AND token = ?"


def read(connection: sqlite3.Connection) -> Lease | None:
    """The stored lease, expired or not; None if there is none."""
    row = connection.execute(_READ).fetchone()
    if row is None:
        return None
    token, holder, pid, mode, state, *times = row
    acquired, heartbeat, expires = (parse_time(each) for each in times)
    return Lease(
        token=token,
        holder=holder,
        pid=pid,
        mode=mode,
        state=state,
        acquired_at=acquired,
        heartbeat_at=heartbeat,
        expires_at=expires,
    )


def is_live(lease: Lease, now: datetime, host: str) -> bool:
    """Whether the holder may still be at work at ``now``; ``host`` is this machine, where its processes can be seen.

    A heartbeat further ahead than the time between two is of a clock that runs ahead, a dead container's perhaps: its
    lease would last until this clock gets there.
    """
    if lease.expires_at <= now or lease.heartbeat_at > now + timedelta(seconds=HEARTBEAT_SECONDS):
        return False
    return not (lease.holder == f"{host}:{lease.pid}" and not is_alive(lease.pid))


def acquire(
    connection: sqlite3.Connection, *, token: str, host: str, pid: int, mode: str, state: str, now: datetime
) -> Lease | None:
    """Take the lease, or renew it if ``token`` holds it. None on success, else the live lease of another worker."""
    stored = read(connection)
    if stored is not None and stored.token != token and is_live(stored, now, host):
        return stored
    if stored is not None and stored.token == token:
        renew(connection, token=token, state=state, now=now)
        return None
    stamp, end = format_time(now), format_time(now + timedelta(seconds=LEASE_SECONDS))
    connection.execute(_TAKE, (token, f"{host}:{pid}", pid, mode, state, stamp, stamp, end))
    return None


def renew(connection: sqlite3.Connection, *, token: str, state: str, now: datetime) -> None:
    """A heartbeat. Raises LeaseLostError if ``token`` no longer holds the lease."""
    end = format_time(now + timedelta(seconds=LEASE_SECONDS))
    if not connection.execute(_RENEW, (format_time(now), end, state, token)).rowcount:
        raise LeaseLostError("another worker has taken over this workspace")


def require(connection: sqlite3.Connection, token: str) -> None:
    """Raise LeaseLostError unless ``token`` holds the lease; part of every transaction that acknowledges."""
    row = connection.execute("SELECT 1 FROM sync_lease WHERE id = 1 AND token = ?", (token,)).fetchone()
    if row is None:
        raise LeaseLostError("another worker has taken over this workspace")


def release(connection: sqlite3.Connection, token: str) -> bool:
    """Give the lease up, so that a standby need not wait for it to expire. Returns whether ``token`` held it."""
    return connection.execute(_RELEASE, (token,)).rowcount > 0
