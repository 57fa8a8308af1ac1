"""Private files: mode 0600 in folders with mode 0700, replaced atomically. Syncing, locking, free space, processes."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import IO

from acode_tui.domain.errors import AcodeError, TransactionError
from acode_tui.domain.quantities import size
from acode_tui.plain_files import change_mode, open_plain

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
PART = ".part"
SPACE_MARGIN = 1.05
"""Factor for the required free space, because other programs write to the disk too."""

_LOCK_POLL_SECONDS = 0.05


def make_private_folder(folder: Path) -> None:
    """Create a folder and its missing parents with mode 0700. An existing folder is not changed."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_private_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(mode=PRIVATE_FOLDER)


def tighten(path: Path, mode: int) -> None:
    """Remove the permissions that are not in ``mode``. A link and a file of another user are not changed."""
    change_mode(path, lambda present: present & mode)


def tighten_folder(folder: Path) -> None:
    """Make a folder and the files directly in it private. Symbolic links and their targets are not changed."""
    if folder.is_symlink():
        return
    tighten(folder, PRIVATE_FOLDER)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                tighten(Path(entry.path), PRIVATE_FILE)


def widen(path: Path, mode: int) -> None:
    """Add the permissions of ``mode`` that are missing. A link and a file of another user are not changed."""
    change_mode(path, lambda present: present | mode)


def part_prefix(path: Path) -> str:
    """The prefix of the temporary file that will replace ``path``; a random part and ``PART`` follow.

    It contains the process id, and at most 100 bytes of the file's name: a name may have 255 bytes.
    """
    return f".{os.fsdecode(os.fsencode(path.name)[:100])}.acode-{os.getpid()}-"


@contextmanager
def replacing(path: Path, *, overwrite: bool = True) -> Iterator[IO[bytes]]:
    """A temporary file, mode 0600, that is synced and replaces ``path`` when the block ends without an exception.

    Until then it has another name, its ``name``; after an exception it is deleted.

    Raises FileExistsError, at the beginning or at the end, if ``overwrite`` is False and ``path`` exists, and OSError
    if ``path`` is a device, a pipe or a folder: ``/dev/null`` must not be replaced.
    """
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    part: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=part_prefix(path), suffix=PART, dir=path.parent)
        os.close(handle)
        part = Path(name)
        with part.open("wb") as file:
            yield file
            sync_file(file)
        if overwrite:
            os.replace(part, path)
        else:
            os.link(part, path)
            part.unlink()
    except BaseException as error:
        if part is not None:
            part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            # Name the file that the caller wants to write, not the temporary one.
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise


def sync_file(file: IO[bytes]) -> None:
    """Write the buffer, and wait until the file's content is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_path(path: Path) -> None:
    """Wait until a file's content, or a folder's entries, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def existing_folder(folder: Path) -> Path:
    """The folder itself, or its nearest parent that exists."""
    while not folder.is_dir() and folder.parent != folder:
        folder = folder.parent
    return folder


def require_space(folder: Path, needed: int, *, purpose: str) -> None:
    """Raise TransactionError if fewer than ``needed`` bytes are free in a folder, which need not exist.

    The error says how much is needed and how much is free, and that nothing was changed: call it first.
    """
    free = shutil.disk_usage(existing_folder(folder)).free
    if free < needed * SPACE_MARGIN:
        raise TransactionError(
            f"there is not enough free space in {folder} for {purpose}",
            hint=f"it needs {size(needed)} and {size(free)} are free; nothing was changed",
        )


def try_lock(handle: int, *, shared: bool = False) -> bool:
    """Take an advisory lock on an open file; False if another process holds it. Closing the descriptor releases it."""
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(
    path: Path,
    *,
    timeout_seconds: float,
    refusal: Callable[[], AcodeError],
    check_cancelled: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Hold the lock of a file, which is created if it is missing, or of a folder, during the block.

    Raises ``refusal()`` if others hold it for ``timeout_seconds``. ``check_cancelled`` is called while waiting and may
    raise to end the wait.
    """
    make_private_folder(path.parent)
    if path.is_dir():
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    else:
        handle = open_plain(path, os.O_CREAT | os.O_RDWR, PRIVATE_FILE)
    try:
        deadline = monotonic() + timeout_seconds
        while not try_lock(handle):
            check_cancelled()
            if monotonic() >= deadline:
                raise refusal()
            sleep(_LOCK_POLL_SECONDS)
        yield
    finally:
        os.close(handle)


def is_alive(pid: int) -> bool:
    """Whether a process with this id runs, of any user."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
