"""Looking at a workspace file that must stay as it is, byte for byte, whatever state it is in.

SQLite folds the WAL into the file when the last connection that may write is closed, and leaves an empty WAL behind
when the last one that may not is. So a file whose WAL holds something is opened read-only, any other one for writing:
either way nothing is written and nothing is left behind. No schema is looked for, nothing is created.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from time import monotonic, perf_counter
from typing import TypeVar

from acode_tui.domain.errors import DatabaseConnectionError
from acode_tui.storage.sqlite.connection import connect_to, has_content
from acode_tui.storage.sqlite.errors import may_write, opening, require_content, require_rights, translated
from acode_tui.storage.sqlite.files.locks import share_if_known

T = TypeVar("T")

_DEADLINE_OPCODES = 10_000
_NO_PLACE = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
_UNCHANGING = "ro&immutable=1"
"""Parameters of the address by which a file is opened that nobody changes meanwhile."""


@contextmanager
def looking(path: Path, *, seconds: float, check: Callable[[], None] | None = None) -> Iterator[sqlite3.Connection]:
    """A connection for reading that gives up after ``seconds``, be it waiting or at work. Raises AcodeError.

    Where ``check`` is given, that decides how long it may be at work, by raising.
    """
    with opening(path), ExitStack() as stack:
        stack.enter_context(closing(share_if_known(path, timeout_seconds=seconds)))
        _require(path)
        connection = stack.enter_context(closing(_connected(path, seconds)))
        deadline = monotonic() + seconds
        is_over = check or (lambda: int(monotonic() > deadline))
        connection.set_progress_handler(is_over, _DEADLINE_OPCODES)
        connection.execute("PRAGMA query_only = ON")
        yield connection


def look(
    path: Path,
    read: Callable[[sqlite3.Connection], T],
    *,
    seconds: float,
    check: Callable[[], None] | None = None,
) -> T:
    """What ``read`` answers of the file, from one snapshot. Raises AcodeError."""
    with looking(path, seconds=seconds, check=check) as connection:
        connection.execute("BEGIN")
        try:
            return read(connection)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


@contextmanager
def undone(path: Path, *, seconds: float) -> Iterator[sqlite3.Connection]:
    """A connection inside a write transaction that is always rolled back: for looks that SQLite takes for writes.

    Raises TransactionError where another process kept the write lock for ``seconds``, and DatabaseConnectionError for a
    file that may only be looked at.
    """
    with translated(f"cannot look into {path}", at_open=True), ExitStack() as stack:
        stack.enter_context(closing(share_if_known(path, timeout_seconds=seconds)))
        _require(path)
        require_rights(path)
        if mode_to_look(path) == "ro":
            # Closed after the other one: as long as it is open, nothing is folded.
            guard = stack.enter_context(closing(connect_to(path, timeout_seconds=seconds, mode="ro")))
            guard.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        connection = stack.enter_context(closing(connect_to(path, timeout_seconds=seconds)))
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


def write_lock_wait(path: Path, *, seconds: float) -> float:
    """How long a writer waits for its turn right now, in seconds.

    Raises TransactionError where that is longer than ``seconds``, DiskFullError where the disk is full, and
    DatabaseConnectionError where the file is read-only.
    """
    started = perf_counter()
    with undone(path, seconds=seconds):
        return perf_counter() - started


def quick_check(connection: sqlite3.Connection, *, seconds: float, most: int = 5) -> tuple[str, ...] | None:
    """What SQLite's quick check finds wrong, nothing if the file is sound; None if ``seconds`` were not enough."""
    deadline = monotonic() + seconds
    connection.set_progress_handler(lambda: monotonic() > deadline, _DEADLINE_OPCODES)
    try:
        found = tuple(str(row[0]) for row in connection.execute(f"PRAGMA quick_check({most})"))
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return None
    finally:
        connection.set_progress_handler(None, 0)
    return () if found == ("ok",) else found


def _connected(path: Path, seconds: float) -> sqlite3.Connection:
    mode = mode_to_look(path)
    try:
        return connect_to(path, timeout_seconds=seconds, mode=mode)
    except sqlite3.OperationalError as error:
        if mode != "rw" or error.sqlite_errorcode & 0xFF not in _NO_PLACE:
            raise
        # A full disk or a read-only folder has no place for the WAL's index. Then nobody can be writing either.
        return connect_to(path, timeout_seconds=seconds, mode=_UNCHANGING)


def mode_to_look(path: Path) -> str:
    """How to open a file so that looking leaves it, and its folder, as they are."""
    if has_content(path.with_name(path.name + "-wal")):
        return "ro"
    # SQLite would leave a WAL and an index beside a file that may only be read, with that file's mode:
    # nobody could write any more, even once the file's own mode is set right.
    return "rw" if may_write(path) else _UNCHANGING


def _require(path: Path) -> None:
    # Whether a workspace has lived there is for the caller to know.
    require_content(path, has_lived=False)
    if not path.exists():
        raise DatabaseConnectionError(
            f"there is no database at {path}", hint="open the dashboard, or `acode-tui import --all`, to begin one"
        )
