"""Locks between processes: flock on a folder or a file made for it; a lock goes with the process that held it."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from acode_tui.domain.errors import AcodeError
from acode_tui.files import PRIVATE_FILE, make_private_folder

_POLL_SECONDS = 0.05


@contextmanager
def locked(
    path: Path,
    *,
    timeout_seconds: float,
    refusal: Callable[[], AcodeError],
    shared: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Iterator[int]:
    """Hold the lock of ``path`` for the length of the block, which is given the file's descriptor.

    Raises ``refusal()`` where others have held it for ``timeout_seconds``; ``check`` is called while waiting, and may
    raise to end the wait.
    """
    make_private_folder(path.parent)
    how = os.O_RDONLY if path.is_dir() else os.O_CREAT | os.O_RDWR
    handle = os.open(path, how | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        deadline = monotonic() + timeout_seconds
        while not _try(handle, shared):
            check()
            if monotonic() >= deadline:
                raise refusal()
            sleep(_POLL_SECONDS)
        yield handle
    finally:
        os.close(handle)


def _try(handle: int, shared: bool) -> bool:
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
