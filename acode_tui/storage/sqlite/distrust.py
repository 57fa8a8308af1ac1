"""Has SQLite expect a hostile file. It imports nothing but the driver: the process that reads transcripts uses it."""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def distrust(connection: sqlite3.Connection) -> None:
    """Have SQLite expect a hostile file: functions in its schema are the harmless ones, and each cell is checked.

    From Python 3.12 on also its defensive mode, which forbids statements that damage a file on purpose.
    """
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    if sys.version_info >= (3, 12):
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)


@contextmanager
def undefended(connection: sqlite3.Connection) -> Iterator[None]:
    """Allow, for the block, the statements that ``distrust`` forbids: what repairs a schema needs them."""
    if sys.version_info < (3, 12):
        yield
        return
    connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, False)
    try:
        yield
    finally:
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
