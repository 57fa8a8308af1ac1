"""Whether the workspace can be written to: answered without waiting, by trying again in the background."""

import asyncio
import os
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from acode_tui.domain.clock import WallClock
from acode_tui.domain.errors import AcodeError, DiskFullError
from acode_tui.storage.sqlite.writer import Writer

MIN_FREE_BYTES = 256 * 1024
"""Bytes that a few writes need. With less free the disk counts as full before a write has failed."""

_RETRY_INTERVAL = timedelta(seconds=2)


class WriteHealth:
    """The state of one writer. Cheap enough to ask several times a second."""

    def __init__(self, writer: Writer, database: Path, *, wall: WallClock) -> None:
        self._writer = writer
        self._folder = database.parent
        self._wall = wall
        self._attempt: asyncio.Task[None] | None = None
        self._attempted_at: datetime | None = None

    def current_error(self) -> AcodeError | None:
        """Why a write fails at present; None where it would succeed.

        Where the last write failed, a small one is tried in the background every two seconds; the next answer is its
        result.
        """
        error = self._writer.last_error
        if error is None:
            return self._no_space()
        now = self._wall()
        is_due = self._attempted_at is None or not timedelta() <= now - self._attempted_at < _RETRY_INTERVAL
        if is_due and (self._attempt is None or self._attempt.done()):
            self._attempted_at = now
            self._attempt = asyncio.create_task(self._try(), name="acode-write-again")
        return error

    async def _try(self) -> None:
        with suppress(AcodeError):
            # The clock's next stamp: a row with its old content would not be written.
            await self._writer.run(lambda connection: self._writer.clock.tick(), quiet=True)

    def _no_space(self) -> AcodeError | None:
        try:
            disk = os.statvfs(self._folder)
        except OSError:
            return None  # the disk's state is unknown; the next write finds out
        if disk.f_blocks and disk.f_bavail * disk.f_frsize < MIN_FREE_BYTES:
            return DiskFullError(f"the disk under {self._folder} is full")
        return None
