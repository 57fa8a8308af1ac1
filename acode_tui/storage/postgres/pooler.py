"""Whether an address is a connection pooler, learned once a process and kept.

A pooler in transaction mode gives each transaction another server connection. A prepared statement, which belongs to
one of them, is gone in the next, even the unnamed one between its two messages: so behind a pooler no statement is
cached, and everything runs in transactions.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from acode_tui.config.postgres_address import PostgresTarget
from acode_tui.storage.postgres.identifiers import Connection

POOLED_SQLSTATES = ("26000", "42P05")
"""SQLSTATEs of a missing or an existing prepared statement: the transaction had another server connection."""

_found: dict[tuple[str, int], bool] = {}


def is_pooler(target: PostgresTarget) -> bool | None:
    """Whether the address is known to be a pooler; None if it was not examined yet."""
    return _found.get((target.host, target.port))


def remember_pooler(target: PostgresTarget, *, pooled: bool) -> None:
    """Keep what was found. What was a pooler once stays one for this process: to take it for one costs little."""
    key = (target.host, target.port)
    _found[key] = pooled or _found.get(key, False)


def forget_poolers() -> None:
    """Forget everything, as a new process does."""
    _found.clear()


async def finds_pooler(connection: Connection) -> bool:
    """Whether a new connection is not one to the server itself. One round trip.

    A server's own process number is what it gave at the login; a pooler gives one that it made up. By the simple
    protocol, which works through every pooler, and has no rows here but their number.
    """
    status: str = await connection.execute(f"SELECT 1 WHERE pg_backend_pid() = {connection.get_server_pid()}")
    return status != "SELECT 1"


@asynccontextmanager
async def pinned(connection: Connection, *, pooled: bool, read_only: bool = False) -> AsyncIterator[None]:
    """Behind a pooler a transaction, so that all statements of the block reach one server connection.

    ``read_only``: one that reads one snapshot and writes nothing.
    """
    if not pooled or connection.is_in_transaction():
        yield
        return
    isolation = "repeatable_read" if read_only else None
    async with connection.transaction(isolation=isolation, readonly=read_only):
        yield
