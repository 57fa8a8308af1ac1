"""Giving back the space that a workspace file no longer uses, in place: one transaction, so a kill leaves it as it was.

Readers go on; writers wait, so a file that takes longer than they wait is rewritten only while no other process has it
open. The work needs its size on disk twice, once for the new copy and once for the WAL it goes through, and none of it
is held in memory.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from acode_tui.domain.errors import DatabaseConnectionError, TransactionError
from acode_tui.domain.progress import CheckCancelled, ReportStep
from acode_tui.files import require_space
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.ports import FileSpace
from acode_tui.storage.sqlite.connection import connect_to
from acode_tui.storage.sqlite.errors import opening, require_content, require_rights
from acode_tui.storage.sqlite.files.expected_schema import require_tables
from acode_tui.storage.sqlite.files.locks import finish_replacement, holders, share_if_known
from acode_tui.storage.sqlite.files.open_unchanged import read_unchanged
from acode_tui.storage.sqlite.migrate import plan
from acode_tui.storage.sqlite.paths import size_with_wal
from acode_tui.storage.sqlite.search.index import renew, tidy

BYTES_A_SECOND = 20_000_000
"""What a slow disk manages; five times as many and more were measured."""

_CHECK_OPCODES = 20_000


def measure(
    database: Path, *, seconds: float, check_cancelled: CheckCancelled, expect_content: bool = False
) -> FileSpace:
    """Measure the file and change nothing.

    Raises AcodeError: SchemaMismatchError for another or a newer program's file, and with ``expect_content``
    IntegrityError for an empty one.
    """

    def read(connection: sqlite3.Connection) -> int:
        if plan(connection, packaged("sqlite")).from_version is None:
            raise DatabaseConnectionError(
                f"there is no workspace in {database} yet: it is empty", hint="it was left as it is"
            )
        require_tables(connection, f"cannot rewrite {database}")
        pages, unused, size = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - unused) * size

    require_content(database, expected=expect_content)
    used = read_unchanged(database, read, seconds=seconds, check_cancelled=check_cancelled)
    return FileSpace(total=size_with_wal(database), used=used)


def vacuum(
    database: Path,
    *,
    seconds: float,
    on_step: ReportStep,
    check_cancelled: CheckCancelled,
    expect_content: bool = False,
) -> FileSpace:
    """Rewrite the file and its search index; returns the space before.

    Raises TransactionError where there is not enough room, or where others have the workspace open and would wait for
    longer than ``seconds``; then, and where it is cancelled, the file holds what it held.
    """
    finish_replacement(database, timeout_seconds=seconds)
    with closing(share_if_known(database, timeout_seconds=seconds)):
        before = measure(database, seconds=seconds, check_cancelled=check_cancelled, expect_content=expect_content)
        require_rights(database)
        require_space(database.parent, before.used * 2, purpose=f"rewriting {database.name}")
        _require_short_wait(database, before, seconds)
        _sweep(database.parent)
        with (
            opening(database),
            closing(connect_to(database, timeout_seconds=seconds)) as connection,
        ):
            connection.set_progress_handler(check_cancelled, _CHECK_OPCODES)
            _use_scratch_beside(connection, database.parent)
            _rewrite(connection, on_step)
    return before


def _rewrite(connection: sqlite3.Connection, on_step: ReportStep) -> None:
    on_step("search index")
    tidy(connection)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    on_step("rewriting the file")
    connection.execute("VACUUM")
    on_step("folding the WAL")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    on_step("checking the search index")
    renew(connection)


def _use_scratch_beside(connection: sqlite3.Connection, folder: Path) -> None:
    """Put the scratch file on the database's own disk, where the free space was checked: elsewhere it might be memory.

    The pragma is deprecated; without it the scratch file is where the system puts such files, with mode 0600 too.
    """
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -16384")
    connection.execute("PRAGMA temp_store = FILE")
    quoted = str(folder.absolute()).replace("'", "''")
    connection.execute(f"PRAGMA temp_store_directory = '{quoted}'")


def _require_short_wait(database: Path, before: FileSpace, seconds: float) -> None:
    pids = holders(database)
    if pids and before.used > BYTES_A_SECOND * seconds / 2:
        raise TransactionError(
            f"{database} is open in other processes (pid {', '.join(map(str, pids))}), and is so large that their "
            f"writes might wait for longer than {seconds:g} s and fail",
            hint="end the dashboard, the worker and the agents that use this workspace, then try again",
        )


def _sweep(folder: Path) -> None:
    """Remove scratch files of killed runs: SQLite unlinks its own as soon as it is open."""
    for each in folder.glob("etilqs_*"):
        each.unlink(missing_ok=True)
