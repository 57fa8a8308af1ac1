"""A TCP proxy that behaves like a bad network: it delays, cuts, swallows, refuses, and loses the reply to COMMIT.

It runs in the test's own event loop, on loopback, and counts round trips: how often the client sent after the server
had. It reads the protocol, so connections must not be encrypted.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from enum import Enum
from functools import partial

from acode_tui.storage.postgres.connection import PostgresConnectionFactory
from tests.pg import free_port

COMMIT = b"COMMIT\x00"


_Link = asyncio.Queue[tuple[float, bytes]]
_END = b""


class Mode(Enum):
    """What happens to connections. Changing it acts on open ones as well."""

    PASS = "pass"
    SWALLOW = "swallow"
    """A black hole: connections are accepted, bytes are read, nothing is passed on or answered."""
    REFUSE = "refuse"
    """No socket listens: connections are refused."""


class FaultProxy:
    """In front of one address. ``latency`` is the round trip it adds, in seconds.

    ``round_trips`` counts how often a client spoke after the server had; ``swallowed``, how often a client spoke and
    the bytes were dropped, on an open connection or on a new one.
    """

    def __init__(self, host: str, port: int, *, latency: float = 0.0) -> None:
        self.latency = latency
        self.round_trips = 0
        self.swallowed = 0
        self.connections = 0
        self.port = free_port()
        self._address = (host, port)
        self._mode = Mode.PASS
        self._lose_commit = False
        self._cut_commit = False
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def stop(self) -> None:
        await self._stop_listening()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def lead_to(self, host: str, port: int) -> None:
        """New connections go to another address."""
        self._address = (host, port)

    async def set_mode(self, mode: Mode) -> None:
        """Refusing also cuts open connections; swallowing leaves them open without traffic."""
        self._mode = mode
        if mode is Mode.REFUSE:
            await self._stop_listening()
            self.cut()
        elif self._server is None:
            await self.start()

    def cut(self) -> None:
        """Reset every open connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    def cut_in_reply_to_commit(self) -> None:
        """The next COMMIT reaches the server, which commits; the connection is reset before the reply arrives."""
        self._lose_commit = True

    def cut_before_commit(self) -> None:
        """The next COMMIT does not reach the server, and both sides lose the connection."""
        self._cut_commit = True

    async def _stop_listening(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        upstream: asyncio.StreamWriter | None = None
        try:
            if self._mode is Mode.SWALLOW:
                while await reader.read(65536):
                    self.swallowed += 1
                return
            server_reader, upstream = await asyncio.open_connection(*self._address)
            self._writers.add(upstream)
            await self._relay(reader, writer, server_reader, upstream)
        except (ConnectionError, asyncio.CancelledError):
            return
        finally:
            for end in (writer, upstream):
                if end is not None:
                    self._writers.discard(end)
                    end.transport.abort()
            self._tasks.discard(task)

    async def _relay(
        self,
        client_reader: asyncio.StreamReader,
        client: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server: asyncio.StreamWriter,
    ) -> None:
        state = _Conversation()
        # A link of its own each way: what is sent in one go arrives in one go, half a round trip later.
        up: _Link = asyncio.Queue(64)
        down: _Link = asyncio.Queue(64)

        async def upwards() -> None:
            while data := await client_reader.read(1 << 20):
                if self._mode is Mode.SWALLOW:
                    self.swallowed += 1
                    continue
                if state.server_spoke_last:
                    state.server_spoke_last = False
                    self.round_trips += 1
                if COMMIT in data and self._cut_commit:
                    self._cut_commit = False
                    raise ConnectionResetError
                if COMMIT in data and self._lose_commit:
                    self._lose_commit = False
                    state.lose_reply = True
                await up.put((self._due(), data))
            await up.put((self._due(), _END))

        async def downwards() -> None:
            while data := await server_reader.read(1 << 20):
                if self._mode is Mode.SWALLOW:
                    continue
                if state.lose_reply:
                    raise ConnectionResetError
                state.server_spoke_last = True
                await down.put((self._due(), data))
            await down.put((self._due(), _END))

        tasks = [
            asyncio.create_task(work)
            for work in (upwards(), downwards(), self._deliver(up, server), self._deliver(down, client))
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _due(self) -> float:
        return asyncio.get_running_loop().time() + self.latency / 2

    async def _deliver(self, link: _Link, writer: asyncio.StreamWriter) -> None:
        while True:
            due, data = await link.get()
            wait = due - asyncio.get_running_loop().time()
            if wait > 0:
                await asyncio.sleep(wait)
            if data == _END:
                raise ConnectionResetError  # everything before it has been passed on
            writer.write(data)
            await writer.drain()


class _Conversation:
    def __init__(self) -> None:
        self.server_spoke_last = True
        self.lose_reply = False


@contextlib.asynccontextmanager
async def fault_proxy(host: str, port: int, *, latency: float = 0.0) -> AsyncIterator[FaultProxy]:
    """A running proxy; at the end of the block it stops and its connections are closed."""
    proxy = FaultProxy(host, port, latency=latency)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()


@contextlib.contextmanager
def short_deadlines(seconds: float = 0.2) -> Iterator[None]:
    """Shorten the deadlines of all connections to PostgreSQL, while the proxy swallows and no answer can come.

    Outside the block the configured deadlines apply, which a slow machine does not miss.
    """
    names = ("connect_timeout", "command_timeout")
    for name in names:
        # A property is found before the attribute of the instance, which it leaves as it is.
        keep = partial(_set_in_instance, name)
        setattr(PostgresConnectionFactory, name, property(lambda _: seconds, keep))
    try:
        yield
    finally:
        for name in names:
            delattr(PostgresConnectionFactory, name)


def _set_in_instance(name: str, instance: PostgresConnectionFactory, value: float) -> None:
    vars(instance)[name] = value
