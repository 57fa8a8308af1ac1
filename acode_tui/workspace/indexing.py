"""Keeping the search index up with what this process writes, so that a search has little to catch up with."""

import asyncio

from acode_tui.domain.errors import AcodeError
from acode_tui.logs import get_logger
from acode_tui.storage.search_ports import SearchIndex
from acode_tui.sync.wake import Sleep

DELAY_SECONDS = 3.0
"""How long a commit waits for others: a document of many rows costs little more than that of one."""

log = get_logger("acode_tui.workspace")


class BackgroundIndexing:
    """Indexes some seconds after a commit, on the index's own connection: no write waits for it."""

    def __init__(self, index: SearchIndex, sleep: Sleep) -> None:
        self._index = index
        self._sleep = sleep
        self._committed = asyncio.Event()

    def committed(self) -> None:
        """Take note that this process has written."""
        self._committed.set()

    async def run(self) -> None:
        """Index until cancelled. What fails, such as on a full disk, is logged once and tried after a later commit."""
        failed = False
        while True:
            await self._committed.wait()
            await self._sleep(DELAY_SECONDS)
            self._committed.clear()
            try:
                await self._index.catch_up()
                failed = False
            except AcodeError as error:
                if not failed:
                    log.warning("search.not_indexed", code=error.code, reason=error.message, hint=error.hint)
                failed = True
