"""A small pool of reading connections. A read is one function and leaves no transaction open."""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import TypeVar

from acode_tui.domain.errors import DatabaseConnectionError
from acode_tui.storage.sqlite.connection import FunctionConnection, SqliteConnectionFactory
from acode_tui.storage.sqlite.errors import translated

T = TypeVar("T")

POOL_SIZE = 3
"""Enough for a page, a run and a count at once; SQLite reads are short."""


class Readers:
    """Up to ``size`` reading connections, opened on demand. The last one returned is used first: its cache is warm."""

    def __init__(self, connections: SqliteConnectionFactory, *, size: int = POOL_SIZE) -> None:
        self._connections = connections
        self._free: list[FunctionConnection] = []
        self._all: list[FunctionConnection] = []
        self._size = size
        self._slots = asyncio.Semaphore(size)
        self._closed = False

    @property
    def connections(self) -> SqliteConnectionFactory:
        """Opens further connections to the same file."""
        return self._connections

    async def run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """The result of ``read(connection)`` from one snapshot of the database."""
        self._require_open()
        async with self._slots:
            # It may have been closed while this read waited for a connection.
            self._require_open()
            connection = self._free.pop() if self._free else await self._open()
            try:
                with translated(f"cannot read {self._connections.path}"):
                    return await connection.run(lambda raw: snapshot(raw, read))
            except asyncio.CancelledError:
                # The read still runs in its thread; interrupt it, so that the next one does not wait behind it.
                connection.raw.interrupt()
                raise
            finally:
                self._free.append(connection)

    async def close(self) -> None:
        """Close every connection once its read has ended. Reads that wait for a connection are refused."""
        self._closed = True
        for _ in range(self._size):
            await self._slots.acquire()
        for connection in self._all:
            await connection.close()
        self._all.clear()
        self._free.clear()
        for _ in range(self._size):
            self._slots.release()

    def _require_open(self) -> None:
        if self._closed:
            raise DatabaseConnectionError("the workspace is closed", hint="open it again")

    async def _open(self) -> FunctionConnection:
        connection = await self._connections.open_reader()
        self._all.append(connection)
        return connection


def snapshot(connection: sqlite3.Connection, read: Callable[[sqlite3.Connection], T]) -> T:
    """The result of ``read(connection)`` in one read transaction that ends with it."""
    connection.execute("BEGIN")
    try:
        return read(connection)
    finally:
        if connection.in_transaction:
            # Not COMMIT, which a damaged virtual table can refuse: its error would hide the read's own.
            connection.execute("ROLLBACK")
