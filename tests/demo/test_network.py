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
    """In front of something that answers whatever it is told."""

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


async def said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes) -> bytes:
    writer.write(text)
    return await reader.readexactly(len(text))


async def test_it_passes_on_whatever_is_said(network: tuple[Network, Path]) -> None:
    long = bytes(range(256)) * 4096
    reader, writer = await asyncio.open_unix_connection(str(network[1]))
    sending = asyncio.create_task(said(reader, writer, long))
    assert await sending == long
    assert network[0].is_up
    writer.transport.abort()


async def test_cut_it_ends_what_is_open_and_nobody_listens_until_it_is_restored(network: tuple[Network, Path]) -> None:
    wire, here = network
    reader, writer = await asyncio.open_unix_connection(str(here))
    assert await said(reader, writer, b"hello") == b"hello"
    await wire.cut()
    assert not wire.is_up
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await said(reader, writer, b"hello")
    with pytest.raises((FileNotFoundError, ConnectionRefusedError)):
        await asyncio.open_unix_connection(str(here))
    await wire.cut()
    await wire.restore()
    await wire.restore()
    reader, writer = await asyncio.open_unix_connection(str(here))
    assert await said(reader, writer, b"again") == b"again"
    writer.transport.abort()


async def test_while_it_is_held_nothing_arrives_and_nothing_is_lost(network: tuple[Network, Path]) -> None:
    wire, here = network
    reader, writer = await asyncio.open_unix_connection(str(here))
    assert await said(reader, writer, b"hello") == b"hello"
    async with wire.held():
        waiting = asyncio.create_task(said(reader, writer, b"late"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done()
    assert await waiting == b"late"
    writer.transport.abort()


async def test_a_server_that_is_gone_ends_the_connection(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="acode-", dir=folder_for_tests()) as made:
        wire = Network(Path(made) / "here", Path(made) / "nobody")
        await wire.restore()
        reader, writer = await asyncio.open_unix_connection(str(Path(made) / "here"))
        assert await reader.read() == b""
        writer.transport.abort()
        await wire.cut()
