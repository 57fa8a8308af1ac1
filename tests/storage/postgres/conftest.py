"""Targets and sync connections to a test's own database."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from acode_tui.config.postgres_address import PostgresTarget
from acode_tui.domain.entities import Entity
from acode_tui.storage.delivery_protocol import ApplyReply, ApplyRow, Head
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.sync.conflict import ConflictResolver
from tests.pg import Database
from tests.storage.runs import records

WORKSPACE = "0190d6a1-0000-7000-8000-000000000001"
OTHER_WORKSPACE = "0190d6a1-0000-7000-8000-000000000002"


def target_of(database: Database, *, port: int | None = None, user: str = "postgres") -> PostgresTarget:
    """The address of a test's database, or of a proxy in front of it."""
    return PostgresTarget(
        host="127.0.0.1",
        port=port or database.server.port,
        database=database.name,
        user=user,
        password=None,
        sslmode="prefer",
    )


@pytest.fixture
async def sync_target(pg_database: Database) -> AsyncIterator[PostgresSyncTarget]:
    """A sync connection to a migrated database."""
    target = PostgresSyncTarget(target_of(pg_database), ConflictResolver())
    yield target
    await target.close()


@pytest.fixture
async def head(sync_target: PostgresSyncTarget) -> Head:
    """The registered workspace."""
    return await sync_target.register_workspace(WORKSPACE, user="ada", host="laptop", version="0.1.0")


class Machine:
    """One machine's worker, reduced to what it sends."""

    def __init__(self, target: PostgresSyncTarget, workspace_id: str, head: Head) -> None:
        self.target = target
        self.workspace_id = workspace_id
        self.head = head

    async def send(self, *entities: Entity, **options: Any) -> ApplyReply:
        return await self.apply(records(entities), **options)

    async def apply(self, batch: list[ApplyRow], **options: Any) -> ApplyReply:
        return await self.target.apply(self.workspace_id, batch, incarnation=self.head.incarnation, **options)


@pytest.fixture(params=["plain", "distributed"])
def shape(request: pytest.FixtureRequest) -> str:
    """Both forms of the statements: the second is for a distributed server."""
    return str(request.param)


@pytest.fixture
async def laptop(pg_database: Database, shape: str) -> AsyncIterator[Machine]:
    async for machine in _machine(pg_database, WORKSPACE, shape):
        yield machine


@pytest.fixture
async def colleague(pg_database: Database, shape: str) -> AsyncIterator[Machine]:
    """Another workspace of the same team."""
    async for machine in _machine(pg_database, OTHER_WORKSPACE, shape):
        yield machine


async def _machine(database: Database, workspace_id: str, shape: str) -> AsyncIterator[Machine]:
    target = PostgresSyncTarget(target_of(database), ConflictResolver())
    head = await target.register_workspace(workspace_id, user="ada", host="laptop", version="0.1.0")
    target._distributed = shape == "distributed"
    yield Machine(target, workspace_id, head)
    await target.close()


def outcomes(reply: ApplyReply) -> list[tuple[str, int]]:
    return [(result.outcome, result.sync_version) for result in reply.results]
