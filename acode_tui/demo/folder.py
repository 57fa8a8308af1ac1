"""The demo's temporary folders: private, gone when the demo ends, and swept by the next one where it was killed.

A folder belongs to whoever holds the lock in it. The lock ends with the process however that ends, so a folder whose
lock is free is nobody's any more.
"""

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from acode_tui.files import PRIVATE_FILE

PREFIX = "acode-demo-"
LOCK = "lock"
MAX_PARENT_CHARS = 60
"""A socket's path may have about a hundred characters, its name and the demo's folder included."""

UNLOCKED_SECONDS = 600.0
"""A folder without a lock is being made just now, unless it is older than this."""


def temporary_folder() -> Path:
    """Where temporary files go, if a socket below it has room for its name."""
    usual = Path(tempfile.gettempdir())
    return usual if len(os.fsencode(usual)) <= MAX_PARENT_CHARS else Path("/tmp")  # noqa: S108 - mkdtemp makes it ours


@contextmanager
def demo_folder(parent: Path, *, owner: int | None = None) -> Iterator[Path]:
    """A new folder, 0700, removed at the end of the block. ``owner`` is another user that it is made over to."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        lock = os.open(folder / LOCK, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE_FILE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if owner is not None:
                os.chown(folder, owner, owner)
            yield folder
        finally:
            remove(folder)
            os.close(lock)
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    """Take a folder away with all that is in it; what a process that is just ending still writes is taken again."""
    for _ in range(5):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


def sweep(parent: Path, *, end: Callable[[Path], None], owners: frozenset[int]) -> int:
    """Remove what killed demos have left in ``parent``; answers how many folders. ``end`` ends what runs in one."""
    return sum(_swept(folder, end, owners) for folder in parent.glob(f"{PREFIX}*"))


def _swept(folder: Path, end: Callable[[Path], None], owners: frozenset[int]) -> bool:
    with suppress(FileNotFoundError):
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners:
            return False
        try:
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            if time.time() - found.st_mtime < UNLOCKED_SECONDS:
                return False
            remove(folder)
            return True
        except OSError:
            return False  # not one of ours, whatever its name
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            end(folder)
            remove(folder)
            return True
        finally:
            os.close(lock)
    return False
