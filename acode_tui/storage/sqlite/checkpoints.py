"""Checkpoints: moving what was committed from the WAL to the database, beside the writer.

The bulk of it is moved by a connection of its own while the writer goes on. What the writer commits meanwhile would
leave the WAL growing for as long as writes follow each other, for SQLite begins a WAL again from its start only when
all of it has been moved. So the writer moves that little rest itself, at a moment at which no caller waits.
"""

import asyncio
import sqlite3

from acode_tui.domain.errors import AcodeError
from acode_tui.logs import get_logger
from acode_tui.storage.sqlite.connection import FunctionConnection, SqliteConnectionFactory
from acode_tui.storage.sqlite.errors import translate

MAX_REST_PAGES = 1_000
"""Most pages of a rest that the writer moves: some milliseconds. Much more is written where callers wait."""

log = get_logger("acode_tui.storage.sqlite")


class Checkpoints:
    """The checkpoints of one file. One runs at a time and no caller waits for it; the first opens the connection."""

    def __init__(self, connections: SqliteConnectionFactory) -> None:
        self._connections = connections
        self._connection: FunctionConnection | None = None
        self._running: asyncio.Task[None] | None = None
        self.has_rest = False
        """Whether a few pages were committed beside the last checkpoint, and are still to be moved."""

    @property
    def is_running(self) -> bool:
        return self._running is not None and not self._running.done()

    def begin(self) -> None:
        """Start a checkpoint unless one is running."""
        if not self.is_running:
            self.has_rest = False
            self._running = asyncio.create_task(self._run(), name="acode-checkpoint")

    async def settled(self) -> None:
        """Wait until no checkpoint is running."""
        if self._running is not None:
            await asyncio.wait([self._running])

    async def close(self) -> None:
        """Wait for the running checkpoint, then close its connection. The writer's is closed after it."""
        await self.settled()
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _run(self) -> None:
        try:
            if self._connection is None:
                self._connection = await self._connections.open_checkpointer()
            left = await self._connection.run(move_pages)
            self.has_rest = 0 < left <= MAX_REST_PAGES
        except (sqlite3.Error, AcodeError) as error:
            log_failure(error)
        except RuntimeError as error:
            # From Python 3.12 on no thread can be started while the interpreter ends; closing folds the WAL then.
            log.debug("checkpoint.failed", database="sqlite", reason=str(error))


def move_pages(connection: sqlite3.Connection) -> int:
    """Move what is in the WAL; returns how many of its pages stay there.

    Waits for no lock, and may leave the pages that a reader still needs or that are committed meanwhile.
    """
    _, pages, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return int(pages - moved)


def log_failure(error: BaseException) -> None:
    """Log a checkpoint that failed: everything is on disk already, in the WAL, and the next one tries again.

    A full disk is reported by a write.
    """
    reason = translate(error, "the WAL stays as it is") if isinstance(error, sqlite3.Error) else error
    log.warning("checkpoint.failed", database="sqlite", reason=str(reason))
