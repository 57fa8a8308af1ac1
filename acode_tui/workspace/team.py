"""Connections to the team's database for reading, outside of the sync."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from acode_tui.config import (
    Misconfigured,
    PostgresSettings,
    PostgresTarget,
    Settings,
    not_enabled,
    resolve_postgres,
    resolve_reads,
)
from acode_tui.domain.clock import WallClock
from acode_tui.domain.errors import SyncError
from acode_tui.logs import add_secrets
from acode_tui.storage.delivery_protocol import TargetFacts

if TYPE_CHECKING:
    from acode_tui.storage.postgres.connection import ReadPool
    from acode_tui.storage.postgres.retention import PostgresRetention
    from acode_tui.storage.postgres.team import PostgresTeam


@asynccontextmanager
async def open_team(settings: Settings, environ: Mapping[str, str] = os.environ) -> "AsyncIterator[PostgresTeam]":
    """The team's database, connected on the first read. Raises SyncError where it is not enabled or misconfigured."""
    # Here, not above: what never talks to PostgreSQL need not load the driver.
    from acode_tui.storage.postgres.team import PostgresTeam

    postgres = settings.persistence.postgres
    async with open_pool(team_address(settings, environ), postgres) as pool:
        yield PostgresTeam(pool, schema=postgres.schema, limits=settings.limits)


@asynccontextmanager
async def open_retention(
    settings: Settings, environ: Mapping[str, str] = os.environ
) -> "AsyncIterator[PostgresRetention]":
    """The same for the removal of what is old."""
    from acode_tui.storage.postgres.retention import PostgresRetention

    postgres = settings.persistence.postgres
    # Where the tables are distributed, one connection has locks while another one removes.
    async with open_pool(team_address(settings, environ), postgres, at_least=2) as pool:
        yield PostgresRetention(pool, schema=postgres.schema)


def team_address(settings: Settings, environ: Mapping[str, str] = os.environ) -> PostgresTarget:
    """The address of the team's database; its secrets are hidden in the log from now on. Raises SyncError."""
    postgres = settings.persistence.postgres
    if not postgres.enabled:
        off = not_enabled(settings)
        raise SyncError(off.reason, hint=off.hint)
    address = resolve_postgres(postgres, environ)
    if isinstance(address, Misconfigured):
        raise SyncError(address.reason, hint=address.hint)
    add_secrets(address.secrets)
    return address


def read_address(postgres: PostgresSettings, primary: PostgresTarget) -> PostgresTarget:
    """Where the team's runs are read; see ``resolve_reads``. Raises SyncError."""
    address = resolve_reads(postgres, primary)
    if isinstance(address, Misconfigured):
        raise SyncError(address.reason, hint=address.hint)
    add_secrets(address.secrets)
    return address


@asynccontextmanager
async def open_pool(
    address: PostgresTarget, postgres: PostgresSettings, *, at_least: int = 1
) -> "AsyncIterator[ReadPool]":
    """Connections to an address that is known already, ``at_least`` so many whatever the settings say."""
    from acode_tui.storage.postgres.connection import PostgresConnectionFactory

    connections = PostgresConnectionFactory(
        address,
        connect_timeout=postgres.connect_timeout_seconds,
        command_timeout=postgres.command_timeout_seconds,
        statement_cache=postgres.statement_cache,
        # Less than a connection attempt may take, so that it ends with the server's word.
        patience=postgres.connect_timeout_seconds / 2,
    )
    pool = connections.read_pool(size=max(postgres.pool_size, at_least))
    try:
        yield pool
    finally:
        await pool.close()


async def probe_target(
    target: PostgresTarget, *, schema: str, connect_timeout: float, command_timeout: float, wall: WallClock
) -> TargetFacts:
    """See ``ProbeTarget``; loads the driver when it is called."""
    from acode_tui.storage.postgres.connection import PostgresConnectionFactory
    from acode_tui.storage.postgres.probe import probe

    connections = PostgresConnectionFactory(target, connect_timeout=connect_timeout, command_timeout=command_timeout)
    return await probe(connections, schema=schema, wall=wall)
