"""The destination of an export: a private file or folder that appears when it is whole, after its redaction log."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec

from acode_tui.domain.errors import ExportError
from acode_tui.domain.validation import escape_json
from acode_tui.files import PART, is_alive, make_private_folder, part_prefix, replacing, sync_path

_PART = re.compile(r"\..*\.acode-(\d{1,9})-\w+\.part", re.DOTALL)
DIRECTORY = "exports"
LOG_SUFFIX = ".redactions.json"
CSV_LOG = "redactions.json"
ENDINGS = {
    "json": ".json",
    "csv": "",
    "sqlite": ".db",
    "markdown": ".md",
    "html": ".html",
    "atif": ".atif.json",
    "otlp": ".otlp.jsonl",
}


def default_path(agent_dir: Path, format: str, now: datetime, session_id: str | None = None) -> Path:
    """A free name in ``.agent/exports``."""
    what = f"session_{session_id[:8]}" if session_id else "export"
    stem = f"acode_{what}_{now:%Y%m%d_%H%M%S}"
    number = 1
    while True:
        path = agent_dir / DIRECTORY / f"{stem}{'' if number == 1 else f'_{number}'}{ENDINGS[format]}"
        if not os.path.lexists(path):
            return path
        number += 1


def require_free(path: Path, *, folder: bool, overwrite: bool) -> None:
    """Raise ExportError, before any work, where the export could not be put there."""
    if not os.path.lexists(path):
        return
    if path.is_dir() != folder:
        what = "is a folder; name a file" if path.is_dir() else "is a file; name a folder"
        raise ExportError(f"{path}: {what}", hint="choose another name")
    if not folder and path.exists() and not path.is_file():
        raise ExportError(f"{path}: is no ordinary file", hint="choose another name")
    if not overwrite:
        raise ExportError(f"{path}: is there already", hint="choose another name, or use --force")


def log_path(path: Path) -> Path:
    """The redaction log beside an export."""
    return path.with_name(path.name + LOG_SUFFIX)


def write_log(path: Path, content: object) -> None:
    """Write a redaction log, whole or not at all."""
    with replacing(path) as file:
        file.write(msgspec.json.format(msgspec.json.encode(escape_json(content)), indent=2) + b"\n")


def sweep_parts(folder: Path) -> None:
    """Remove the unfinished files and folders of this user's processes that were killed."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            named = _PART.fullmatch(entry.name)
            if named is None or is_alive(int(named[1])) or entry.stat(follow_symlinks=False).st_uid != os.geteuid():
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)


@contextmanager
def scratch_folder(agent_dir: Path) -> Iterator[Path]:
    """A private folder beside the exports that is deleted afterwards, or by the next export if this process is killed.

    Not in the system's temporary folder: that may be small, in memory, and on a disk that is not encrypted.
    """
    folder = agent_dir / DIRECTORY
    make_private_folder(folder)
    sweep_parts(folder)
    made = Path(tempfile.mkdtemp(prefix=part_prefix(Path("output")), suffix=PART, dir=folder))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def size_of(path: Path) -> int:
    """Bytes of a file, or of the files in a folder."""
    return sum(each.stat().st_size for each in path.iterdir()) if path.is_dir() else path.stat().st_size


@contextmanager
def new_file(path: Path, *, overwrite: bool) -> Iterator[IO[bytes]]:
    """A file to write that takes ``path``'s place. The remains of killed exports in its folder are removed first."""
    make_private_folder(path.parent)
    sweep_parts(path.parent)
    try:
        with replacing(path, overwrite=overwrite) as file:
            yield file
    except FileExistsError:
        require_free(path, folder=False, overwrite=False)
        raise


@contextmanager
def new_folder(path: Path, *, overwrite: bool, members: frozenset[str]) -> Iterator[Path]:
    """A folder to fill that takes ``path``'s place. A folder that is replaced may hold ``members`` only."""
    make_private_folder(path.parent)
    if overwrite and path.is_dir():
        _require_only(path, members)
    sweep_parts(path.parent)
    part = Path(tempfile.mkdtemp(prefix=part_prefix(path), suffix=PART, dir=path.parent))
    try:
        yield part
        for each in part.iterdir():
            sync_path(each)
        sync_path(part)
        if overwrite and path.is_dir():
            old = Path(tempfile.mkdtemp(prefix=part_prefix(path), suffix=".old", dir=path.parent))
            # A rename replaces an empty folder, but a full one cannot be replaced in one step.
            path.replace(old)
            try:
                part.replace(path)
            except BaseException:
                old.replace(path)
                raise
            shutil.rmtree(old)
        else:
            require_free(path, folder=True, overwrite=False)
            part.rename(path)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            # The reader knows the folder that was to be written.
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise


def _require_only(folder: Path, members: frozenset[str]) -> None:
    others = sorted(each.name for each in folder.iterdir() if each.name not in members)
    if others:
        raise ExportError(f"{folder}: holds something that is no export: {others[0]}", hint="choose another name")
