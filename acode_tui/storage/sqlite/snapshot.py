"""A copy of a live database with its manifest, by SQLite's online backup, while writers go on.

Made whole or not at all: both files are written beside their place and renamed, the manifest last.
"""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import msgspec

from acode_tui.domain.errors import IntegrityError, TransactionError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.times import format_time
from acode_tui.files import make_private_folder, replacing

FORMAT_VERSION = 1
PAGES_A_STEP = 1024
"""4 MiB between progress reports, and between chances for a writer."""

Progress = Callable[[int, int], None]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a backup holds, without a name, host or path in it. ``counts`` are rows a table."""

    name: str
    format_version: int
    created_at: str
    schema_version: str | None
    size_bytes: int
    sha256: str
    counts: dict[str, int]


def take_snapshot(
    source: sqlite3.Connection,
    folder: Path,
    *,
    now: datetime,
    suffix: str = "",
    schema_version: str | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Copy ``source`` to ``folder/acode_backup_YYYYMMDD_HHMMSS<suffix>.db``; answers its manifest.

    Raises TransactionError where there is not enough space or the copy fails, and IntegrityError where the source is
    damaged; nothing is left behind then.
    """
    make_private_folder(folder)
    with _one_snapshot(source):
        pages, size = (int(source.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "page_size"))
        if shutil.disk_usage(folder).free < pages * size * 1.05:
            raise TransactionError(
                "there is not enough free space for a backup", hint=f"it needs {pages * size:,} bytes"
            )
        path = _free_name(folder, f"acode_backup_{now:%Y%m%d_%H%M%S}{suffix}")
        try:
            with replacing(path, overwrite=False) as file:
                _copy(source, Path(file.name), progress)
            counts = {table.name: _count(source, table.name) for table in TABLES.values()}
        except sqlite3.DatabaseError as error:
            path.unlink(missing_ok=True)
            raise IntegrityError("the database could not be copied: it is damaged") from error
        except OSError as error:
            raise _unwritten(error) from error
    try:
        manifest = Manifest(
            name=path.stem,
            format_version=FORMAT_VERSION,
            created_at=format_time(now),
            schema_version=schema_version,
            size_bytes=path.stat().st_size,
            sha256=_sha256(path),
            counts={name: count for name, count in counts.items() if count is not None},
        )
        with replacing(path.with_suffix(".json"), overwrite=False) as file:
            file.write(json.dumps(msgspec.to_builtins(manifest), indent=2).encode() + b"\n")
    except BaseException as error:
        # A copy without its manifest is half a backup.
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _unwritten(error) from error
        raise
    return manifest


@contextmanager
def _one_snapshot(source: sqlite3.Connection) -> Iterator[None]:
    """Hold one read transaction: the copy need not start over when somebody commits, and the counts fit it."""
    if source.in_transaction:
        yield
        return
    source.execute("BEGIN")
    try:
        yield
    finally:
        if source.in_transaction:
            source.execute("ROLLBACK")


def _unwritten(error: OSError) -> TransactionError:
    return TransactionError(f"the backup could not be written: {error.strerror or error}")


def _copy(source: sqlite3.Connection, path: Path, progress: Progress | None) -> None:
    target = sqlite3.connect(path)
    try:
        report = None if progress is None else lambda _, remaining, total: progress(total - remaining, total)
        source.backup(target, pages=PAGES_A_STEP, progress=report)
        # A backup of a WAL database is one file, readable by anything.
        target.execute("PRAGMA journal_mode = DELETE")
    finally:
        target.close()


def _count(connection: sqlite3.Connection, table: str) -> int | None:
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone()
    if known is None:
        return None
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - from TABLES


def _sha256(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _free_name(folder: Path, stem: str) -> Path:
    """Two backups in one second get different names."""
    path = folder / f"{stem}.db"
    number = 2
    while path.exists():
        path = folder / f"{stem}_{number}.db"
        number += 1
    return path
