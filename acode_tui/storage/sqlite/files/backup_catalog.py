"""The folder of backups: their names and manifests, and the remains of killed backups.

A backup is two files of one stem, ``acode_backup_YYYYMMDD_HHMMSS[_pre_migrate|_pre_restore]``: the database and, put
in place last, its manifest. A database without a manifest is never deleted: it may be a copy that a user made.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from acode_tui.domain.clock import parse_time
from acode_tui.domain.errors import AmbiguousIdError, NotFoundError, TransactionError
from acode_tui.domain.progress import CheckCancelled, never_cancelled
from acode_tui.files import locked
from acode_tui.plain_files import reading_plain, what_is_wrong
from acode_tui.storage.ports import Backup, BackupKind, IncompleteBackup

FORMAT_VERSION = 1
LOCK_SECONDS = 60.0
"""How long a backup waits for another one into the same folder."""

_STEM = re.compile(r"acode_backup_\d{8}_\d{6}(?:_(pre_migrate|pre_restore))?\Z")
_MANIFEST_BYTES = 1024 * 1024
_PART = ".part"
_HINT = "list what there is with `acode-tui db backup list`"


class Manifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The content of a manifest: nothing in it names a user, a host or a path. ``counts`` are rows by table."""

    name: str
    format_version: int
    created_at: str
    schema_version: str | None
    size_bytes: int
    sha256: str
    counts: dict[str, int]
    workspace_id: str | None = None


def to_backup(manifest: Manifest, database: Path) -> Backup:
    """The backup whose database and manifest these are."""
    return Backup(
        name=database.stem,
        path=str(database),
        kind=_kind(database.stem),
        created_at=manifest.created_at,
        schema_version=manifest.schema_version,
        size_bytes=manifest.size_bytes,
        sha256=manifest.sha256,
        counts=manifest.counts,
        workspace_id=manifest.workspace_id,
    )


def read_backup(database: Path) -> Backup | IncompleteBackup:
    """The backup whose database this is. Reads the manifest and tests that the database exists; does not read it."""
    manifest = database.with_suffix(".json")
    reason = ""
    try:
        with reading_plain(manifest) as file:
            read = msgspec.json.decode(file.read(_MANIFEST_BYTES), type=Manifest)
        parse_time(read.created_at)
        if read.name != database.stem:
            reason = "its manifest is of another backup"
        elif read.format_version > FORMAT_VERSION:
            reason = "its manifest is of a newer acode-tui"
        elif not os.path.lexists(database):
            reason = "its database is missing"
        elif wrong := what_is_wrong(database):
            reason = f"its database is {wrong}"
    except FileNotFoundError:
        reason = "its manifest is missing"
    except OSError as error:
        reason = f"its manifest cannot be read: {error.strerror or error}"
    except ValueError:  # no JSON, not these fields, no such time
        reason = "its manifest is damaged"
    if reason:
        return IncompleteBackup(name=database.stem, path=str(database), reason=reason)
    return to_backup(read, database)


def read_backups(folder: Path) -> tuple[tuple[Backup, ...], tuple[IncompleteBackup, ...]]:
    """The backups in a folder, newest first, and the files that are only named like one."""
    try:
        names = {Path(each.name).stem for each in os.scandir(folder) if each.name.endswith((".db", ".json"))}
    except (FileNotFoundError, NotADirectoryError):
        return (), ()
    found = [read_backup(folder / f"{name}.db") for name in names if _STEM.match(name)]
    backups = [each for each in found if isinstance(each, Backup)]
    backups.sort(key=lambda each: (each.created_at, each.name), reverse=True)
    flawed = sorted((each for each in found if isinstance(each, IncompleteBackup)), key=lambda each: each.name)
    return tuple(backups), tuple(flawed)


def delete_backup(backup: Backup) -> None:
    """Delete a backup; ``sweep`` completes a deletion that was killed. The caller is alone in the folder."""
    going = part(backup.database)
    backup.database.rename(going)
    backup.manifest.unlink(missing_ok=True)
    going.unlink()


def find_backup(folder: Path, name: str) -> Backup | IncompleteBackup:
    """The backup of a name or of a unique beginning of one; a path names a backup anywhere.

    ``latest`` is the newest one that a user or a migration made; a safety backup of a restore is taken only where there
    is no other. Raises NotFoundError, AmbiguousIdError.
    """
    if os.sep in name:
        database = Path(name).expanduser().absolute().with_suffix(".db")
        if not os.path.lexists(database):
            raise NotFoundError(f"there is no backup at {database}", hint=_HINT)
        return read_backup(database)
    backups, incomplete = read_backups(folder)
    if name == "latest":
        if not backups:
            raise NotFoundError(f"there is no backup in {folder}", hint="make one with `acode-tui db backup`")
        return next((each for each in backups if each.kind != "pre_restore"), backups[0])
    stem = name.removesuffix(".db").removesuffix(".json")
    every: tuple[Backup | IncompleteBackup, ...] = (*backups, *incomplete)
    exact = [each for each in every if each.name == stem]
    fitting = exact or [each for each in every if stem and each.name.startswith(stem)]
    if not fitting:
        raise NotFoundError(f"no backup {name} in {folder}", hint=_HINT)
    if len(fitting) > 1:
        raise AmbiguousIdError(f"{len(fitting)} backups begin with {name}", hint="give more of the name")
    return fitting[0]


@contextmanager
def alone_in(folder: Path, *, check_cancelled: CheckCancelled = never_cancelled) -> Iterator[None]:
    """Let one program at a time write into a folder of backups. The remains of a killed one are removed first."""

    def refusal() -> TransactionError:
        return TransactionError(
            f"another program has been making a backup for over {LOCK_SECONDS:g} s", hint="wait for it, and try again"
        )

    with locked(folder, timeout_seconds=LOCK_SECONDS, refusal=refusal, check_cancelled=check_cancelled):
        sweep(folder)
        yield


def sweep(folder: Path) -> None:
    """Complete or remove what a killed backup left; the caller is alone in the folder."""
    left = sorted(each for each in os.listdir(folder) if each.startswith(".acode_backup_") and _PART in each)
    for each in left:
        stem = each[1:].partition(".")[0]
        database, manifest = folder / f"{stem}.db", folder / f"{stem}.json"
        if each == part(manifest).name and database.exists() and not manifest.exists():
            # Killed between the two renames: both files are whole.
            (folder / each).rename(manifest)
            continue
        if each == part(database).name and manifest.exists() and not database.exists():
            # Killed while it was being deleted.
            manifest.unlink()
        (folder / each).unlink(missing_ok=True)


def part(path: Path) -> Path:
    """The name of a file until it is whole."""
    return path.with_name(f".{path.name}{_PART}")


def free_stem(folder: Path, now: datetime, suffix: str) -> str:
    """A stem that no file has: of the given second, or of the next one that is free."""
    while True:
        stem = f"acode_backup_{now:%Y%m%d_%H%M%S}{suffix}"
        if not any(os.path.lexists(folder / f"{stem}{end}") for end in (".db", ".json")):
            return stem
        now += timedelta(seconds=1)


def _kind(stem: str) -> BackupKind:
    found = _STEM.match(stem)
    kind = found.group(1) if found else None
    return "pre_migrate" if kind == "pre_migrate" else "pre_restore" if kind == "pre_restore" else "manual"
