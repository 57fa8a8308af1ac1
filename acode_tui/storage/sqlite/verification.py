"""Whether a backup is what its manifest says and whether SQLite finds nothing wrong in it. Reads, and nothing else."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path

from acode_tui.domain.errors import AcodeError
from acode_tui.storage.migrations.runner import Migration
from acode_tui.storage.ports import Check
from acode_tui.storage.sqlite.backup_files import Backup, Incomplete
from acode_tui.storage.sqlite.migrate import plan

_BLOCK_BYTES = 1 << 18
"""What fits beside everything else into a core's own cache."""

_MOST_FINDINGS = 5
_LOOK_OPCODES = 100_000

GoOn = Callable[[], None]
"""Called every so often; what it raises ends the work."""

Told = Callable[[int, int], None]
"""Told how many bytes are read, and of how many."""


def verify(
    backup: Backup | Incomplete, known: Sequence[Migration], *, go_on: GoOn, told: Told | None = None
) -> tuple[Check, ...]:
    """Manifest, size, hash, integrity, schema, in this order; what one failure makes pointless is left out."""
    if isinstance(backup, Incomplete):
        return (Check(name="manifest", ok=False, description=backup.reason),)
    found = [Check(name="manifest", ok=True, description=f"made {backup.created_at}")]
    size = backup.database.stat().st_size
    found.append(_size(backup, size))
    if size != backup.size_bytes:
        return tuple(found)
    with ThreadPoolExecutor(1) as second:
        # Both read the file once, and neither holds the interpreter: together they take as long as the longer one.
        hashed = second.submit(file_sha256, backup.database, go_on, told)
        integrity = check_integrity(backup.database, go_on)
        found.append(_hash(backup, hashed.result()))
    found.append(integrity)
    if integrity.ok:
        found.append(check_schema(backup.database, known))
    return tuple(found)


def file_sha256(path: Path, go_on: GoOn, told: Told | None = None) -> str:
    """A file's SHA-256 in hexadecimal, in constant memory."""
    digest, block, done = sha256(), memoryview(bytearray(_BLOCK_BYTES)), 0
    with path.open("rb", buffering=0) as file:
        size = path.stat().st_size
        while count := file.readinto(block):
            digest.update(block[:count])
            done += count
            go_on()
            if told is not None:
                told(done, size)
    return digest.hexdigest()


def check_integrity(path: Path, go_on: GoOn) -> Check:
    """What SQLite's integrity check says of a file that nobody writes to."""
    stopped: list[BaseException] = []

    def look() -> bool:
        try:
            go_on()
        except BaseException as error:  # noqa: BLE001 - SQLite would swallow it: it is raised below
            stopped.append(error)
        return bool(stopped)

    try:
        with opened(path) as connection:
            connection.set_progress_handler(look, _LOOK_OPCODES)
            found = [
                str(row[0]).replace("\n", " ")
                for row in connection.execute(f"PRAGMA integrity_check({_MOST_FINDINGS})")
            ]
    except sqlite3.DatabaseError as error:
        if stopped:
            raise stopped[0] from None
        found = [str(error)]
    ok = found == ["ok"]
    return Check(name="integrity", ok=ok, description="every page and index is sound" if ok else "; ".join(found))


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a file that nobody writes to: takes no lock, makes no file beside it."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        connection.execute("PRAGMA mmap_size = 67108864")
        yield connection


def _size(backup: Backup, size: int) -> Check:
    ok = size == backup.size_bytes
    description = f"{size:,} bytes" if ok else f"{size:,} bytes, and the manifest says {backup.size_bytes:,}"
    return Check(name="size", ok=ok, description=description)


def _hash(backup: Backup, found: str) -> Check:
    ok = found == backup.sha256
    description = f"sha256 {found}" if ok else f"sha256 {found}, and the manifest says {backup.sha256[:64]}"
    return Check(name="hash", ok=ok, description=description)


def check_schema(path: Path, known: Sequence[Migration]) -> Check:
    """Whether this program can work with the file, or bring it up to date."""
    try:
        with opened(path) as connection:
            planned = plan(connection, known)
    except AcodeError as error:
        return Check(name="schema", ok=False, description=error.message)
    waiting = f", {len(planned.pending)} migrations behind this program" if planned.pending else ""
    return Check(name="schema", ok=True, description=f"schema {planned.from_version}{waiting}")
