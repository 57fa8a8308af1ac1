"""Connections to a workspace file that must stay as it is, byte for byte, in every state of it.

SQLite folds the WAL into the file when the last connection that may write is closed, and leaves an empty WAL behind
when the last one that may not is. So a file whose WAL holds something is opened read-only, any other one for writing:
either way nothing is written and nothing is left behind. No schema is expected, nothing is created.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from time import monotonic, perf_counter
from typing import TypeVar

from acode_tui.domain.errors import DatabaseConnectionError
from acode_tui.domain.progress import CheckCancelled
from acode_tui.storage.sqlite.connection import connect_to, has_content
from acode_tui.storage.sqlite.errors import may_write, opening, require_content, require_rights, translated
from acode_tui.storage.sqlite.files.locks import share_if_known
from acode_tui.storage.sqlite.paths import wal_of

T = TypeVar("T")

_DEADLINE_OPCODES = 10_000
_NO_PLACE = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
_IMMUTABLE = "ro&immutable=1"
"""URI parameters that open a file which nothing changes meanwhile."""


@contextmanager
def open_unchanged(
    path: Path, *, seconds: float, check_cancelled: CheckCancelled | None = None
) -> Iterator[sqlite3.Connection]:
    """A connection for reading that gives up after ``seconds``, of waiting or of work. Raises AcodeError.

    With ``check_cancelled`` only waiting is bounded; work ends when it raises.
    """
    with opening(path), ExitStack() as stack:
        stack.enter_context(closing(share_if_known(path, timeout_seconds=seconds)))
        _require(path)
        connection = stack.enter_context(closing(_connect(path, seconds)))
        deadline = monotonic() + seconds
        is_over = check_cancelled or (lambda: int(monotonic() > deadline))
        connection.set_progress_handler(is_over, _DEADLINE_OPCODES)
        connection.execute("PRAGMA query_only = ON")
        yield connection


def read_unchanged(
    path: Path,
    read: Callable[[sqlite3.Connection], T],
    *,
    seconds: float,
    check_cancelled: CheckCancelled | None = None,
) -> T:
    """The result of ``read`` over one snapshot of the file. Raises AcodeError."""
    with open_unchanged(path, seconds=seconds, check_cancelled=check_cancelled) as connection:
        connection.execute("BEGIN")
        try:
            return read(connection)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")


@contextmanager
def open_rolled_back(path: Path, *, seconds: float) -> Iterator[sqlite3.Connection]:
    """A connection inside a write transaction that is always rolled back: for questions that SQLite takes for writes.

    Raises TransactionError where another process kept the write lock for ``seconds``, and DatabaseConnectionError for a
    file that may only be read.
    """
    with translated(f"cannot look into {path}", at_open=True), ExitStack() as stack:
        stack.enter_context(closing(share_if_known(path, timeout_seconds=seconds)))
        _require(path)
        require_rights(path)
        if mode_for_reading(path) == "ro":
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
    with open_rolled_back(path, seconds=seconds):
        return perf_counter() - started


class UnchangedFileReads:
    """Reads of a file that must stay as it is, byte for byte, each over a connection of its own."""

    def __init__(self, path: Path, *, seconds: float) -> None:
        self._path = path
        self._seconds = seconds

    async def run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """The result of ``read(connection)``. Raises AcodeError."""
        return await asyncio.to_thread(read_unchanged, self._path, read, seconds=self._seconds)


def mode_for_reading(path: Path) -> str:
    """The mode of opening a file that leaves it, and its folder, as they are."""
    if has_content(wal_of(path)):
        return "ro"
    # SQLite would leave a WAL and an index beside a file that may only be read, with that file's mode:
    # no process could write any more, even once the file's own mode is set right.
    return "rw" if may_write(path) else _IMMUTABLE


def _connect(path: Path, seconds: float) -> sqlite3.Connection:
    mode = mode_for_reading(path)
    try:
        return connect_to(path, timeout_seconds=seconds, mode=mode)
    except sqlite3.OperationalError as error:
        if mode != "rw" or error.sqlite_errorcode & 0xFF not in _NO_PLACE:
            raise
        # A full disk or a read-only folder has no place for the WAL's index. Then no process can be writing either.
        return connect_to(path, timeout_seconds=seconds, mode=_IMMUTABLE)


def _require(path: Path) -> None:
    # Whether content is expected is for the caller to know.
    require_content(path, expected=False)
    if not path.exists():
        raise DatabaseConnectionError(
            f"there is no database at {path}", hint="open the dashboard, or `acode-tui import --all`, to begin one"
        )
