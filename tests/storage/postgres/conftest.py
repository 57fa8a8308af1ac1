"""Targets and sync connections over a test's own database."""

from collections.abc import AsyncIterator

import pytest

from acode_tui.config.postgres import PostgresTarget
from acode_tui.storage.postgres.apply import Head
from acode_tui.storage.postgres.sync_target import SyncTarget
from acode_tui.sync import conflict
from tests.pg import Database

WORKSPACE = "0190d6a1-0000-7000-8000-000000000001"
OTHER_WORKSPACE = "0190d6a1-0000-7000-8000-000000000002"


def target_of(database: Database, *, port: int | None = None, user: str = "postgres") -> PostgresTarget:
    """The address of a test's database, or of a proxy before it."""
    return PostgresTarget(
        host="127.0.0.1",
        port=port or database.server.port,
        database=database.name,
        user=user,
        password=None,
        sslmode="prefer",
    )


@pytest.fixture
async def sync_target(pg_database: Database) -> AsyncIterator[SyncTarget]:
    """A sync connection to a migrated database."""
    target = SyncTarget(target_of(pg_database), conflict)
    yield target
    await target.close()


@pytest.fixture
async def head(sync_target: SyncTarget) -> Head:
    """The registered workspace."""
    return await sync_target.register_workspace(WORKSPACE, user="ada", host="laptop", version="0.1.0")
