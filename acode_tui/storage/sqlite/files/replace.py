"""Putting another database in the workspace file's place, so that a kill at any moment leaves the old or the new one.

A WAL belongs to no file in particular: SQLite would play the old one into the new database. So the old WAL must be gone
before the new file arrives, and two files cannot be changed at once. Hence one rename decides: from then on there is
a whole ``<file>.replacing`` beside the file, and the next process that opens the workspace finishes what is left to do
(see ``locks.share``). Every step may be repeated.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from acode_tui.domain.errors import TransactionError
from acode_tui.files import sync_path
from acode_tui.plain_files import open_plain, what_is_wrong
from acode_tui.storage.sqlite.paths import JOURNAL, SHM, WAL, beside

_TAKEN = (errno.EAGAIN, errno.EACCES)
_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510
"""The bytes that a SQLite connection keeps locked while it has a file in WAL mode open."""


@contextmanager
def no_foreign_connection(database: Path) -> Iterator[None]:
    """Keep other processes' connections out for the length of the block. Raises TransactionError if there is one.

    The caller's own process must have none either: the end of the block would drop that connection's locks.
    """
    try:
        handle = open_plain(database, os.O_RDWR)
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
                    f"another process has {database} open",
                    hint="close each program that reads it, then try again",
                ) from None
            raise
        yield
    finally:
        os.close(handle)


_DECIDED = ".replacing"


def replace(database: Path, new: Path, *, keep_as: str | None = None) -> Path | None:
    """Put the closed, whole database ``new`` in the place of ``database``; the caller has that alone.

    ``keep_as`` is the suffix under which the old file and its WAL stay: ``corrupted-20260105_182345`` makes
    ``workspace.db.corrupted-20260105_182345``; without it they go. Returns where the old file is now, if it is.
    """
    for leftover in (beside(new, WAL), beside(new, SHM), beside(new, JOURNAL)):
        if leftover.exists():
            raise ValueError(f"{new} was not closed: {leftover} is there")
    sync_path(new)
    old = any(beside(database, part).exists() for part in ("", WAL, JOURNAL))
    kept = _free_name(database, keep_as) if keep_as and old else None
    suffix = "" if kept is None else kept.name.removeprefix(database.name)
    with no_foreign_connection(database):
        os.rename(new, beside(database, _DECIDED + suffix))
        sync_path(database.parent)
        finish(database)
    return kept


def is_unfinished(database: Path) -> bool:
    """Whether a replacement was decided and not completed."""
    return next(_decided(database), None) is not None


def finish(database: Path) -> None:
    """Complete a replacement that was decided; harmless if there is none. The caller has the file alone."""
    for ready in _decided(database):
        keep_as = ready.name.removeprefix(database.name + _DECIDED)
        # The WAL first: the old database may do without it for a moment, the new one must never meet it.
        for part in (WAL, JOURNAL):
            _move_away(beside(database, part), beside(database, keep_as + part) if keep_as else None)
        _move_away(beside(database, SHM), None)
        if keep_as:
            _move_away(database, beside(database, keep_as))
        os.rename(ready, database)
        sync_path(database.parent)


def _free_name(database: Path, suffix: str) -> Path:
    """A free name beside the database: two files that are kept in one second get different ones."""
    name, number = beside(database, f".{suffix}"), 2
    while any(beside(name, part).exists() for part in ("", WAL, JOURNAL)):
        name = beside(database, f".{suffix}_{number}")
        number += 1
    return name


def _decided(database: Path) -> Iterator[Path]:
    start = database.name + _DECIDED
    try:
        names = os.listdir(database.parent)
    except OSError:
        return
    for name in sorted(names):
        ready = database.parent / name
        if (name == start or name.startswith(start + ".")) and not what_is_wrong(ready):
            yield ready


def _move_away(path: Path, to: Path | None) -> None:
    with suppress(FileNotFoundError):
        if to is None:
            path.unlink()
        else:
            os.rename(path, to)
