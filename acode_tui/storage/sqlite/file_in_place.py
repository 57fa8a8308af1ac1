"""Whether the database that is open is still the file at its path.

SQLite goes on writing a file that was removed or replaced (``git clean -fdx`` while an agent records): each commit
would be acknowledged, and nobody would ever find it. So each transaction asks before it commits.
"""

import errno
import os
from pathlib import Path

import msgspec

from acode_tui.domain.errors import DatabaseConnectionError

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)
"""What a path without a file answers. Any other error says nothing about the file."""


class OpenFile(msgspec.Struct, frozen=True):
    """The file that a connection opened: its absolute path, device and inode.

    ``inode`` is None where a file system may give one file several numbers: only the file's presence counts there.
    """

    path: str
    device: int
    inode: int | None


def identify(path: Path, *, stable_inodes: bool = True) -> OpenFile:
    """The file at ``path``, which was opened just now. Raises OSError.

    Asked after the opening: an overlay file system gives a file another inode when it is opened for writing.
    """
    status = os.stat(path)
    return OpenFile(str(path.absolute()), status.st_dev, status.st_ino if stable_inodes else None)


def require_in_place(file: OpenFile) -> None:
    """Raise DatabaseConnectionError where the file was removed from its path, or another one is there. One ``stat``."""
    try:
        status = os.stat(file.path)
    except OSError as error:
        if error.errno in _GONE:
            raise moved(file.path, "was removed") from None
        return
    if file.inode is not None and (status.st_dev, status.st_ino) != (file.device, file.inode):
        raise moved(file.path, "was replaced by another file")


def moved(path: str, what: str) -> DatabaseConnectionError:
    """The error for a file that is not at its path any more."""
    return DatabaseConnectionError(
        f"{path} {what} while it was open: nothing is written to the old one, which nobody would find",
        hint="put the file back, or start again: `acode-tui db restore` has the backups",
    )
