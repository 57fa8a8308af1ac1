"""The demo's network passes everything on, until it is cut."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from acode_tui.demo.server import Network
from tests.memory import folder_for_tests


@pytest.fixture
async def network() -> AsyncIterator[tuple[Network, Path]]:
    """A network in front of a server that echoes every message."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.transport.abort()

    with tempfile.TemporaryDirectory(prefix="acode-", dir=folder_for_tests()) as made:
        here, there = Path(made) / "here", Path(made) / "there"
        server = await asyncio.start_unix_server(echo, str(there))
        network = Network(here, there)
        await network.restore()
        yield network, here
        await network.cut()
        server.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes) -> bytes:
    writer.write(text)
    return await reader.readexactly(len(text))


async def test_messages_pass_in_both_directions(network: tuple[Network, Path]) -> None:
    long = bytes(range(256)) * 4096
    reader, writer = await asyncio.open_unix_connection(str(network[1]))
    sending = asyncio.create_task(echo(reader, writer, long))
    assert await sending == long
    assert network[0].is_up
    writer.transport.abort()


async def test_a_cut_resets_connections_and_refuses_new_ones(network: tuple[Network, Path]) -> None:
    proxy, socket_path = network
    reader, writer = await asyncio.open_unix_connection(str(socket_path))
    assert await echo(reader, writer, b"hello") == b"hello"
    await proxy.cut()
    assert not proxy.is_up
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await echo(reader, writer, b"hello")
    with pytest.raises((FileNotFoundError, ConnectionRefusedError)):
        await asyncio.open_unix_connection(str(socket_path))
    await proxy.cut()
    await proxy.restore()
    await proxy.restore()
    reader, writer = await asyncio.open_unix_connection(str(socket_path))
    assert await echo(reader, writer, b"again") == b"again"
    writer.transport.abort()


async def test_a_held_network_delivers_late_and_loses_nothing(network: tuple[Network, Path]) -> None:
    proxy, socket_path = network
    reader, writer = await asyncio.open_unix_connection(str(socket_path))
    assert await echo(reader, writer, b"hello") == b"hello"
    async with proxy.held():
        waiting = asyncio.create_task(echo(reader, writer, b"late"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
    assert await waiting == b"late"
    writer.transport.abort()


async def test_a_server_that_is_gone_ends_the_connection(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="acode-", dir=folder_for_tests()) as made:
        proxy = Network(Path(made) / "here", Path(made) / "missing")
        await proxy.restore()
        reader, writer = await asyncio.open_unix_connection(str(Path(made) / "here"))
        assert await reader.read() == b""
        writer.transport.abort()
        await proxy.cut()
