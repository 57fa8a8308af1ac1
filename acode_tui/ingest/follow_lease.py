"""Which process imports the transcripts of a workspace by itself: one at a time.

The lease is the kernel's lock of a file, so it ends with its process however that ends. The file holds the process's
id, which the others show; it is not what decides.
"""

import os
from contextlib import suppress
from pathlib import Path

from acode_tui.files import PRIVATE_FILE, make_private_folder, try_lock
from acode_tui.plain_files import open_plain

_MAX_PID_BYTES = 20


class FollowLease:
    """The lease of one workspace, taken by at most one process. Not for use by several threads at once."""

    def __init__(self, agent_dir: Path) -> None:
        self._path = agent_dir / "follow.lock"
        self._handle: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this process holds it."""
        return self._handle is not None

    def take(self) -> bool:
        """Take it; False if another process holds it. Raises OSError where the file cannot be made or locked."""
        if self._handle is not None:
            return True
        make_private_folder(self._path.parent)
        handle = open_plain(self._path, os.O_CREAT | os.O_RDWR, PRIVATE_FILE)
        try:
            if not try_lock(handle):
                os.close(handle)
                return False
            os.ftruncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode(), 0)
        except BaseException:
            with suppress(OSError):
                os.close(handle)
            raise
        self._handle = handle
        return True

    def holder(self) -> int | None:
        """The id that the last process to take it wrote; None where there is none."""
        try:
            handle = open_plain(self._path, os.O_RDONLY)
        except OSError:
            return None
        try:
            text = os.pread(handle, _MAX_PID_BYTES, 0)
        finally:
            os.close(handle)
        return int(text) if text.isdigit() else None

    def release(self) -> None:
        """Give it back; harmless if repeated."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)
