"""Private files: made 0600 in folders made 0700, written whole or not at all; and how to sync, lock and make room."""

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

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
PART = ".part"
SPACE_MARGIN = 1.05
"""Free space is asked for with this factor: other programs write to the disk meanwhile."""

_LOCK_POLL_SECONDS = 0.05


def make_private_folder(folder: Path) -> None:
    """Make a folder, and the parents it lacks, with mode 0700; one that is there already stays as it is."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_private_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(mode=PRIVATE_FOLDER)


def tighten(path: Path, mode: int) -> None:
    """Take away what others may do beyond ``mode``. Somebody else's file is left alone."""
    with suppress(PermissionError, FileNotFoundError):
        present = path.stat().st_mode & 0o777
        if present & ~mode:
            path.chmod(present & mode)


def tighten_folder(folder: Path) -> None:
    """A folder and the files right in it, made nobody else's business. Links, and what they lead to, are left alone."""
    if folder.is_symlink():
        return
    tighten(folder, PRIVATE_FOLDER)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                tighten(Path(entry.path), PRIVATE_FILE)


def concede(path: Path, mode: int) -> None:
    """Give what ``mode`` allows and is not there. Somebody else's file is left alone."""
    with suppress(PermissionError, FileNotFoundError):
        present = path.stat().st_mode & 0o777
        if mode & ~present:
            path.chmod(present | mode)


def part_prefix(path: Path) -> str:
    """How the hidden name begins, before something random and ``PART``, of what is to take ``path``'s place.

    It says which process is at work, and is short in bytes: a name may have 255 of them.
    """
    return f".{os.fsdecode(os.fsencode(path.name)[:100])}.acode-{os.getpid()}-"


@contextmanager
def replacing(path: Path, *, overwrite: bool = True) -> Iterator[IO[bytes]]:
    """A new file, 0600 and synced, that takes ``path``'s place when the block ends well; nothing is left otherwise.

    Its ``name`` is where it lies until then.

    Raises FileExistsError, at the end as at the beginning, if ``overwrite`` is False and something stands there, and
    OSError where that is a device, a pipe or a folder: to replace ``/dev/null`` would be nobody's wish.
    """
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "is no ordinary file", str(path))
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
            # The reader knows the file that was to be written, not the one that was to become it.
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise


def sync_file(file: IO[bytes]) -> None:
    """Write what is buffered, and wait until the file's content is on the disk."""
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
    """The folder, or the nearest one above it that exists: where it would be made."""
    while not folder.is_dir() and folder.parent != folder:
        folder = folder.parent
    return folder


def require_space(folder: Path, needed: int, *, purpose: str) -> None:
    """Refuse work that needs more bytes than are free in a folder, which need not exist yet.

    Raises TransactionError that says how much is needed and how much is free; the caller has changed nothing so far.
    """
    free = shutil.disk_usage(existing_folder(folder)).free
    if free < needed * SPACE_MARGIN:
        raise TransactionError(
            f"there is not enough free space in {folder} for {purpose}",
            hint=f"it needs {size(needed)} and {size(free)} are free; nothing was changed",
        )


def try_lock(handle: int, *, shared: bool = False) -> bool:
    """Take the kernel's lock of an open file unless others are in the way; it goes with the descriptor."""
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
    """Hold the lock of a file, which is made if need be, or of a folder, for the length of the block.

    Raises ``refusal()`` where others have held it for ``timeout_seconds``. ``check_cancelled`` is called while waiting
    and may raise to end the wait.
    """
    make_private_folder(path.parent)
    how = os.O_RDONLY if path.is_dir() else os.O_CREAT | os.O_RDWR
    handle = os.open(path, how | os.O_CLOEXEC, PRIVATE_FILE)
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
    """Whether a process of that id runs, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
