"""Reads a database file of another program. It is never written, no file is made beside it, nothing in it is trusted.

A program in WAL mode leaves what it wrote last in the log when it ends, so the log is read too.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from acode_tui.domain.errors import IngestError
from acode_tui.plain_files import reading_plain
from acode_tui.storage.sqlite.distrust import distrust
from acode_tui.storage.sqlite.paths import SHM, WAL, beside

MAX_COPY_BYTES = 2 * 1024 * 1024 * 1024
"""A database whose log has no index is copied, with the log, to be read; a larger one is opened where it is."""
MAX_VALUE_BYTES = 256 * 1024 * 1024
"""SQLite refuses a longer value, before it is in memory."""
BUSY_SECONDS = 5.0

_WAL_VERSION = b"\x02"
_VERSION_AT = 19
"""Where the header of a file says how it is to be read."""


class ForeignDatabase:
    """An open database, in one snapshot. Its queries raise IngestError."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    def tables(self) -> set[str]:
        """The names of its tables."""
        return {row["name"] for row in self.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> Iterator[Mapping[str, Any]]:
        """The rows of a query, one after the other, by column. Bytes of a text that are no UTF-8 are replaced."""
        with translated(self._path):
            for row in self._connection.execute(sql, parameters):
                yield dict(row)


@contextmanager
def open_foreign(path: Path) -> Iterator[ForeignDatabase]:
    """Open a database for reading. Raises IngestError where it is locked, damaged or of a newer release, OSError."""
    # The log of a database that is opened by a link is beside the file itself.
    real = Path(os.path.realpath(path))
    with _address(real) as address, translated(path), closing(_connect(address)) as connection:
        # One snapshot for all queries, and the only place where another process's lock is waited for.
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
        yield ForeignDatabase(path, connection)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Translate SQLite's errors in the block."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise IngestError(f"{path}: it is locked by its program ({error})", hint="import again later") from error
        if "no such" in str(error):
            message = f"{path}: it cannot be read ({error}); a newer release may keep its sessions in another form"
            raise IngestError(message, hint="update acode-tui, or export the session") from error
        raise IngestError(f"{path}: it cannot be read ({error})", hint="check its permissions") from error
    except sqlite3.DatabaseError as error:
        message = f"{path}: not a sound database ({error})"
        raise IngestError(message, hint="open it with its program, which may repair it") from error


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """The address by which the database is opened, so that no file is made beside it."""
    is_in_wal_mode = _is_in_wal_mode(path)
    log = beside(path, WAL)
    logged = log.stat().st_size if log.exists() else 0
    has_index = beside(path, SHM).exists()
    place = path.absolute().as_uri()
    if logged and not has_index and path.stat().st_size + logged <= MAX_COPY_BYTES:
        with tempfile.TemporaryDirectory(prefix="acode-tui-") as folder:
            copy = Path(folder, "copy.db")
            shutil.copyfile(path, copy)
            shutil.copyfile(log, beside(copy, WAL))
            yield copy.as_uri()
    elif logged or (has_index and log.exists()) or not is_in_wal_mode:
        # Its locks count: another process may be writing.
        yield f"{place}?mode=ro"
    else:
        # In WAL mode, and no process has it open: SQLite would have to make a log to read it otherwise.
        yield f"{place}?immutable=1"


def _is_in_wal_mode(path: Path) -> bool:
    # What is no regular file is not opened by SQLite, which would wait for a pipe's other end.
    with reading_plain(path) as file:
        return file.read(_VERSION_AT + 1)[_VERSION_AT:] == _WAL_VERSION


def _connect(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.row_factory = sqlite3.Row
        connection.text_factory = _text
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
        distrust(connection)
        connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
