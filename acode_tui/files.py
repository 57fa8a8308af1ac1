"""Files that are nobody else's business: made 0600 in folders made 0700, written whole or not at all."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
PART = ".part"


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
            file.flush()
            os.fsync(file.fileno())
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


def is_alive(pid: int) -> bool:
    """Whether a process of that id runs, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
