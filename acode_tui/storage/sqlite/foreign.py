"""Connections of programs that know nothing of this program's locks, such as SQLite's own shell."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from acode_tui.domain.errors import TransactionError

_TAKEN = (errno.EAGAIN, errno.EACCES)
_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510
"""The bytes that a SQLite connection keeps locked while it has a file in WAL mode open."""


@contextmanager
def no_foreign_connection(database: Path) -> Iterator[None]:
    """Keep other processes' connections out for the length of the block. Raises TransactionError if there is one.

    The caller's own process must have none either: the end of the block would take that one's locks away.
    """
    try:
        handle = os.open(database, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        # Missing, or not this user's to write: there is nothing to lock, and replacing it is the folder's matter.
        yield
        return
    try:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
        except OSError as error:
            if error.errno in _TAKEN:
                raise TransactionError(
                    f"another process has {database} open", hint="close whatever else reads it, then try again"
                ) from None
            raise
        yield
    finally:
        os.close(handle)
