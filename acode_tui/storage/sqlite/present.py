"""The workspace file that something else is about to take the place of: is there one, is it sound, how large is it."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Literal

import msgspec

from acode_tui.domain.errors import AcodeError, IntegrityError, TransactionError
from acode_tui.storage.sqlite import meta
from acode_tui.storage.sqlite.connection import connect_to, translated
from acode_tui.storage.sqlite.looking import mode_to_look

_LOCK_SECONDS = 30.0
_LOOK_OPCODES = 100_000


class Present(msgspec.Struct, frozen=True, kw_only=True):
    """What stands there. ``size_bytes`` includes the WAL."""

    state: Literal["missing", "empty", "sound", "damaged"]
    size_bytes: int = 0
    workspace_id: str | None = None
    sessions: int | None = None

    @property
    def is_sound(self) -> bool:
        """Whether a backup of it can be made."""
        return self.state == "sound"

    @property
    def is_damaged(self) -> bool:
        """Whether it can only be kept as it is."""
        return self.state == "damaged"


def look_at_present(database: Path, go_on: Callable[[], None]) -> Present:
    """Look without changing anything; a file that SQLite cannot read, or that is another program's, is damaged here.

    The caller shares the file, or has it alone. Raises TransactionError where another program keeps it locked.
    """
    wal = database.with_name(database.name + "-wal")
    try:
        size = database.stat().st_size
    except FileNotFoundError:
        return Present(state="damaged" if _size(wal) else "missing", size_bytes=_size(wal))
    if size == 0:
        return Present(state="damaged" if _size(wal) else "empty", size_bytes=_size(wal))
    size += _size(wal)
    try:
        with (
            translated(f"cannot read {database}", at_open=True),
            closing(connect_to(database, timeout_seconds=_LOCK_SECONDS, mode=mode_to_look(database))) as connection,
        ):
            connection.execute("PRAGMA query_only = ON")
            connection.set_progress_handler(go_on, _LOOK_OPCODES)
            workspace_id, sessions = _read(connection)
    except TransactionError:
        raise
    except AcodeError:
        return Present(state="damaged", size_bytes=size)
    return Present(state="sound", size_bytes=size, workspace_id=workspace_id, sessions=sessions)


def free_bytes(folder: Path) -> int:
    """How much may be written into a folder, or into the one it will be made in."""
    while not folder.exists() and folder.parent != folder:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _read(connection: sqlite3.Connection) -> tuple[str | None, int]:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != ("ok",):
        raise IntegrityError(str(found[0]))
    sessions = int(connection.execute("SELECT count(*) FROM sessions").fetchone()[0])
    return meta.read(connection, meta.WORKSPACE_ID), sessions


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
