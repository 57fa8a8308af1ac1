"""A small pool of reading connections. A read is one function and holds no transaction once it has answered."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from acode_tui.domain.errors import DatabaseConnectionError
from acode_tui.storage.sqlite.connection import FunctionConnection, open_reader
from acode_tui.storage.sqlite.errors import translated

T = TypeVar("T")

POOL_SIZE = 3
"""A page, a hierarchy and a count at once; SQLite reads are short."""


class Readers:
    """Up to ``size`` reading connections, opened as they are needed. Last returned, first used: its cache is warm."""

    def __init__(self, path: Path, *, timeout_seconds: float = 30.0, size: int = POOL_SIZE) -> None:
        self._path = path
        self._timeout_seconds = timeout_seconds
        self._free: list[FunctionConnection] = []
        self._all: list[FunctionConnection] = []
        self._size = size
        self._places = asyncio.Semaphore(size)
        self._closed = False

    async def run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """``read(connection)``'s answer, from one snapshot of the database."""
        self._require_open()
        async with self._places:
            # It may have been closed while this read waited for its place.
            self._require_open()
            connection = self._free.pop() if self._free else await self._open()
            try:
                with translated(f"cannot read {self._path}"):
                    return await connection.run(lambda raw: snapshot(raw, read))
            except asyncio.CancelledError:
                # The read still runs in its thread; end it, so that the next one need not wait behind it.
                connection.raw.interrupt()
                raise
            finally:
                self._free.append(connection)

    async def close(self) -> None:
        """Close every connection, once the reads that use them have ended; those that wait for a place are refused."""
        self._closed = True
        for _ in range(self._size):
            await self._places.acquire()
        for connection in self._all:
            await connection.close()
        self._all.clear()
        self._free.clear()
        for _ in range(self._size):
            self._places.release()

    def _require_open(self) -> None:
        if self._closed:
            raise DatabaseConnectionError("the workspace is closed", hint="open it again")

    async def _open(self) -> FunctionConnection:
        connection = await open_reader(self._path, timeout_seconds=self._timeout_seconds)
        self._all.append(connection)
        return connection


def snapshot(connection: sqlite3.Connection, read: Callable[[sqlite3.Connection], T]) -> T:
    """``read(connection)``'s answer, in one read transaction that ends with it."""
    connection.execute("BEGIN")
    try:
        return read(connection)
    finally:
        if connection.in_transaction:
            connection.execute("COMMIT")
