"""Copying the bytes of a database file that no process can change meanwhile.

SQLite's online backup takes page after page through its cache, which costs three times what copying the bytes does. The
bytes of a file are a snapshot where both of these hold:

- A read transaction is open on it, in WAL mode.
- Its WAL is empty. The transaction then reads the file alone, under the WAL index's first read mark, and no checkpoint
  writes into the file while a connection holds that mark. Had it read frames of the WAL, no process could have
  truncated the WAL.

Commits go on, into the WAL. The file is read through SQLite's own descriptor: closing another one would drop the locks
that this process has on the file.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from acode_tui.storage.sqlite.connection import has_content
from acode_tui.storage.sqlite.paths import wal_of

_DESCRIPTORS = "/dev/fd"
_JOURNAL_VERSIONS = 18
"""Where the header has the two bytes that say whether readers and writers use a WAL."""
_NO_WAL = b"\x01\x01"


def frozen_descriptor(source: sqlite3.Connection) -> int | None:
    """SQLite's descriptor of a file whose bytes are the snapshot of the open transaction; None if there is none.

    The descriptor stays open as long as the connection does: SQLite closes none of a file while a connection of this
    process holds a lock on it. It is not the caller's to close.
    """
    (name,) = source.execute("SELECT file FROM pragma_database_list WHERE name = 'main'").fetchone()
    if not name or not source.in_transaction or source.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        return None
    # The transaction begins with the first page that it reads.
    source.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return None if has_content(wal_of(Path(name))) else _open_descriptor(Path(name))


def copy_bytes(source: int, target: Path, size: int, block_bytes: int, copied: Callable[[int], object]) -> None:
    """Copy ``size`` bytes over the beginning of ``target``, which then is a database without a WAL.

    ``copied`` is called with the number of bytes after each block. Raises EOFError where the source ends before.
    """
    before, block, done = _identity(source), memoryview(bytearray(block_bytes)), 0
    handle = os.open(target, os.O_WRONLY)
    try:
        while done < size:
            count = os.preadv(source, [block[: size - done]], done)
            if not count:
                raise EOFError("the file ends before its last page")
            done += _write(handle, block[:count], done)
            copied(done)
        _write(handle, memoryview(_NO_WAL), _JOURNAL_VERSIONS)
    finally:
        os.close(handle)
    if _identity(source) != before:
        raise EOFError("the file was closed while it was copied")


def _open_descriptor(path: Path) -> int | None:
    """A descriptor of this process by which the file is open."""
    wanted = path.stat()
    # Where descriptors cannot be listed, the file is copied by SQLite.
    with suppress(OSError):
        for each in map(int, os.listdir(_DESCRIPTORS)):
            with suppress(OSError):
                if _identity(each) == (wanted.st_dev, wanted.st_ino):
                    return each
    return None


def _identity(handle: int) -> tuple[int, int]:
    found = os.fstat(handle)
    return found.st_dev, found.st_ino


def _write(handle: int, block: memoryview, place: int) -> int:
    written = 0
    while written < len(block):
        written += os.pwrite(handle, block[written:], place + written)
    return written
