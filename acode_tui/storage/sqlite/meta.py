"""The workspace's own facts, a row each: its id, its clock's last stamp, its place in the central order."""

import sqlite3
from datetime import datetime

import msgspec

from acode_tui.domain.clock import MonotonicClock, format_time, parse_time

WORKSPACE_ID = "workspace_id"
CLOCK = "clock_last"
LAST_SYNC = "sync_last_at"


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
    """Raise the clock to the last stamp that any process of this workspace stored; answers where it stands."""
    stored = read(connection, CLOCK)
    if stored is not None:
        clock.raise_to(parse_time(stored))
    return clock.last


def store_clock(connection: sqlite3.Connection, clock: MonotonicClock) -> None:
    """Keep the clock's last stamp, in the transaction that handed it out."""
    store(connection, CLOCK, format_time(clock.last))


_KEY = "sync_mark"


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """The last central number whose rows are here, and the incarnation that gave it out."""

    change_seq: int
    incarnation: str


def read_mark(connection: sqlite3.Connection) -> Mark | None:
    """The mark; None before the first sync."""
    stored = read(connection, _KEY)
    return None if stored is None else msgspec.json.decode(stored, type=Mark)


def store_mark(connection: sqlite3.Connection, mark: Mark) -> None:
    """Move the mark, in the transaction that wrote the rows up to it."""
    store(connection, _KEY, msgspec.json.encode(mark).decode())
