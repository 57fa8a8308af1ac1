"""What can be said of a workspace file that nobody may trust: whether it is sound, whose it is, what was never sent.

Reads only, and leaves no trace: a WAL is read, never folded in.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from acode_tui.domain.errors import AcodeError, IntegrityError
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.sqlite import meta
from acode_tui.storage.sqlite.connection import connect_to, has_content
from acode_tui.storage.sqlite.files.expected_schema import lost_tables
from acode_tui.storage.sqlite.migrate import plan

_HAS_META = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'workspace_meta'"
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""The last one is what a statement over a schema says that lost a table or column."""

_SHORT = (sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS)


class StandingFile(msgspec.Struct, frozen=True, kw_only=True):
    """``reason`` says why the file is not sound; ``pending`` counts the records that were never sent.

    A file that is not sound need not be damaged: it may be another program's, a newer one's, or somebody else's.
    """

    exists: bool
    is_sound: bool = False
    is_damaged: bool = False
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
        return StandingFile(exists=True, is_damaged=True, reason="it is empty")
    # One that may write folds a WAL into the file when it is closed; one that may not leaves an empty WAL behind.
    beside = any(has_content(_beside(database, suffix)) for suffix in ("-wal", "-journal"))
    try:
        with closing(connect_to(database, timeout_seconds=5, mode="ro" if beside else "rw")) as connection:
            connection.execute("PRAGMA query_only = ON")
            return _read(connection)
    except IntegrityError as error:
        return StandingFile(exists=True, is_damaged=True, reason=error.message)
    except sqlite3.Error as error:
        return StandingFile(exists=True, is_damaged=_is_damage(error), reason=str(error))


def _read(connection: sqlite3.Connection) -> StandingFile:
    workspace_id, pending, sessions, reason, is_damaged = None, None, None, "", False
    try:
        if connection.execute(_HAS_META).fetchone() is not None:
            workspace_id = meta.read(connection, meta.WORKSPACE_ID)
        plan(connection, packaged("sqlite"))
        pending = connection.execute("SELECT count(*) FROM outbox WHERE processed_at IS NULL").fetchone()[0]
        sessions = connection.execute("SELECT count(*) FROM sessions").fetchone()[0]
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            reason, is_damaged = found, True
        elif lost := lost_tables(connection):
            reason, is_damaged = f"it has lost {', '.join(lost)}", True
        elif workspace_id is None:
            reason = "it is no workspace"
    except AcodeError as error:
        reason = error.message
    except sqlite3.Error as error:
        reason, is_damaged = str(error), _is_damage(error)
    return StandingFile(
        exists=True,
        is_sound=not reason,
        is_damaged=is_damaged,
        reason=reason,
        workspace_id=workspace_id,
        pending=pending,
        sessions=sessions,
    )


def _is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file's content is wrong, not that it may not or cannot read it now."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and (code & 0xFF in _DAMAGE or code in _SHORT)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
