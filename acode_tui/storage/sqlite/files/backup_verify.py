"""Verifying a backup against its manifest and by SQLite's own checks. Reads only."""

import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from time import perf_counter

from acode_tui.domain.errors import AcodeError, IntegrityError
from acode_tui.domain.progress import CheckCancelled, ReportProgress, progress_after
from acode_tui.domain.quantities import counted, number
from acode_tui.storage.migrations.runner import Migration
from acode_tui.storage.ports import Backup, Check, IncompleteBackup
from acode_tui.storage.sqlite.distrust import distrust
from acode_tui.storage.sqlite.files.expected_schema import lost_tables
from acode_tui.storage.sqlite.migrate import plan

_BLOCK_BYTES = 1 << 18
"""Small enough for a core's own cache."""

_MOST_FINDINGS = 5
_SOUND = "ok"
_LOOK_OPCODES = 100_000

DEEP_ANYWAY = 64 * 1024 * 1024
"""Files of at most so many bytes are always verified deeply: that takes a tenth of a second."""


def verify(
    backup: Backup | IncompleteBackup,
    known: Sequence[Migration],
    *,
    check_cancelled: CheckCancelled,
    on_progress: ReportProgress | None = None,
    deep: bool = False,
) -> tuple[Check, ...]:
    """Check manifest, size, hash, integrity and schema, in this order, as far as the failures before allow.

    In a large file the entries of an index are counted, and only looked up one by one where ``deep`` asks for it: that
    takes twice as long as all the rest, and what the hash vouches for has not changed since it was copied.
    """
    if isinstance(backup, IncompleteBackup):
        return (Check(name="manifest", ok=False, description=backup.reason),)
    found = [Check(name="manifest", ok=True, description=f"made {backup.created_at}")]
    size = backup.database.stat().st_size
    found.append(_size(backup, size))
    if size != backup.size_bytes:
        return tuple(found)
    deep = deep or size <= DEEP_ANYWAY
    with ThreadPoolExecutor(1) as second:
        # Neither holds the interpreter lock: on two cores both take as long as the longer one.
        hashed = second.submit(file_sha256, backup.database, check_cancelled, on_progress)
        counted = second.submit(_miscounted, backup.database) if not deep else None
        integrity = check_integrity(backup.database, check_cancelled, deep=deep)
        found.append(_hash(backup, hashed.result()))
        if integrity.ok and counted is not None and counted.result():
            integrity = Check(name="integrity", ok=False, description="; ".join(counted.result()[:_MOST_FINDINGS]))
    found.append(integrity)
    if integrity.ok:
        found.append(check_schema(backup.database, known))
    return tuple(found)


def file_sha256(path: Path, check_cancelled: CheckCancelled, on_progress: ReportProgress | None = None) -> str:
    """A file's SHA-256 in hexadecimal, in constant memory."""
    started = perf_counter()
    digest, block, done = sha256(), memoryview(bytearray(_BLOCK_BYTES)), 0
    with path.open("rb", buffering=0) as file:
        size = path.stat().st_size
        while count := file.readinto(block):
            digest.update(block[:count])
            done += count
            check_cancelled()
            if on_progress is not None:
                on_progress(progress_after(perf_counter() - started, done, size, "bytes"))
    return digest.hexdigest()


def check_integrity(path: Path, check_cancelled: CheckCancelled, *, deep: bool = True) -> Check:
    """What SQLite finds wrong in a file that is not written to; only ``deep`` looks up the entries of indexes."""
    stopped: list[BaseException] = []

    def look() -> bool:
        try:
            check_cancelled()
        except BaseException as error:  # noqa: BLE001 - SQLite would swallow it: it is raised below
            stopped.append(error)
        return bool(stopped)

    try:
        with open_immutable(path) as connection:
            connection.set_progress_handler(look, _LOOK_OPCODES)
            rows = connection.execute(f"PRAGMA {'integrity' if deep else 'quick'}_check({_MOST_FINDINGS})")
            found = [str(row[0]).replace("\n", " ") for row in rows]
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if stopped:
            raise stopped[0] from None
        found = [str(error)]
    ok = found == [_SOUND]
    sound = "every page and index is sound" if deep else "every page is sound, and indexes have an entry a row"
    return Check(name="integrity", ok=ok, description=sound if ok else "; ".join(found))


def _miscounted(path: Path) -> list[str]:
    """Indexes whose number of entries is not their table's number of rows; none where SQLite cannot count."""
    try:
        with open_immutable(path) as connection:
            return list(_differing(connection))
    except (sqlite3.Error, UnicodeDecodeError):
        return []  # the integrity check reports it


def _differing(connection: sqlite3.Connection) -> Iterator[str]:
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0").fetchall()
    for (table,) in tables:
        indexes = connection.execute("SELECT name, partial FROM pragma_index_list(?)", (table,)).fetchall()
        whole = [index for index, is_partial in indexes if not is_partial]
        if whole and not _is_without_rowid(connection, table):
            rows = _count(connection, table, "NOT INDEXED")
            for index in whole:
                entries = _count(connection, table, f"INDEXED BY {quoted(index)}")
                if entries != rows:
                    yield f"index {index} has {number(entries)} entries for {number(rows)} rows"


def _is_without_rowid(connection: sqlite3.Connection, table: str) -> bool:
    """Whether the table is its own index, as some of the search indexes are."""
    (without,) = connection.execute("SELECT wr FROM pragma_table_list WHERE name = ?", (table,)).fetchone()
    return bool(without)


def _count(connection: sqlite3.Connection, table: str, index: str) -> int:
    # The names come from the file's own schema and are quoted: a hostile one is an error, not another statement.
    # Without a condition SQLite would count the entries of whichever index is the smallest.
    return int(connection.execute(f"SELECT count(*) FROM {quoted(table)} {index} WHERE true").fetchone()[0])  # noqa: S608


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def open_immutable(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a file that is not written to: takes no lock, makes no file beside it."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        distrust(connection)
        connection.execute("PRAGMA mmap_size = 67108864")
        yield connection


def _size(backup: Backup, size: int) -> Check:
    ok = size == backup.size_bytes
    description = counted(size, "byte") + ("" if ok else f", and the manifest says {number(backup.size_bytes)}")
    return Check(name="size", ok=ok, description=description)


def _hash(backup: Backup, found: str) -> Check:
    ok = found == backup.sha256
    description = f"sha256 {found}" if ok else f"sha256 {found}, and the manifest says {backup.sha256[:64]}"
    return Check(name="hash", ok=ok, description=description)


def check_schema(path: Path, known: Sequence[Migration]) -> Check:
    """Whether this program can use the file, or migrate it."""
    try:
        with open_immutable(path) as connection:
            planned = plan(connection, known)
            lost = lost_tables(connection)
    except IntegrityError as error:
        return Check(name="objects", ok=False, description=error.message)
    except AcodeError as error:
        return Check(name="schema", ok=False, description=error.message)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        return Check(name="objects", ok=False, description=f"its schema cannot be read: {error}")
    if lost:
        return Check(name="tables", ok=False, description=f"lost: {', '.join(lost)}")
    waiting = f", {len(planned.pending)} migrations behind this program" if planned.pending else ""
    return Check(name="schema", ok=True, description=f"schema {planned.from_version}{waiting}")
