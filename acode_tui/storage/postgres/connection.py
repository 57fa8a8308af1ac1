"""Connections to PostgreSQL: TLS policy, deadlines, and a pool for reads.

Every failure is raised as PostgresFault or another AcodeError; no message contains a password. A half-open connection
can be silent for hours, so each operation has a deadline, after which the connection is aborted without a goodbye.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from random import random
from typing import Any
from urllib.parse import urlencode

import asyncpg

from acode_tui.config.postgres_address import PostgresTarget
from acode_tui.domain.errors import AcodeError
from acode_tui.storage.delivery_protocol import Fault, FaultKind, PostgresFault
from acode_tui.storage.postgres.citus import is_distributed
from acode_tui.storage.postgres.errors import (
    DRIVER_ERRORS,
    ended_by_server,
    is_full,
    missing_password,
    no_postgres,
    translate,
    translate_to_fault,
    unusable_tls_file,
    wrong_encoding,
)
from acode_tui.storage.postgres.identifiers import Connection
from acode_tui.storage.postgres.last_words import listen
from acode_tui.storage.postgres.passwords import PasswordSource
from acode_tui.storage.postgres.pooler import POOLED_SQLSTATES, finds_pooler, is_pooler, pinned, remember_pooler
from acode_tui.storage.postgres.tls import TlsFileError, tls_argument

APPLICATION_NAME = "acode-tui"
OLDEST_MAJOR_VERSION = 14
STATEMENT_CACHE = 100
"""Prepared statements that a connection to a server itself keeps; none where the address is a pooler."""


class PostgresConnectionFactory:
    """Opens connections to one server: its address, TLS policy, time-outs and statement cache."""

    def __init__(
        self,
        target: PostgresTarget,
        *,
        connect_timeout: float = 10.0,
        command_timeout: float = 60.0,
        statement_cache: int | None = None,
        patience: float = 0.0,
    ) -> None:
        """Time-outs in seconds: of a connection attempt and of a command.

        ``statement_cache`` is how many statements a connection keeps prepared: 0 behind a pooler in transaction mode,
        None to find out. ``patience``: for how many seconds to ask a server again that has no free connection.
        """
        self.target = target
        self.connect_timeout = connect_timeout
        self.command_timeout = command_timeout
        self._statement_cache = statement_cache
        self._patience = patience
        self._last_words = ""
        self._passwords = PasswordSource(target, seconds=connect_timeout)

    @property
    def is_pooled(self) -> bool:
        """Whether the address is a pooler, by the settings or by what this process has learned."""
        return self._statement_cache == 0 or bool(is_pooler(self.target))

    def learn_from(self, sqlstate: str | None) -> bool:
        """Learn from an error of the server that the address is a pooler; returns whether it says so."""
        if sqlstate not in POOLED_SQLSTATES:
            return False
        remember_pooler(self.target, pooled=True)
        return True

    def fault_of(self, error: BaseException) -> Fault:
        """The fault of a failed operation, with what the server said when it ended the connection."""
        words, self._last_words = self._last_words, ""
        if words and isinstance(error, (asyncpg.ConnectionDoesNotExistError, ConnectionError)):
            return ended_by_server(words, self.target)
        return translate_to_fault(error, self.target)

    def _heard(self, words: str) -> None:
        self._last_words = words

    async def connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        """Open a connection. Raises PostgresFault, also for a server older than ``OLDEST_MAJOR_VERSION``."""
        try:
            await self.prepare()
            async with asyncio.timeout(self.connect_timeout):
                connection: asyncpg.Connection[asyncpg.Record] = await self._connect(
                    **self._arguments(), timeout=self.connect_timeout
                )
        except (*DRIVER_ERRORS, ValueError) as error:
            raise PostgresFault(_tls_settings_fault(error, self.target) or self.fault_of(error)) from None
        except AcodeError:
            raise
        except Exception as error:  # noqa: BLE001 - it is not swallowed: whatever a stranger's answer does to the driver
            raise PostgresFault(no_postgres(error, self.target)) from None
        version = connection.get_server_version()
        if version.major < OLDEST_MAJOR_VERSION:
            connection.terminate()
            raise PostgresFault(
                Fault(
                    kind=FaultKind.SERVER_TOO_OLD,
                    sentence=f"{self.target.display} runs PostgreSQL {version.major}",
                    hint=f"PostgreSQL {OLDEST_MAJOR_VERSION} or newer is required",
                )
            )
        return connection

    async def prepare(self) -> None:
        """Run the password command, if there is one and it has not run. Raises PostgresFault.

        Before the time limit of a connection attempt begins: a person may have to unlock a key.
        """
        if self.target.password_command is not None:
            await self._passwords.find()

    def read_pool(self, *, size: int = 10) -> "ReadPool":
        """A pool of at most ``size`` connections for reads. Must be called in a running event loop."""
        pool = asyncpg.create_pool(
            **self._arguments(),
            connect=self._connect,
            min_size=0,
            max_size=size,
            timeout=self.connect_timeout,
            command_timeout=self.command_timeout,
            max_inactive_connection_lifetime=60.0,
        )
        return ReadPool(pool, self)

    async def _connect(self, *arguments: Any, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
        """Connect as the driver does, with what may differ from one time to the next. Raises PostgresFault too."""
        try:
            # The system's roots are a megabyte of text.
            options["ssl"] = await asyncio.to_thread(tls_argument, self.target)
        except TlsFileError as error:
            raise PostgresFault(unusable_tls_file(error)) from None
        was_pooled = self.is_pooled
        connection = await self._log_in(*arguments, **self._with_cache(options))
        encoding = getattr(connection.get_settings(), "server_encoding", "UTF8")
        if encoding != "UTF8":
            connection.terminate()
            raise PostgresFault(wrong_encoding(encoding, self.target))
        if self._statement_cache is None and is_pooler(self.target) is None:
            with deadline(connection, self.command_timeout):
                remember_pooler(self.target, pooled=await finds_pooler(connection))
        if self.is_pooled and not was_pooled:
            # Found by this one, or by another while this one logged in. The driver sizes its cache at a login.
            connection.terminate()
            connection = await self._log_in(*arguments, **self._with_cache(options))
        return connection

    def _with_cache(self, options: dict[str, Any]) -> dict[str, Any]:
        kept = STATEMENT_CACHE if self._statement_cache is None else self._statement_cache
        return {**options, "statement_cache_size": 0 if self.is_pooled else kept}

    async def _log_in(self, *arguments: Any, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
        """Log in; a server without a free connection is asked again while the patience lasts."""
        loop = asyncio.get_running_loop()
        until, wait = loop.time() + self._patience, 0.25
        while True:
            try:
                return await self._log_in_once(*arguments, **options)
            except asyncpg.PostgresError as error:
                # Jittered, so that those who were refused together do not come back together.
                pause = wait * (0.5 + random())
                if not is_full(error) or loop.time() + pause > until:
                    raise
            await asyncio.sleep(pause)
            wait = min(2 * wait, 2.0)

    async def _log_in_once(self, *arguments: Any, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
        connection = await self._log_in_by_password(*arguments, **options)
        listen(connection, self._heard)
        return connection

    async def _log_in_by_password(self, *arguments: Any, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
        password = await self._passwords.find()
        try:
            return await _attempt(password, *arguments, **options)
        except asyncpg.InvalidAuthorizationSpecificationError as error:
            if password is None:
                # The driver sends an empty password then, which the server refuses as a wrong one.
                if not isinstance(error, asyncpg.InvalidPasswordError):
                    raise
                raise PostgresFault(missing_password(self.target, self._passwords.note)) from None
            # What a command prints may be valid for some minutes only.
            again = await self._passwords.find() if self._passwords.forget(password) else password
            if again is None or again == password:
                raise
            return await _attempt(again, *arguments, **options)

    def _arguments(self) -> dict[str, Any]:
        target = self.target
        return {
            "dsn": _files_of_advisory_tls(target),
            "host": target.host,
            "port": target.port,
            "user": target.user,
            "database": target.database,
            # Given explicitly: the driver reads what is not given from the environment (PGSSLNEGOTIATION and others).
            "direct_tls": False,
            "target_session_attrs": "any",
            "krbsrvname": "postgres",
            "gsslib": "gssapi",
            "server_settings": {"application_name": target.application_name or APPLICATION_NAME},
        }


async def _attempt(password: str | None, *arguments: Any, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
    # A function, because without a password the driver would read PGPASSWORD and, by rules of its own, ~/.pgpass.
    connection: asyncpg.Connection[asyncpg.Record]
    connection = await asyncpg.connect(*arguments, **options, password=lambda: password)
    return connection


def _files_of_advisory_tls(target: PostgresTarget) -> str | None:
    """A URL without a secret: the driver takes the files of ``allow`` and ``prefer`` in this form only."""
    if target.sslmode not in ("allow", "prefer"):
        return None
    files = {"sslrootcert": target.sslrootcert, "sslcert": target.sslcert, "sslkey": target.sslkey}
    query = urlencode({name: path for name, path in files.items() if path})
    return f"postgresql:///?{query}" if query else None


def _tls_settings_fault(error: Exception, target: PostgresTarget) -> Fault | None:
    """The fault of TLS settings that the driver cannot use; None for every other error."""
    # The driver has no error of its own for a certificate that it cannot read or that does not exist.
    unreadable = isinstance(error, FileNotFoundError) and not target.host.startswith("/")
    # A certificate that is not trusted is a ValueError too.
    unusable = isinstance(error, ValueError) and not isinstance(error, (asyncpg.InterfaceError, UnicodeError, OSError))
    if unreadable or unusable:
        return Fault(
            kind=FaultKind.TLS, sentence=f"the TLS settings of {target.display} cannot be used", hint="check them"
        )
    return None


@contextmanager
def deadline(connection: "asyncpg.Connection[asyncpg.Record]", seconds: float) -> Iterator[None]:
    """Abort the connection if the block takes longer than ``seconds``, and raise TimeoutError from the block.

    The query is not cancelled, because to cancel it the driver opens a second connection to the server that does not
    answer. Aborting the socket ends the query with an error at once.
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
    except AttributeError:
        # The driver has no protocol object any more where it goes on with a connection that was aborted.
        if not connection.is_closed():
            raise
        raise (TimeoutError if expired else ConnectionAbortedError) from None
    finally:
        timer.cancel()


class ReadPool:
    """Connections for reads, opened when they are needed. Made by ``PostgresConnectionFactory.read_pool``."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", connections: PostgresConnectionFactory) -> None:
        self._pool = pool
        self._connections = connections
        self._opened = False
        self._opening = asyncio.Lock()
        self._distributed: bool | None = None

    @property
    def max_size(self) -> int:
        """The largest number of connections (AC-028)."""
        return int(self._pool.get_max_size())

    @asynccontextmanager
    async def connection(self, *, writes: bool = False) -> AsyncIterator[Connection]:
        """A connection from the pool. An error of the driver inside the block is raised as an AcodeError.

        Behind a pooler the block is one transaction, which writes nothing unless ``writes``.
        """
        try:
            async with self._opening:
                if not self._opened:
                    await self._pool
                    self._opened = True
            await self._connections.prepare()
            async with (
                self._pool.acquire(timeout=self._connections.connect_timeout) as connection,
                pinned(connection, pooled=self._connections.is_pooled, read_only=not writes),
            ):
                yield connection
        except (*DRIVER_ERRORS, PostgresFault) as error:
            self._connections.learn_from(getattr(error, "sqlstate", None))
            raise translate(PostgresFault(self._connections.fault_of(error))) from None

    async def is_distributed(self, connection: Connection, schema: str) -> bool:
        """Whether the tables of this schema are distributed, asked once over a connection of this pool."""
        if self._distributed is None:
            self._distributed = await is_distributed(connection, schema)
        return self._distributed

    async def close(self) -> None:
        """Close all connections; those that do not close within two seconds are aborted."""
        if not self._opened:
            return
        try:
            async with asyncio.timeout(2):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()
