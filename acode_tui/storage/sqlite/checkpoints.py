"""Moving what commits leave in the WAL to the database, on a connection and in a thread of its own.

The writer goes on meanwhile: half of a checkpoint is waiting for the disk. While writes come, SQLite cannot begin the
WAL anew; the next commit beyond ``connection.WAL_BYTES`` moves what little is left, and does.
"""

import asyncio
import sqlite3
from pathlib import Path

from acode_tui.domain.errors import AcodeError
from acode_tui.logs import get_logger
from acode_tui.storage.sqlite.connection import FunctionConnection, open_checkpointer
from acode_tui.storage.sqlite.errors import translate

log = get_logger("acode_tui.storage.sqlite")


class Checkpoints:
    """Of one file. One runs at a time, and nobody waits for it; the connection is opened for the first."""

    def __init__(self, path: Path, *, timeout_seconds: float = 30.0) -> None:
        self._path = path
        self._timeout_seconds = timeout_seconds
        self._connection: FunctionConnection | None = None
        self._running: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        return self._running is not None and not self._running.done()

    def begin(self) -> None:
        """Have one run, unless one does."""
        if not self.is_running:
            self._running = asyncio.create_task(self._run(), name="acode-checkpoint")

    async def settled(self) -> None:
        """Wait until none runs."""
        if self._running is not None:
            await asyncio.wait([self._running])

    async def close(self) -> None:
        """Let the one that runs end, and close the connection: before the writer's, which folds what is left."""
        await self.settled()
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _run(self) -> None:
        try:
            if self._connection is None:
                self._connection = await open_checkpointer(self._path, timeout_seconds=self._timeout_seconds)
            await self._connection.run(_checkpoint)
        except sqlite3.Error as error:
            # Everything is on disk already, in the WAL; the next one tries again, and a write tells of a full disk.
            log.warning("checkpoint.failed", database="sqlite", reason=str(translate(error, "the WAL stays as it is")))
        except AcodeError as error:
            log.warning("checkpoint.failed", database="sqlite", reason=str(error))


def _checkpoint(connection: sqlite3.Connection) -> None:
    """Waits for nobody, and may leave what a reader still needs."""
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
