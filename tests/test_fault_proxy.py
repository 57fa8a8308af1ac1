"""The fault proxy behaves as other tests expect."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.fault_proxy import COMMIT, FaultProxy, Mode, fault_proxy


class Echo:
    """A server that answers each chunk in capitals and keeps what it received."""

    def __init__(self) -> None:
        self.heard = b""
        self.port = 0


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    heard = Echo()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                heard.heard += data
                writer.write(data.upper())
        except ConnectionError:
            return
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    heard.port = server.sockets[0].getsockname()[1]
    yield heard
    server.close()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[FaultProxy]:
    async with fault_proxy("127.0.0.1", echo.port) as running:
        yield running


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, data: bytes) -> bytes:
        self.writer.write(data)
        return await self.reader.readexactly(len(data))


@pytest.fixture
async def client(proxy: FaultProxy) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    yield Client(reader, writer)
    writer.transport.abort()


async def test_it_passes_bytes_and_counts_round_trips(proxy: FaultProxy, client: Client) -> None:
    for _ in range(3):
        assert await client.ask(b"hello") == b"HELLO"
    assert (proxy.round_trips, proxy.connections) == (3, 1)


async def test_latency_delays_both_ways(proxy: FaultProxy, client: Client) -> None:
    loop = asyncio.get_running_loop()
    proxy.latency = 0.1
    started = loop.time()
    assert len(await client.ask(b"x" * 2_000_000)) == 2_000_000
    assert loop.time() - started >= 0.1


async def test_cutting_resets_open_connections_and_accepts_new_ones(proxy: FaultProxy, client: Client) -> None:
    await client.ask(b"hello")
    proxy.cut()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await client.ask(b"hello")
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await Client(reader, writer).ask(b"again") == b"AGAIN"
    writer.transport.abort()


async def test_a_black_hole_accepts_and_never_answers(proxy: FaultProxy, client: Client, echo: Echo) -> None:
    await client.ask(b"before")
    await proxy.set_mode(Mode.SWALLOW)
    client.writer.write(b"half open")
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"new")
    for silent in (client.reader, reader):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await silent.read(1)
    assert echo.heard == b"before"
    writer.transport.abort()


async def test_a_refusing_proxy_does_not_listen_until_it_passes_again(proxy: FaultProxy, client: Client) -> None:
    await proxy.set_mode(Mode.REFUSE)
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", proxy.port)
    await proxy.set_mode(Mode.PASS)
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await Client(reader, writer).ask(b"back") == b"BACK"
    writer.transport.abort()


async def test_a_commit_reaches_the_server_and_its_reply_is_lost(proxy: FaultProxy, client: Client, echo: Echo) -> None:
    await client.ask(b"begin")
    proxy.cut_in_reply_to_commit()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await client.ask(COMMIT)
    assert echo.heard == b"begin" + COMMIT


async def test_a_commit_is_kept_from_the_server(proxy: FaultProxy, client: Client, echo: Echo) -> None:
    await client.ask(b"begin")
    proxy.cut_before_commit()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await client.ask(COMMIT)
    assert echo.heard == b"begin"
