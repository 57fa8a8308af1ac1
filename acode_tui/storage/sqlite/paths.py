"""The names of the files beside a database: its WAL, the WAL's index, its rollback journal and its lock."""

from pathlib import Path

WAL, SHM, JOURNAL, LOCK = "-wal", "-shm", "-journal", ".lock"


def beside(database: Path, suffix: str) -> Path:
    """The file beside the database whose name continues the database's own."""
    return database.with_name(database.name + suffix)


def wal_of(database: Path) -> Path:
    """The write-ahead log."""
    return beside(database, WAL)


def lock_of(database: Path) -> Path:
    """The lock file that every process with the workspace open shares."""
    return beside(database, LOCK)


def size_with_wal(database: Path) -> int:
    """Bytes of the database and its WAL on disk; 0 where neither exists."""
    return sum(each.stat().st_size for each in (database, wal_of(database)) if each.exists())


def remove_database(database: Path) -> None:
    """Remove a closed database with the files that SQLite keeps beside it. Its lock stays."""
    for suffix in ("", JOURNAL, WAL, SHM):
        beside(database, suffix).unlink(missing_ok=True)
