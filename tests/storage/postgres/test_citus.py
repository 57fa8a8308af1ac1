"""The same SQL on a distributed server. Needs the coordinator of a Citus cluster; every test has its own schema."""

import os
import uuid
from collections.abc import AsyncIterator

import asyncpg
import msgspec
import pytest

from acode_tui.config.postgres_address import PostgresTarget, resolve_postgres
from acode_tui.config.settings import PostgresSettings
from acode_tui.storage.postgres.migrate import migrate
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.sync.conflict import ConflictResolver
from tests.storage.postgres.conftest import WORKSPACE
from tests.storage.runs import edited, make_run, plain, records

URL = os.environ.get("ACODE_TEST_CITUS_URL", "")

pytestmark = [
    pytest.mark.citus,
    pytest.mark.skipif(not URL, reason="ACODE_TEST_CITUS_URL is not set: no Citus cluster to test against"),
]


@pytest.fixture
async def distributed() -> AsyncIterator[PostgresSyncTarget]:
    schema = f"acode_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(URL)
    await migrate(connection, schema=schema, distribute=True)
    address = resolve_postgres(PostgresSettings(), {"ACODE_POSTGRES_URL": URL})
    assert isinstance(address, PostgresTarget)
    target = PostgresSyncTarget(address, ConflictResolver(), schema=schema)
    yield target
    await target.close()
    await connection.execute(f'DROP SCHEMA "{schema}" CASCADE')
    await connection.close()


async def test_a_run_is_delivered_replayed_and_pulled(distributed: PostgresSyncTarget) -> None:
    head = await distributed.register_workspace(WORKSPACE, user="ada", host="laptop", version="1")
    assert (await distributed.probe()).distributed
    rows = plain(make_run(WORKSPACE, calls=5))
    reply = await distributed.apply(WORKSPACE, records(rows), incarnation=head.incarnation)
    assert {result.outcome for result in reply.results} == {"applied"}
    again = await distributed.apply(WORKSPACE, records(rows), incarnation=head.incarnation)
    assert {result.outcome for result in again.results} == {"duplicate"}
    assert len((await distributed.pull(WORKSPACE, 0)).rows) == len(rows)


async def test_a_conflict_is_resolved(distributed: PostgresSyncTarget) -> None:
    head = await distributed.register_workspace(WORKSPACE, user="ada", host="laptop", version="1")
    session = plain(make_run(WORKSPACE))[0]
    for seconds, outcome in ((0, "applied"), (2, "conflict_local"), (1, "conflict_remote")):
        changed = msgspec.structs.replace(edited(session, seconds=seconds), user_id=f"user {seconds}")
        reply = await distributed.apply(WORKSPACE, records([changed]), incarnation=head.incarnation)
        assert [result.outcome for result in reply.results] == [outcome]
