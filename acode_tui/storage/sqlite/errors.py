"""SQLite's errors as AcodeError: what happened to which file, with a code and a hint.

The file itself is opened only after SQLite has refused it: closing a descriptor of a database drops the locks that
this process's connections hold on it.
"""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from acode_tui.domain.codec import without_value
from acode_tui.domain.errors import AcodeError, DatabaseConnectionError, DiskFullError, IntegrityError, TransactionError
from acode_tui.domain.quantities import number
from acode_tui.plain_files import reading_plain, what_is_wrong
from acode_tui.storage.sqlite.paths import JOURNAL, SHM, WAL, beside, wal_of

WAYS_OUT = (
    "keep it as it is, and put a backup in its place with `acode-tui db restore`, or rebuild it with "
    "`acode-tui db recover --from postgres`"
)
_NO_ROOM = (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_TRUNCATE)
"""SQLite's codes where the file system does not report that it is full: for the WAL's index, for a limit."""

_LOST = re.compile(r"no such (table|column): (.+)")
"""SQLite's message for a missing table or column that a migration has created: another program removed it."""

_NO_TEXT = "Could not decode to UTF-8"
"""How Python's message for a text that is none begins. It has no code of SQLite, which knows nothing of it."""

_MAGIC = b"SQLite format 3\x00"
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
_OF_SQLITE = (WAL, SHM, JOURNAL)
_HEADER_BYTES = 100


@contextmanager
def translated(what: str, *, at_open: bool = False) -> Iterator[None]:
    """Translate sqlite3's errors in the block; ``what`` is the operation that failed."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, what, at_open=at_open) from error
    except (UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise _no_text(what, error) from error


def translate(error: sqlite3.Error, what: str, *, at_open: bool = False) -> AcodeError:
    """The AcodeError for an error of sqlite3; ``what`` is the operation that failed."""
    primary = _primary(error)
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or str(error).startswith(_NO_TEXT):
        return IntegrityError(f"{what}: the file is damaged or not a database", hint=WAYS_OUT)
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return TransactionError(f"{what}: another process held the write lock for the whole wait")
    if primary == sqlite3.SQLITE_INTERRUPT:
        return TransactionError(f"{what}: the transaction took longer than allowed and was rolled back")
    if primary == sqlite3.SQLITE_FULL:
        return DiskFullError(f"{what}: the disk is full")
    if getattr(error, "sqlite_errorcode", None) in _NO_ROOM:
        return DiskFullError(f"{what}: the disk takes no more: it is full, or a quota or limit of file size is reached")
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY_DBMOVED:
        return DatabaseConnectionError(
            f"{what}: the file was removed or replaced while it was open", hint="put the file back, or start again"
        )
    if primary == sqlite3.SQLITE_READONLY:
        return TransactionError(f"{what}: the database is read-only", hint="check the file's owner and mode")
    lost = _LOST.match(str(error)) if primary == sqlite3.SQLITE_ERROR else None
    if lost is not None:
        return IntegrityError(
            f"{what}: the file has lost a {lost[1]}: {lost[2]}", hint="see what else is wrong with `acode-tui db check`"
        )
    if at_open or primary == sqlite3.SQLITE_CANTOPEN:
        return DatabaseConnectionError(f"{what}: {error}")
    if primary == sqlite3.SQLITE_CONSTRAINT:
        return IntegrityError(f"{what}: {error}", hint="the row does not fit those already there; nothing was written")
    return TransactionError(f"{what}: {error}")


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """The same for opening a file: the file itself is examined for the reason."""
    try:
        yield
    except sqlite3.Error as error:
        raise opening_error(error, path) from error
    except (UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise _no_text(f"cannot open {path}", error) from error


def misfit(error: Exception) -> str:
    """Why a stored value is not what the program writes there, without the value: it may be anything recorded."""
    return "a text in it is no text" if isinstance(error, UnicodeDecodeError) else without_value(error)


def _no_text(what: str, error: Exception) -> IntegrityError:
    """The error for a value that is not what the program writes there. SQLite checks neither texts nor JSON."""
    return IntegrityError(f"{what}: the file is damaged: {misfit(error)}", hint=WAYS_OUT)


def opening_error(error: sqlite3.Error, path: Path) -> AcodeError:
    """Why a file cannot be opened: a sentence for each kind of damage and each kind of refusal."""
    primary, what = _primary(error), f"cannot open {path}"
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return IntegrityError(f"{what}: {_damage(path)}", hint=WAYS_OUT)
    if primary in (
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
    ):
        reason, hint = _refusal(path)
        if reason:
            return DatabaseConnectionError(f"{what}: {reason}", hint=hint)
        if _is_full(path.parent):
            return DiskFullError(f"{what}: the disk is full")
    return translate(error, what, at_open=True)


def require_file(path: Path) -> None:
    """Refuse a link, a device, a pipe or a folder in the place of the database or of the files beside it.

    Opening a pipe may never return, SQLite follows links, and none of these must be replaced by a database. A missing
    file is accepted. Raises DatabaseConnectionError.
    """
    for suffix in ("", *_OF_SQLITE):
        each = beside(path, suffix)
        wrong = what_is_wrong(each)
        if wrong:
            raise DatabaseConnectionError(
                f"{each} is no file: it is {wrong}", hint="move it away, or name another persistence.sqlite.path"
            )
    if _names_other_journal(beside(path, JOURNAL)):
        raise DatabaseConnectionError(
            f"{beside(path, JOURNAL)} is of a transaction over several databases, which acode-tui never makes",
            hint="it did not come from acode-tui: move it away",
        )


def _names_other_journal(journal: Path) -> bool:
    """Whether a rollback journal ends with the name of a super-journal: SQLite deletes the file of that name."""
    try:
        with reading_plain(journal) as file:
            file.seek(-len(_JOURNAL_MAGIC), os.SEEK_END)
            return file.read() == _JOURNAL_MAGIC
    except OSError:
        return False  # missing, or shorter than that


def require_content(database: Path, *, expected: bool) -> None:
    """Refuse a file whose content is gone, before anything is made in its place. Raises IntegrityError.

    A first start that is killed between creating the file and filling it leaves an empty file, which is filled later.
    But where content is ``expected`` (the workspace's id was written down, or there are backups), or the WAL is not
    empty, an empty file is a loss: filling it would hide that, and SQLite would delete the WAL.
    Raises DatabaseConnectionError for what is not a regular file.
    """
    require_file(database)
    wal = _size(wal_of(database))
    size = _size(database)
    if wal and size is None:
        raise IntegrityError(f"cannot open {database}: the file is missing, and its WAL is still there", hint=WAYS_OUT)
    if size == 0 and (wal or expected):
        raise IntegrityError(f"cannot open {database}: the file is empty, and it was not", hint=WAYS_OUT)


def require_whole_pages(connection: sqlite3.Connection, database: Path) -> None:
    """Refuse a file whose last page is cut off: SQLite would read the rest of it as zeros. Raises IntegrityError.

    An interrupted checkpoint leaves such a page too; the WAL then holds the whole page.
    """
    # In this order: reading the count opens the file, and only then is its page size known.
    pages, page = (int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "page_size"))
    size = _size(database)
    if not size or size >= pages * page or _size(wal_of(database)):
        return
    # A checkpoint may have been running: without a WAL it has ended.
    if _size(database) == size:
        raise IntegrityError(f"cannot open {database}: {_cut_off(size, pages * page)}", hint=WAYS_OUT)


def may_write(database: Path) -> bool:
    """Whether this user may read and write the file itself; the rights to its folder do not count."""
    return _may(database, os.R_OK | os.W_OK)


def require_rights(database: Path) -> None:
    """Refuse a file that this user may only read: SQLite would open it, and every write would fail.

    Raises DatabaseConnectionError.
    """
    if not may_write(database):
        reason, hint = _refusal(database)
        raise DatabaseConnectionError(f"cannot open {database}: {reason}", hint=hint)


def _damage(path: Path) -> str:
    """What is wrong with a file that SQLite reports as damaged or not a database."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
        size = path.stat().st_size
    except OSError as error:
        return f"it is damaged, and cannot be read either: {error.strerror or error}"
    if not header.startswith(_MAGIC):
        if not any(header):
            return "its header is gone: it begins with zeros"
        return "it is no SQLite database: it begins like something else"
    page = int.from_bytes(header[16:18], "big")
    page = 65536 if page == 1 else page
    whole = int.from_bytes(header[28:32], "big") * page
    if size < whole:
        return _cut_off(size, whole)
    return "it is damaged: its pages do not fit together"


def _cut_off(size: int, whole: int) -> str:
    return f"it is cut off: {number(size)} of {number(whole)} bytes are there"


def _refusal(path: Path) -> tuple[str, str]:
    """(reason, hint) why this user cannot use an undamaged file; empty strings where there is no such reason."""
    folder = path.parent
    try:
        system = os.statvfs(folder)
    except OSError as error:
        return f"{folder}: {error.strerror or error}", "check that the folder is there and that you may use it"
    if not _may(path, os.R_OK):
        return f"you may not read it ({_owner(path)})", "check the file's owner and mode; it was left as it is"
    if system.f_flag & os.ST_RDONLY:
        return "its file system is read-only", "choose another place with --workspace or persistence.sqlite.path"
    if not _may(path, os.W_OK):
        return f"you may not write to it ({_owner(path)})", "check the file's owner and mode; it was left as it is"
    if not _may(folder, os.W_OK | os.X_OK):
        return (
            f"you may not write to its folder ({_owner(folder)}), where SQLite keeps its WAL",
            "check the folder's owner and mode; the file was left as it is",
        )
    return "", ""


def _is_full(folder: Path) -> bool:
    try:
        return os.statvfs(folder).f_bavail == 0
    except OSError:
        return False


def _may(path: Path, how: int) -> bool:
    return os.access(path, how, effective_ids=os.access in os.supports_effective_ids)


def _owner(path: Path) -> str:
    try:
        status = path.stat()
    except OSError as error:
        return error.strerror or str(error)
    return f"mode {status.st_mode & 0o777:04o}, owner {status.st_uid}, you are {os.geteuid()}"


def _primary(error: sqlite3.Error) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if code is not None else None


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
