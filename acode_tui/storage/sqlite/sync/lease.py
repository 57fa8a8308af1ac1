"""Who drains this workspace: one row with a token, a heartbeat and an end.

Whoever holds the token may acknowledge; a holder that stops beating loses it when it expires, or at once when it was a
process of this machine that is gone. An old token is never valid again.
"""

import sqlite3
from datetime import datetime, timedelta

import msgspec

from acode_tui.domain.clock import format_time, parse_time
from acode_tui.domain.errors import SyncError
from acode_tui.files import is_alive

SECONDS = 20.0
"""How long a lease outlives its last heartbeat: a standby takes over within 30 s of a holder's death."""

HEARTBEAT_SECONDS = 5.0

_READ = "SELECT token, holder, pid, mode, state, acquired_at, heartbeat_at, expires_at FROM sync_lease WHERE id = 1"
_TAKE = """
INSERT INTO sync_lease (id, token, holder, pid, mode, state, acquired_at, heartbeat_at, expires_at)
VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET token = excluded.token, holder = excluded.holder, pid = excluded.pid,
    mode = excluded.mode, state = excluded.state, acquired_at = excluded.acquired_at,
    heartbeat_at = excluded.heartbeat_at, expires_at = excluded.expires_at
"""
_BEAT = "UPDATE sync_lease SET heartbeat_at = ?, expires_at = ?, state = ? WHERE id = 1 AND token = ?"
_RELEASE = "DELETE FROM sync_lease WHERE id = 1 AND token = ?"


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The row. ``holder`` is ``host:pid``; ``mode`` says what kind of process it is; ``state`` is its sync state."""

    token: str
    holder: str
    pid: int
    mode: str
    state: str
    acquired_at: datetime
    heartbeat_at: datetime
    expires_at: datetime


class LeaseLostError(SyncError):
    """Another worker has taken over; what this one had in hand comes back as duplicates."""

    default_hint = "nothing to do: the other worker goes on"


def read(connection: sqlite3.Connection) -> Lease | None:
    """The lease as it stands, expired or not."""
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
    """Whether its holder may still be at work."""
    if lease.expires_at <= now:
        return False
    return not (lease.holder == f"{host}:{lease.pid}" and not is_alive(lease.pid))


def acquire(
    connection: sqlite3.Connection, *, token: str, host: str, pid: int, mode: str, state: str, now: datetime
) -> Lease | None:
    """Take the lease, or renew it if ``token`` holds it. None on success, else the lease that stands in the way."""
    standing = read(connection)
    if standing is not None and standing.token != token and is_live(standing, now, host):
        return standing
    if standing is not None and standing.token == token:
        beat(connection, token=token, state=state, now=now)
        return None
    stamp, end = format_time(now), format_time(now + timedelta(seconds=SECONDS))
    connection.execute(_TAKE, (token, f"{host}:{pid}", pid, mode, state, stamp, stamp, end))
    return None


def beat(connection: sqlite3.Connection, *, token: str, state: str, now: datetime) -> None:
    """A heartbeat. Raises LeaseLostError if the token holds it no more."""
    end = format_time(now + timedelta(seconds=SECONDS))
    if not connection.execute(_BEAT, (format_time(now), end, state, token)).rowcount:
        raise LeaseLostError("another worker has taken over this workspace")


def require(connection: sqlite3.Connection, token: str) -> None:
    """Raise LeaseLostError unless ``token`` holds the lease; part of every transaction that acknowledges."""
    row = connection.execute("SELECT 1 FROM sync_lease WHERE id = 1 AND token = ?", (token,)).fetchone()
    if row is None:
        raise LeaseLostError("another worker has taken over this workspace")


def release(connection: sqlite3.Connection, token: str) -> bool:
    """Give it up, so that a standby need not wait for it to expire. Answers whether it was held."""
    return connection.execute(_RELEASE, (token,)).rowcount > 0
