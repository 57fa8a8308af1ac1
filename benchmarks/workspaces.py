"""Workspaces to measure in: made in a temporary folder, opened as the program opens them, removed afterwards."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import acode_tui
from acode_tui.config import Settings
from acode_tui.storage.sqlite.connection import STATEMENT_CACHE, configure_reader, configure_writer
from acode_tui.workspace import Workspace

TIMEOUT_SECONDS = 30.0
"""How long a bare connection waits for a lock."""


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
def bare_writer(path: Path) -> Iterator[sqlite3.Connection]:
    """A plain sqlite3 connection with the settings of the program's writer: the floor of its writes."""
    with closing(_bare(path)) as connection:
        configure_writer(connection, TIMEOUT_SECONDS)
        yield connection


@contextmanager
def bare_reader(path: Path) -> Iterator[sqlite3.Connection]:
    """A plain sqlite3 connection with the settings of the program's readers: the floor of its reads."""
    with closing(_bare(path)) as connection:
        configure_reader(connection)
        yield connection


def _bare(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=TIMEOUT_SECONDS, cached_statements=STATEMENT_CACHE)
