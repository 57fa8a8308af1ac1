"""The workspace's own facts, a row each: its id, its clock's last stamp, how far it pulled."""

import sqlite3
from datetime import datetime

import msgspec

from acode_tui.domain.clock import MonotonicClock, format_time, parse_time
from acode_tui.storage.ports import PullCursor

WORKSPACE_ID = "workspace_id"
CLOCK = "clock_last"
LAST_SYNC = "sync_last_at"
DUPLICATES = "sync_duplicates"
_PULL_CURSOR = "sync_mark"
_LAST_ACKNOWLEDGED = "sync_last_key"
_RESEND = "sync_resend"


def read(connection: sqlite3.Connection, key: str) -> str | None:
    """A fact's value; None if it was never stored."""
    row = connection.execute("SELECT value FROM workspace_meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def store(connection: sqlite3.Connection, key: str, value: str) -> None:
    """Set a fact."""
    connection.execute(
        "INSERT INTO workspace_meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (key, value),
    )


def read_clock(connection: sqlite3.Connection, clock: MonotonicClock) -> datetime:
    """Set the clock to the last stamp that any process of this workspace stored; returns its last stamp.

    Also back: what is stored covers every stamp that was committed, and a repaired clock counts in every process.
    """
    stored = read(connection, CLOCK)
    if stored is not None:
        clock.set_to(parse_time(stored))
    return clock.last


def store_clock(connection: sqlite3.Connection, clock: MonotonicClock) -> None:
    """Keep the clock's last stamp, in the transaction that handed it out."""
    store(connection, CLOCK, format_time(clock.last))


def read_duplicates(connection: sqlite3.Connection) -> int:
    """How many deliveries were answered with ``duplicate`` so far."""
    return int(read(connection, DUPLICATES) or 0)


def read_pull_cursor(connection: sqlite3.Connection) -> PullCursor | None:
    """How far this replica pulled; None before the first sync."""
    stored = read(connection, _PULL_CURSOR)
    return None if stored is None else msgspec.json.decode(stored, type=PullCursor)


def store_pull_cursor(connection: sqlite3.Connection, cursor: PullCursor) -> None:
    """Move the cursor, in the transaction that wrote the rows up to it."""
    store(connection, _PULL_CURSOR, msgspec.json.encode(cursor).decode())


def read_last_acknowledged(connection: sqlite3.Connection) -> tuple[str, str] | None:
    """Session id and key of the record that was acknowledged last; None if there is none."""
    stored = read(connection, _LAST_ACKNOWLEDGED)
    return None if not stored else msgspec.json.decode(stored, type=tuple[str, str])


def store_last_acknowledged(connection: sqlite3.Connection, session_id: str, key: str) -> None:
    """Note a record that the team's database has, in the transaction that acknowledges it."""
    store(connection, _LAST_ACKNOWLEDGED, msgspec.json.encode((session_id, key)).decode())


def forget_last_acknowledged(connection: sqlite3.Connection) -> None:
    """Forget it, where everything is to be sent again."""
    store(connection, _LAST_ACKNOWLEDGED, "")


def read_resend_position(connection: sqlite3.Connection, incarnation: str) -> str:
    """The session that an interrupted re-send to this incarnation ended with; empty where there was none."""
    started, _, after = (read(connection, _RESEND) or "").partition(" ")
    return after if started == incarnation else ""


def store_resend_position(connection: sqlite3.Connection, incarnation: str, after: str | None) -> None:
    """Note how far a re-send queued its sessions; None at its end."""
    store(connection, _RESEND, "" if after is None else f"{incarnation} {after}")
