"""Workspaces to measure in: made in a temporary folder, opened as the program opens them, removed afterwards."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import acode_tui
from acode_tui.config import Settings
from acode_tui.workspace import Workspace


@asynccontextmanager
async def workspace() -> AsyncIterator[Workspace]:
    """An empty workspace of its own."""
    with TemporaryDirectory(prefix="acode-benchmark-") as folder:
        async with acode_tui.open_workspace(folder, settings=Settings()) as opened:
            yield opened


def make_database(folder: Path) -> Path:
    """The closed file of a new, empty workspace in ``folder``."""

    async def make() -> Path:
        async with acode_tui.open_workspace(folder, settings=Settings()) as opened:
            return opened.database_path

    return asyncio.run(make())


@contextmanager
def bare_connection(path: Path) -> Iterator[sqlite3.Connection]:
    """A plain sqlite3 connection as durable as the program's own: the floor that its writes are measured against."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    try:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "wal_autocheckpoint = 1000"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        yield connection
    finally:
        connection.close()
