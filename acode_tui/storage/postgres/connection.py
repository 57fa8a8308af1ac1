"""How connections to PostgreSQL are made and kept from hanging: TLS policy, deadlines, a pool for reads.

Every failure leaves here as a PostgresFault or another AcodeError; no text carries a password. A half-open link
answers nothing for hours, so each operation has a deadline, after which the connection is torn down, not asked.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlencode

import asyncpg

from acode_tui.config.postgres_address import PostgresTarget
from acode_tui.storage.delivery_protocol import Fault, FaultKind, PostgresFault
from acode_tui.storage.postgres.errors import as_error, fault_of
from acode_tui.storage.postgres.identifiers import Connection

APPLICATION_NAME = "acode-tui"
OLDEST_SERVER = 14
STATEMENT_CACHE = 100
"""Prepared statements kept a connection. Poolers that hand each transaction another backend lose them: the sync
notices (SQLSTATE 26000 or 42P05) and goes on without a cache; ``statement_cache=0`` asks for that from the start."""

DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    OverflowError,
    UnicodeError,
)
"""What a conversation with PostgreSQL may raise. TimeoutError and ssl.SSLError are OSErrors; the last two
are values that could not even be put into a message."""


async def connect(
    target: PostgresTarget, *, connect_timeout: float = 10.0, statement_cache: int = STATEMENT_CACHE
) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection of one's own. ``connect_timeout`` in seconds. Raises PostgresFault."""
    try:
        async with asyncio.timeout(connect_timeout):
            connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
                **_arguments(target, statement_cache), timeout=connect_timeout
            )
    except (*DRIVER_ERRORS, ValueError) as error:
        raise PostgresFault(_connect_fault(error, target)) from None
    version = connection.get_server_version()
    if version.major < OLDEST_SERVER:
        connection.terminate()
        raise PostgresFault(
            Fault(
                kind=FaultKind.SERVER_TOO_OLD,
                sentence=f"{target.display} runs PostgreSQL {version.major}",
                hint=f"PostgreSQL {OLDEST_SERVER} or newer is needed",
            )
        )
    return connection


def _connect_fault(error: Exception, target: PostgresTarget) -> Fault:
    # The driver names neither: a certificate it cannot read, or a missing file where no socket is looked for.
    unreadable = isinstance(error, FileNotFoundError) and not target.host.startswith("/")
    unusable = isinstance(error, ValueError) and not isinstance(error, (asyncpg.InterfaceError, UnicodeError))
    if unreadable or unusable:
        return Fault(
            kind=FaultKind.TLS, sentence=f"the TLS settings of {target.display} cannot be used", hint="check them"
        )
    return fault_of(error, target)


def _arguments(target: PostgresTarget, statement_cache: int) -> dict[str, Any]:
    # Certificate paths can only be given to the driver in a URL; nothing secret is in it.
    files = {"sslrootcert": target.sslrootcert, "sslcert": target.sslcert, "sslkey": target.sslkey}
    query = urlencode({name: path for name, path in files.items() if path})
    return {
        "dsn": f"postgresql:///?{query}" if query else None,
        "host": target.host,
        "port": target.port,
        "user": target.user,
        # As a function: where there is none, the driver would look into PGPASSWORD, PGPASSFILE and ~/.pgpass.
        "password": lambda: target.password.reveal() if target.password is not None else None,
        "database": target.database,
        "ssl": target.sslmode,
        # Said aloud, because the driver would ask the environment (PGSSLNEGOTIATION and its like) for what is not.
        "direct_tls": False,
        "target_session_attrs": "any",
        "krbsrvname": "postgres",
        "gsslib": "gssapi",
        "statement_cache_size": statement_cache,
        "server_settings": {"application_name": target.application_name or APPLICATION_NAME},
    }


@contextmanager
def deadline(connection: "asyncpg.Connection[asyncpg.Record]", seconds: float) -> Iterator[None]:
    """Tear the connection down if the block takes longer, and raise TimeoutError from it.

    Not by cancelling: the driver would answer a cancelled query by opening a second connection to the server that
    does not answer. Aborting the socket wakes the query with an error at once.
    """
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        connection.terminate()

    timer = asyncio.get_running_loop().call_later(seconds, expire)
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        if expired:
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()


class ReadPool:
    """At most ``size`` connections for reads, opened as they are needed."""

    def __init__(
        self,
        target: PostgresTarget,
        *,
        size: int = 10,
        connect_timeout: float = 10.0,
        command_timeout: float = 60.0,
        statement_cache: int = STATEMENT_CACHE,
    ) -> None:
        self.target = target
        self._connect_timeout = connect_timeout
        self._command_timeout = command_timeout
        self._pool = asyncpg.create_pool(
            **_arguments(target, statement_cache),
            min_size=0,
            max_size=size,
            timeout=connect_timeout,
            command_timeout=command_timeout,
            max_inactive_connection_lifetime=60.0,
        )
        self._opened = False
        self._opening = asyncio.Lock()

    @property
    def max_size(self) -> int:
        """The pool's maximum (AC-028)."""
        return int(self._pool.get_max_size())

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for a few queries. Raises an AcodeError for whatever the driver raises inside."""
        try:
            async with self._opening:
                if not self._opened:
                    await self._pool
                    self._opened = True
            async with self._pool.acquire(timeout=self._connect_timeout) as connection:
                yield connection
        except DRIVER_ERRORS as error:
            raise as_error(error, self.target) from None

    async def close(self) -> None:
        """Give everything back; connections that do not go quietly are torn down."""
        if not self._opened:
            return
        try:
            async with asyncio.timeout(2):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()
