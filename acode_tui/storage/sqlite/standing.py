"""What can be said of a workspace file that nobody may trust: whether it is sound, whose it is, what was never sent.

Reads only, and leaves no trace: a WAL is read, never folded in.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from acode_tui.domain.errors import AcodeError
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.sqlite import meta
from acode_tui.storage.sqlite.connection import connect_to, has_content
from acode_tui.storage.sqlite.migrate import plan


class StandingFile(msgspec.Struct, frozen=True, kw_only=True):
    """``reason`` says why the file is not sound; ``pending`` counts the records that were never sent."""

    exists: bool
    is_sound: bool = False
    reason: str = ""
    workspace_id: str | None = None
    pending: int | None = None
    sessions: int | None = None


def look_at(database: Path) -> StandingFile:
    """Look; takes about as long as reading the file. Never raises for what is in it."""
    try:
        size = database.stat().st_size
    except FileNotFoundError:
        return StandingFile(exists=False, reason="it is not there")
    except OSError as error:
        return StandingFile(exists=True, reason=error.strerror or str(error))
    if size == 0 and not _beside(database, "-wal").exists():
        return StandingFile(exists=True, reason="it is empty")
    # One that may write folds a WAL into the file when it is closed; one that may not leaves an empty WAL behind.
    beside = any(has_content(_beside(database, suffix)) for suffix in ("-wal", "-journal"))
    try:
        with closing(connect_to(database, timeout_seconds=5, mode="ro" if beside else "rw")) as connection:
            connection.execute("PRAGMA query_only = ON")
            return _read(connection)
    except sqlite3.Error as error:
        return StandingFile(exists=True, reason=str(error))


def _read(connection: sqlite3.Connection) -> StandingFile:
    workspace_id, pending, sessions, reason = None, None, None, ""
    try:
        plan(connection, packaged("sqlite"))
        workspace_id = meta.read(connection, meta.WORKSPACE_ID)
        pending = connection.execute("SELECT count(*) FROM outbox WHERE processed_at IS NULL").fetchone()[0]
        sessions = connection.execute("SELECT count(*) FROM sessions").fetchone()[0]
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            reason = found
        elif workspace_id is None:
            reason = "it is no workspace"
    except AcodeError as error:
        reason = error.message
    except sqlite3.Error as error:
        reason = str(error)
    return StandingFile(
        exists=True,
        is_sound=not reason,
        reason=reason,
        workspace_id=workspace_id,
        pending=pending,
        sessions=sessions,
    )


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
