"""Whether the workspace can be written to at present: answered without waiting, and tried again by itself."""

import asyncio
import os
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from acode_tui.domain.clock import WallClock
from acode_tui.domain.errors import AcodeError, DiskFullError
from acode_tui.storage.sqlite.writer import Writer

LEAST_ROOM = 256 * 1024
"""Bytes that a few writes need. With less free the disk counts as full before anybody's write has failed."""

_EVERY = timedelta(seconds=2)


class WriteTrouble:
    """Of one writer. Cheap enough to ask several times a second."""

    def __init__(self, writer: Writer, database: Path, *, wall: WallClock) -> None:
        self._writer = writer
        self._folder = database.parent
        self._wall = wall
        self._trying: asyncio.Task[None] | None = None
        self._tried_at: datetime | None = None

    def present(self) -> AcodeError | None:
        """Why nothing can be written, None where something can.

        Where the last write failed a small one is tried meanwhile, every two seconds; its success is the next answer.
        """
        fault = self._writer.trouble
        if fault is None:
            return self._no_room()
        now = self._wall()
        rested = self._tried_at is None or not timedelta() <= now - self._tried_at < _EVERY
        if rested and (self._trying is None or self._trying.done()):
            self._tried_at = now
            self._trying = asyncio.create_task(self._try(), name="acode-write-again")
        return fault

    async def _try(self) -> None:
        with suppress(AcodeError):
            # The clock's next stamp: SQLite does not write a row that says what it said before.
            await self._writer.run(lambda connection: self._writer.clock.tick(), quiet=True)

    def _no_room(self) -> AcodeError | None:
        try:
            disk = os.statvfs(self._folder)
        except OSError:
            return None  # nothing is known of the disk then; a write will tell
        if disk.f_blocks and disk.f_bavail * disk.f_frsize < LEAST_ROOM:
            return DiskFullError(f"the disk under {self._folder} is full")
        return None
