"""The way to the team's database, for reading."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from acode_tui.config import Misconfigured, PostgresSettings, PostgresTarget, Settings, resolve_postgres
from acode_tui.domain.errors import SyncError
from acode_tui.logs import add_secrets

if TYPE_CHECKING:
    from acode_tui.storage.postgres.connection import ReadPool


@asynccontextmanager
async def open_pool(settings: Settings) -> "AsyncIterator[ReadPool]":
    """Connections for reading. Raises SyncError where PostgreSQL is not enabled or its settings make no address."""
    postgres = settings.persistence.postgres
    if not postgres.enabled:
        raise SyncError(
            "PostgreSQL is not enabled",
            hint="enable it with `acode-tui config set persistence.postgres.enabled true`",
        )
    address = resolve_postgres(postgres)
    if isinstance(address, Misconfigured):
        raise SyncError(address.reason, hint=address.hint)
    add_secrets(address.secrets)
    async with pool_to(address, postgres) as pool:
        yield pool


@asynccontextmanager
async def pool_to(address: PostgresTarget, postgres: PostgresSettings) -> "AsyncIterator[ReadPool]":
    """Connections to an address that is known already."""
    # Here, not above: what never talks to PostgreSQL need not load the driver.
    from acode_tui.storage.postgres.connection import PostgresConnectionFactory

    connections = PostgresConnectionFactory(
        address,
        connect_timeout=postgres.connect_timeout_seconds,
        command_timeout=postgres.command_timeout_seconds,
    )
    pool = connections.read_pool(size=postgres.pool_size)
    try:
        yield pool
    finally:
        await pool.close()
