"""Who has the workspace file open: every process shares a lock beside it; one that replaces the file has it alone.

The lock is the kernel's, on ``<file>.lock``: it goes with the process that held it, works for a file that is damaged or
missing, and is taken before SQLite reads anything. Without it a process could open the old file while another is put
in its place, and write its pages into the WAL of the new one.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

from acode_tui.domain.errors import DatabaseConnectionError, TransactionError
from acode_tui.files import PRIVATE_FILE, make_private_folder, try_lock
from acode_tui.plain_files import open_plain
from acode_tui.storage.sqlite.errors import require_file
from acode_tui.storage.sqlite.files import replace
from acode_tui.storage.sqlite.files.replace import no_foreign_connection
from acode_tui.storage.sqlite.paths import lock_of

_POLL_SECONDS = 0.02
_CANNOT_MAKE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR)


class SharedHold:
    """A shared lock of the file, held until ``close``."""

    def __init__(self, handle: int | None) -> None:
        self._handle = handle

    def close(self) -> None:
        """Release it; harmless if repeated."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


def share(database: Path, *, timeout_seconds: float) -> SharedHold:
    """Take the shared lock before opening the file; a replacement that was killed halfway is finished first.

    Where no lock can be made (a read-only folder, a folder that is not there) no process can replace the file either.
    Raises TransactionError while another process has it alone for longer than ``timeout_seconds``.
    """
    deadline = monotonic() + timeout_seconds
    handle = _open_lock(database)
    if handle is None:
        return SharedHold(None)
    try:
        _lock_shared(handle, database, deadline)
        while replace.is_unfinished(database):
            # No process has opened the file since: the first one finishes, the others find it done.
            if _lock(handle, min(deadline, monotonic() + _POLL_SECONDS)):
                replace.finish(database)
            elif monotonic() >= deadline:
                raise in_use(database)
            # An upgrade releases the shared lock first, whether it is granted or not.
            _lock_shared(handle, database, deadline)
    except BaseException:
        os.close(handle)
        raise
    return SharedHold(handle)


def share_if_known(database: Path, *, timeout_seconds: float) -> SharedHold:
    """Take the shared lock for a read that must change nothing: makes no lock file, finishes no replacement.

    Raises TransactionError while another process has the file alone for longer than ``timeout_seconds``.
    """
    try:
        handle = open_plain(lock_of(database), os.O_RDONLY)
    except OSError:
        return SharedHold(None)
    try:
        _lock_shared(handle, database, monotonic() + timeout_seconds)
    except BaseException:
        os.close(handle)
        raise
    return SharedHold(handle)


def finish_replacement(database: Path, *, timeout_seconds: float) -> None:
    """Finish a replacement that was decided and not completed; where there is none, nothing is made.

    For operations that do not open the workspace. Raises TransactionError as ``share`` does.
    """
    if replace.is_unfinished(database):
        share(database, timeout_seconds=timeout_seconds).close()


@contextmanager
def exclusive(database: Path, *, timeout_seconds: float) -> Iterator[None]:
    """Have the file alone for the length of the block; the caller has no connection to it open.

    A replacement that was killed halfway is finished first. Raises TransactionError, with the processes in the way
    where the system lists them, if another process keeps the file open for longer than ``timeout_seconds``, and
    DatabaseConnectionError for what is no file.
    """
    require_file(database)
    make_private_folder(database.parent)
    handle = _open_private(lock_of(database))
    try:
        if not _lock(handle, monotonic() + timeout_seconds):
            raise in_use(database)
        replace.finish(database)
        with no_foreign_connection(database):
            pass
        yield
    finally:
        os.close(handle)


def was_opened(database: Path) -> bool:
    """Whether a workspace was opened there before: that leaves a lock file."""
    return lock_of(database).exists()


def holders(database: Path) -> list[int]:
    """The other processes that have the workspace open, as far as the system lists them; none where it does not."""
    return [pid for pid in _holders(lock_of(database)) if pid != os.getpid()]


def _open_private(lock: Path) -> int:
    """A descriptor of the lock file, made if need be. A mode looser than 0600 is tightened (AC-057)."""
    handle = open_plain(lock, os.O_CREAT | os.O_RDWR, PRIVATE_FILE)
    mode = os.fstat(handle).st_mode & 0o777
    if mode & ~PRIVATE_FILE:
        with suppress(PermissionError):
            os.fchmod(handle, mode & PRIVATE_FILE)
    return handle


def _open_lock(database: Path) -> int | None:
    try:
        make_private_folder(database.parent)
        return _open_private(lock_of(database))
    except OSError as error:
        if error.errno in _CANNOT_MAKE:
            return None
        raise DatabaseConnectionError(
            f"cannot open {database}: {error.strerror or error}", hint="see what is wrong with its folder"
        ) from error


def _lock_shared(handle: int, database: Path, deadline: float) -> None:
    if not _lock(handle, deadline, shared=True):
        raise TransactionError(
            f"{database} is being replaced by another process",
            hint="wait until its restore or recovery has ended, then try again",
        )


def _lock(handle: int, deadline: float, *, shared: bool = False) -> bool:
    while not try_lock(handle, shared=shared):
        if monotonic() >= deadline:
            return False
        sleep(_POLL_SECONDS)
    return True


def in_use(database: Path) -> TransactionError:
    """The error of a process that needs the file alone, with the processes in the way where the system lists them."""
    pids = holders(database)
    who = f" (pid {', '.join(map(str, pids))})" if pids else ""
    return TransactionError(
        f"another process has {database} open{who}",
        hint="end the dashboard, the worker and the agents that use this workspace, then try again",
    )


def _holders(path: Path) -> list[int]:
    """The processes that hold locks on a file, as far as Linux lists them."""
    try:
        inode = path.stat().st_ino
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return []
    found = set()
    for line in lines:
        # 5: FLOCK  ADVISORY  READ 1234 00:1f:5678 0 EOF
        parts = line.split()
        if len(parts) >= 6 and parts[1] == "FLOCK" and parts[5].rpartition(":")[2] == str(inode):
            found.add(int(parts[4]))
    return sorted(found)
