"""Opening files of a folder that may be a stranger's: regular files only, by descriptors, and no link is followed.

A cloned or unpacked folder may hold a symbolic link, a pipe or a device under any name that the program uses. A link
leads a write or a change of mode to another file of this user; opening a pipe waits for somebody who never comes.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISLNK, "a symbolic link, which is not followed"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def reason_not_plain(status: os.stat_result) -> str:
    """What a file is, if it is no regular file, or a hard link of another user's file; empty if it is fine.

    Another user's file with a second name is one that its owner did not put here, or does not know to be here.
    """
    for is_kind, name in _KINDS:
        if is_kind(status.st_mode):
            return name
    if not stat.S_ISREG(status.st_mode):
        return "no regular file"
    if status.st_nlink > 1 and status.st_uid != os.geteuid():
        return "a hard link of another user's file"
    return ""


def what_is_wrong(path: Path) -> str:
    """As ``reason_not_plain`` for what has this name; empty also if nothing has. Opens nothing.

    For a database: closing a descriptor of it drops the locks of this process's connections.
    """
    try:
        return reason_not_plain(os.lstat(path))
    except OSError:
        return ""


def open_plain(path: Path, flags: int, mode: int = 0o600) -> int:
    """A descriptor of a regular file that has this very name. It is made with ``mode`` if ``flags`` have ``O_CREAT``.

    Never waits. Raises OSError with the reason for anything else, and if the last part of ``path`` is a link.
    """
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    except OSError as error:
        # A link is ELOOP, a pipe or a socket ENXIO, a folder EISDIR: say which.
        reason = what_is_wrong(path)
        raise OSError(error.errno, f"is {reason}" if reason else error.strerror, str(path)) from None
    reason = reason_not_plain(os.fstat(handle))
    if reason:
        os.close(handle)
        raise OSError(errno.EINVAL, f"is {reason}", str(path))
    return handle


@contextmanager
def reading_plain(path: Path) -> Iterator[IO[bytes]]:
    """A regular file that has this very name, for reading. Raises OSError as ``open_plain`` does."""
    with open(open_plain(path, os.O_RDONLY), "rb") as file:
        yield file


def change_mode(path: Path, change: Callable[[int], int]) -> None:
    """Set a file's or a folder's mode to ``change(mode)``. A link, and a file of another user, is left as it is.

    The descriptor is one without access, where the system has such: closing it leaves the locks of SQLite's
    connections as they are.
    """
    with suppress(PermissionError, FileNotFoundError, NotADirectoryError):
        if not hasattr(os, "O_PATH"):
            status = os.lstat(path)
            if _has_mode(status) and change(status.st_mode & 0o777) != status.st_mode & 0o777:
                os.chmod(path, change(status.st_mode & 0o777), follow_symlinks=False)
            return
        handle = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            status = os.fstat(handle)
            present = status.st_mode & 0o777
            if _has_mode(status) and change(present) != present:
                os.chmod(f"/proc/self/fd/{handle}", change(present))
        finally:
            os.close(handle)


def _has_mode(status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode) or not reason_not_plain(status)
