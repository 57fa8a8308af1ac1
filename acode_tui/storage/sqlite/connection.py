"""Opening the workspace file: the pragmas of every connection, exact file modes, errors as AcodeError.

A connection has a thread of its own (aiosqlite's). Work reaches it as a plain function of the ``sqlite3.Connection``:
one hop for any number of statements.
"""

import asyncio
import errno
import os
import re
import sqlite3
import weakref
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import Any, TypeVar

import aiosqlite

from acode_tui.domain.errors import (
    DatabaseConnectionError,
    IntegrityError,
    SchemaMismatchError,
    TransactionError,
    ValidationError,
)
from acode_tui.files import PRIVATE_FILE, PRIVATE_FOLDER, make_private_folder, tighten, widen
from acode_tui.logs import enabled, get_logger
from acode_tui.storage.sqlite.distrust import distrust
from acode_tui.storage.sqlite.errors import WAYS_OUT, may_write, opening, require_file, require_whole_pages
from acode_tui.storage.sqlite.file_in_place import OpenFile, identify
from acode_tui.storage.sqlite.file_systems import shared_file_system
from acode_tui.storage.sqlite.paths import SHM, WAL, beside, wal_of

T = TypeVar("T")

MINIMUM_SQLITE = (3, 37, 0)
"""STRICT tables arrived with 3.37 (AC-003)."""

SLOW_STATEMENT_SECONDS = 0.1
STATEMENT_CACHE = 256

PAGE_BYTES = 4_096
"""Page size of a new file; an existing file keeps its own. A small write changes one row in each of a dozen tables and
indexes and puts whole pages into the WAL: with twice the size it writes almost twice as much. See
``docs/decisions/0008-pages-of-4-kib.md``.
"""

WAL_BYTES = 32 * 1024 * 1024
"""Size of the WAL beyond which SQLite itself makes a checkpoint. With a sixth of it an import takes an eighth longer:
the checkpoints move index pages that the next group changes again.
"""

_WAL_RETRY_SECONDS = 0.02

_TRANSACTION = re.compile(r"\s*(?:BEGIN|COMMIT|END|ROLLBACK(?!\s+(?:TRANSACTION\s+)?TO\b))\b", re.IGNORECASE)
_NO_TRANSACTION = frozenset("SUIDW")
"""Of SELECT, UPDATE, INSERT, DELETE and WITH: nearly every statement is one of these. None of the others begins so."""

_execute = sqlite3.Connection.execute
# Every statement comes this way, and ``super()`` makes an object each time.

log = get_logger("acode_tui.storage.sqlite")


class TimedConnection(sqlite3.Connection):
    """Logs each statement's name and duration, never its values: at debug, or at warning beyond 100 ms.

    While ``within_unit`` is set, a statement that would begin or end a transaction is refused: units share one, and
    a COMMIT in one of them would make others run twice.
    """

    within_unit = False
    file: OpenFile | None = None
    """Of a writer's connection: the file that it opened."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if self.within_unit and sql[:1] not in _NO_TRANSACTION and _TRANSACTION.match(sql):
            raise TransactionError("a unit of work cannot begin or end a transaction")
        started = perf_counter()
        try:
            cursor = _execute(self, sql, parameters)
        except (UnicodeEncodeError, OverflowError) as error:
            raise _unbindable(error) from None
        except UnicodeDecodeError as error:
            # SQLite's message quotes a name of the schema, and the name is no text.
            raise IntegrityError("the database's schema is damaged: a name in it is no text", hint=WAYS_OUT) from error
        elapsed = perf_counter() - started
        if elapsed > SLOW_STATEMENT_SECONDS or enabled("debug"):
            _report(sql, elapsed)
        return cursor

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        started = perf_counter()
        try:
            cursor = super().executemany(sql, parameters)
        except (UnicodeEncodeError, OverflowError) as error:
            raise _unbindable(error) from None
        elapsed = perf_counter() - started
        if elapsed > SLOW_STATEMENT_SECONDS or enabled("debug"):
            _report(sql, elapsed)
        return cursor

    def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
        if self.within_unit:
            raise TransactionError("a unit of work cannot run a script: that would commit first")
        return super().executescript(sql_script)

    def commit(self) -> None:
        if self.in_transaction:
            self.execute("COMMIT")

    def rollback(self) -> None:
        if self.in_transaction:
            self.execute("ROLLBACK")


def _report(sql: str, elapsed: float) -> None:
    if elapsed > SLOW_STATEMENT_SECONDS:
        log.warning("statement.slow", database="sqlite", operation=statement_name(sql), duration_ms=elapsed * 1e3)
    else:
        log.debug("statement", database="sqlite", operation=statement_name(sql), duration_ms=elapsed * 1e3)


def _unbindable(error: Exception) -> ValidationError:
    """The error for a value that Python cannot bind. Validation at the API names the field; this is the last resort."""
    if isinstance(error, UnicodeEncodeError):
        return ValidationError("text", "contains a lone surrogate, which a database text cannot hold")
    return ValidationError("number", "is beyond what a database integer holds")


def statement_name(sql: str) -> str:
    """A statement's first words: they identify it and hold no value (values are always bound)."""
    return " ".join(sql.split(None, 5)[:5])[:80]


class FunctionConnection(aiosqlite.Connection):
    """An aiosqlite connection that runs whole functions in its thread, one hop each."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connect, iter_chunk_size=64)
        _open_connections.add(self)

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """``function(connection)``, in the connection's own thread."""
        result: T = await self._execute(function, self._conn)  # type: ignore[no-untyped-call]
        return result

    def begin(self, function: Callable[[sqlite3.Connection], T], ended: Callable[[T | BaseException], object]) -> None:
        """Start ``function(connection)`` in the connection's thread; ``ended`` is called on the loop with its answer.

        ``ended`` gets an exception as what it is. No task waits, which saves two turns of the loop over ``run``. Raises
        ValueError where the connection is closed.
        """
        self._tx.put_nowait((_Answer(asyncio.get_running_loop(), ended), partial(function, self._conn)))  # type: ignore[arg-type]

    def join(self) -> None:
        """Wait for the connection's thread to end."""
        self._thread.join()

    @property
    def raw(self) -> sqlite3.Connection:
        """The connection itself. Only ``interrupt`` is safe from another thread."""
        return self._conn


class _Answer:
    """What the connection's thread uses of a future: the answer reaches its receiver in the turn it arrives in."""

    __slots__ = ("_loop", "set_exception", "set_result")

    def __init__(self, loop: asyncio.AbstractEventLoop, ended: Callable[[Any], object]) -> None:
        self._loop = loop
        self.set_result = ended
        self.set_exception = ended

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def done(self) -> bool:
        return False


_open_connections: "weakref.WeakSet[FunctionConnection]" = weakref.WeakSet()


def _keep_open() -> None:
    """In a forked child: give each connection a reference that nothing drops.

    Freeing a connection closes it, and closing plays the WAL into the file, which the parent may have replaced by then.
    """
    import ctypes

    for connection in tuple(_open_connections):
        if connection._connection is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection._connection))


os.register_at_fork(after_in_child=_keep_open)


def require_sqlite(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> None:
    """Raise SchemaMismatchError where the SQLite library is too old for the schema."""
    if version < MINIMUM_SQLITE:
        raise SchemaMismatchError(
            f"SQLite {'.'.join(map(str, version))} cannot hold STRICT tables; 3.37 or newer is needed",
            hint="use a Python built against a newer SQLite",
        )


def prepare_file(path: Path) -> bool:
    """Create the file with mode 0600 in a folder of mode 0700. True if the file is new (AC-057).

    An existing file keeps its mode, for it may be another program's: see ``make_private``. A WAL and a SHM that were
    created while the file was read-only would prevent every write: where the file is writable, they are made so.
    """
    try:
        make_private_folder(path.parent)
        if path.parent.name == ".agent" and not os.path.lexists(path):
            tighten(path.parent, PRIVATE_FOLDER)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE_FILE))
        except FileExistsError:
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, "it is a folder") from None
            if may_write(path):
                for each in _beside(path):
                    widen(each, PRIVATE_FILE)
            return path.stat().st_size == 0
        return True
    except OSError as error:
        raise DatabaseConnectionError(
            f"cannot open {path}: {error.strerror or error}",
            hint="choose another place with --workspace or persistence.sqlite.path",
        ) from error


def make_private(path: Path) -> None:
    """Tighten the modes of a workspace's file, its WAL and its SHM where they are looser than 0600 (AC-057).

    Only once the file is known to be a workspace's: another program's may be meant for others. SQLite creates the WAL
    and SHM files with the mode of the database.
    """
    if path.parent.name == ".agent":
        tighten(path.parent, PRIVATE_FOLDER)
    for each in (path, *_beside(path)):
        tighten(each, PRIVATE_FILE)


def _beside(path: Path) -> tuple[Path, ...]:
    return tuple(beside(path, suffix) for suffix in (WAL, SHM))


class SqliteConnectionFactory:
    """Opens the connections to one workspace file, each with the pragmas of its use.

    ``timeout_seconds`` is how long a connection waits for a lock.
    """

    def __init__(self, path: Path, *, timeout_seconds: float = 30.0) -> None:
        self.path = path
        self.timeout_seconds = timeout_seconds

    async def open_writer(self, *, check: Callable[[sqlite3.Connection], object]) -> FunctionConnection:
        """The process's one writing connection: ``synchronous=FULL``, foreign keys, transactions by hand, and WAL
        unless two kernels may share the file system.

        ``check`` reads the file before anything about it is changed; an exception leaves the file as it was.
        """
        return await _open(self.path, lambda: self._connect_writer(check))

    async def open_checkpointer(self) -> FunctionConnection:
        """A connection that moves the WAL to the database and does nothing else."""
        return await _open(self.path, self._connect)

    async def open_indexer(self) -> FunctionConnection:
        """A connection that writes the search index beside the writer, in short transactions."""
        return await _open(self.path, self._connect_indexer)

    async def open_reader(self) -> FunctionConnection:
        """A connection that can only read."""
        return await _open(self.path, self._connect_reader)

    def _connect(self, *, mode: str = "rw") -> TimedConnection:
        return connect_to(self.path, timeout_seconds=self.timeout_seconds, mode=mode)

    def _connect_writer(self, check: Callable[[sqlite3.Connection], object]) -> sqlite3.Connection:
        if has_content(wal_of(self.path)):
            # Closing a connection that may write plays the WAL into the file, even if it only read.
            with closing(self._connect(mode="ro")) as reading:
                check(reading)
        connection = self._connect()
        try:
            check(connection)
            shared = shared_file_system(self.path.parent)
            configure_writer(connection, self.timeout_seconds, wal=shared is None)
            connection.file = identify(self.path, stable_inodes=shared is None)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect_indexer(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            configure_indexer(connection, wal=shared_file_system(self.path.parent) is None)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect_reader(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            configure_reader(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def configure_writer(connection: sqlite3.Connection, timeout_seconds: float, *, wal: bool = True) -> None:
    """Set the pragmas of a connection that writes. A new file gets its page size and journal; both stay in the file."""
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    if wal:
        _use_wal(connection, timeout_seconds)
    else:
        _use_rollback_journal(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    # Checkpoints run on their own connection, by the number of rows written. Few rows may be large, and many
    # writes may come during a checkpoint: then SQLite makes one within a commit.
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_BYTES // page_bytes(connection)}")
    # Statements with triggers keep copies of the pages they change: in memory, not in a file for each.
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA cache_size = -16384")
    connection.execute("PRAGMA journal_size_limit = 67108864")


def configure_indexer(connection: sqlite3.Connection, *, wal: bool = True) -> None:
    """Set the pragmas of a connection that writes derived data: what a power cut takes from it is made again.

    With a rollback journal a power cut may damage the file itself, so each commit is on disk there.
    """
    connection.execute(f"PRAGMA synchronous = {'NORMAL' if wal else 'FULL'}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_BYTES // page_bytes(connection)}")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA cache_size = -16384")
    # Merging segments frees pages all the time: their old content is not overwritten where that is a write of its own.
    connection.execute("PRAGMA secure_delete = FAST").fetchall()


def configure_reader(connection: sqlite3.Connection) -> None:
    """Set the pragmas of a connection that only reads."""
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA foreign_keys = ON")
    # Mapped pages count as memory in use, and a long drain reads the whole file: map no more than helps.
    connection.execute("PRAGMA mmap_size = 67108864")
    connection.execute("PRAGMA cache_size = -8192")


def _use_wal(connection: sqlite3.Connection, timeout_seconds: float) -> None:
    """Turn WAL on, which is stored in the file.

    SQLite does not wait for a lock here: of several processes that open a new file at once, all but one are refused at
    first. So this function waits.
    """
    deadline = monotonic() + timeout_seconds
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or monotonic() >= deadline:
                raise
            sleep(_WAL_RETRY_SECONDS)
        else:
            return


def _use_rollback_journal(connection: sqlite3.Connection) -> None:
    """Turn WAL off, which is stored in the file.

    While another process has the file open in WAL mode it stays on: the log says so.
    """
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise
        log.warning("journal.wal", database="sqlite", reason="another process has the file open in WAL mode")


def page_bytes(connection: sqlite3.Connection) -> int:
    """The page size of this file in bytes."""
    return int(connection.execute("PRAGMA page_size").fetchone()[0])


def has_content(path: Path) -> bool:
    """Whether a file exists and is not empty."""
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def connect_to(path: Path, *, timeout_seconds: float, mode: str = "rw") -> TimedConnection:
    """A plain connection to an existing file; ``mode`` is ``rw`` or ``ro``.

    Raises sqlite3.Error, IntegrityError for a file whose last page is cut off, and DatabaseConnectionError for what
    ``require_file`` refuses: SQLite opens by name, and its flag that forbids links is out of Python's reach.
    """
    require_file(path)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=timeout_seconds,
        isolation_level=None,
        check_same_thread=False,
        factory=TimedConnection,
        cached_statements=STATEMENT_CACHE,
    )
    try:
        connection.execute(f"PRAGMA busy_timeout = {int(timeout_seconds * 1000)}")
        distrust(connection)
        require_whole_pages(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


async def _open(path: Path, connect: Callable[[], sqlite3.Connection]) -> FunctionConnection:
    with opening(path):
        connection = FunctionConnection(connect)
        try:
            await connection
        except BaseException:
            # Its thread still posts its end to the loop; the loop must not be closed before that.
            await asyncio.to_thread(connection.join)
            raise
        return connection
