"""A log file that several processes append to and that any of them may rotate.

A line is one ``write`` to a file opened for appending, so lines never mix. Rotation happens under a lock on the file
itself; a process that finds another file at the path opens that one, so no line goes to a file that was moved away.
"""

import fcntl
import os
from pathlib import Path

from acode_tui.files import PRIVATE_FILE, PRIVATE_FOLDER, make_private_folder, tighten

MAX_BYTES = 5 * 1024 * 1024
KEPT = 3


class RotatingFile:
    """Appends lines to ``path``; beyond ``max_bytes`` it becomes ``path.1``, and so on up to ``kept`` old files."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._kept = kept
        self._handle: int | None = None

    def write(self, line: bytes) -> None:
        """Append one line. Raises OSError."""
        handle = self._current()
        if os.fstat(handle).st_size + len(line) > self._max_bytes:
            self._rotate(handle)
            handle = self._current()
        os.write(handle, line)

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _current(self) -> int:
        if self._handle is not None and self._is_at_path(self._handle):
            return self._handle
        self.close()
        make_private_folder(self._path.parent)
        tighten(self._path.parent, PRIVATE_FOLDER)
        tighten(self._path, PRIVATE_FILE)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._handle = os.open(self._path, flags, PRIVATE_FILE)
        return self._handle

    def _is_at_path(self, handle: int) -> bool:
        try:
            there = self._path.stat()
        except OSError:
            return False
        here = os.fstat(handle)
        return (here.st_ino, here.st_dev) == (there.st_ino, there.st_dev)

    def _rotate(self, handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            if not self._is_at_path(handle) or os.fstat(handle).st_size == 0:
                return
            for number in range(self._kept - 1, 0, -1):
                older = self._numbered(number)
                if older.exists():
                    older.replace(self._numbered(number + 1))
            self._path.replace(self._numbered(1))
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
