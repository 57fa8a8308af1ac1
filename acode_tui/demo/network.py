"""The demo's network: a socket that passes everything on to the demo's PostgreSQL, until it is cut.

It is a file in the demo's own private folder, so nobody else can come this way.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_CHUNK = 1 << 16


class Network:
    """Between two sockets. Cut, it resets every connection and nobody listens; restored, new ones go through."""

    def __init__(self, here: Path, there: Path) -> None:
        self._here = here
        self._there = there
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._clear = asyncio.Event()
        self._clear.set()

    @property
    def is_up(self) -> bool:
        return self._server is not None

    async def restore(self) -> None:
        """Listen; harmless where that is so."""
        if self._server is None:
            self._here.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._accept, str(self._here))

    async def cut(self) -> None:
        """Reset what is open and refuse what comes, until it is restored."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            self._here.unlink(missing_ok=True)
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """For the length of the block nothing arrives on either side; afterwards everything does, late."""
        self._clear.clear()
        try:
            yield
        finally:
            self._clear.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.current_task()
        assert link is not None
        self._links.add(link)
        ends = [writer]
        try:
            server_reader, server_writer = await asyncio.open_unix_connection(str(self._there))
            ends.append(server_writer)
            ways = [
                asyncio.create_task(self._pass_on(reader, server_writer)),
                asyncio.create_task(self._pass_on(server_reader, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            return  # the server is gone, or the network was cut: the client sees its connection end
        finally:
            self._links.discard(link)
            for end in ends:
                end.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._clear.wait()
            writer.write(data)
            await writer.drain()
