"""The same SQL on a distributed server. Needs the coordinator of a Citus cluster; every test has its own schema."""

import asyncio
import os
import subprocess
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast

import asyncpg
import msgspec
import pytest

from acode_tui.config.postgres_address import PostgresTarget, resolve_postgres
from acode_tui.config.settings import PostgresSettings
from acode_tui.storage.ports import SessionFilter
from acode_tui.storage.postgres.apply_batch import deliver
from acode_tui.storage.postgres.apply_distributed import DistributedDelivery
from acode_tui.storage.postgres.citus import is_distributed
from acode_tui.storage.postgres.connection import PostgresConnectionFactory
from acode_tui.storage.postgres.migrate import migrate
from acode_tui.storage.postgres.provisioning import provisioning_sql
from acode_tui.storage.postgres.recovery_source import RecoverySource
from acode_tui.storage.postgres.run_state_reader import PostgresRunStateReader
from acode_tui.storage.postgres.search import PostgresRunSearch
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.sync.conflict import ConflictResolver
from tests.storage.postgres.conftest import OTHER_WORKSPACE, WORKSPACE
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


class Explaining:
    """A connection that also notes how the server would execute each insert."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection
        self.tasks: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def fetch(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        if statement.startswith("INSERT"):
            plan = [row[0].strip() for row in await self._connection.fetch(f"EXPLAIN {statement}", *values)]
            self.tasks += [line for line in plan if line.startswith("Task Count")]
        return list(await self._connection.fetch(statement, *values))


async def test_what_is_written_of_a_session_is_one_task(distributed: PostgresSyncTarget) -> None:
    head = await distributed.register_workspace(WORKSPACE, user="ada", host="laptop", version="1")
    async with distributed._open(for_batch=True) as connection:
        explaining = Explaining(connection)
        await deliver(
            cast(Any, explaining),
            distributed._statements,
            WORKSPACE,
            records(plain(make_run(WORKSPACE, calls=5))),
            incarnation=head.incarnation,
            known_seq=0,
            rules=ConflictResolver(),
            incoming=distributed._incoming,
            now=datetime(2026, 11, 29, tzinfo=UTC),
            idle_timeout=60,
            delivery_type=DistributedDelivery,
        )
    assert len(explaining.tasks) >= 8, "the ledger, six tables and the search index"
    assert set(explaining.tasks) == {"Task Count: 1"}


async def test_no_workspace_waits_for_another(distributed: PostgresSyncTarget) -> None:
    """The head of a workspace is locked for a batch; a reference table would have one lock for all of them."""
    for workspace in (WORKSPACE, OTHER_WORKSPACE):
        head = await distributed.register_workspace(workspace, user="ada", host="laptop", version="1")
    blocker = await asyncpg.connect(URL)
    try:
        async with blocker.transaction():
            await blocker.execute(
                f'UPDATE "{distributed.schema}".workspaces SET change_seq = change_seq WHERE id = $1',
                uuid.UUID(WORKSPACE),
            )
            rows = records(plain(make_run(OTHER_WORKSPACE)))
            reply = await distributed.apply(OTHER_WORKSPACE, rows, incarnation=head.incarnation)
    finally:
        await blocker.close()
    assert {result.outcome for result in reply.results} == {"applied"}


async def test_runs_are_listed_searched_and_read(distributed: PostgresSyncTarget) -> None:
    head = await distributed.register_workspace(WORKSPACE, user="ada", host="laptop", version="1")
    runs = [plain(make_run(WORKSPACE, calls=2)) for _ in range(3)]
    for rows in runs:
        await distributed.apply(WORKSPACE, records(rows), incarnation=head.incarnation)
    pool = PostgresConnectionFactory(distributed.address).read_pool(size=3)
    try:
        reader = PostgresRunStateReader(pool, schema=distributed.schema)
        assert {each.id for each in (await reader.list(SessionFilter())).sessions} == {rows[0].id for rows in runs}
        assert await reader.count(SessionFilter()) == 3
        graph = await reader.get_with_hierarchy(runs[0][0].id)
        assert len(list(graph.entities())) == len(runs[0])
        for query in ("state:created", "failed", "-nothing", '"no such phrase"'):
            found = await PostgresRunSearch(pool, schema=distributed.schema).search(query, limit=10)
            assert found.next_cursor is None
        (workspace,) = await RecoverySource(pool, schema=distributed.schema).find_workspaces(WORKSPACE[:8])
        assert (workspace.id, workspace.sessions) == (WORKSPACE, 3)
    finally:
        await pool.close()


async def test_the_script_for_administrators_distributes_too(distributed: PostgresSyncTarget) -> None:
    schema = f"{distributed.schema}_b"
    script = provisioning_sql(schema, shared=True, distribute=True)
    connection = await asyncpg.connect(URL)
    try:
        for _ in range(2):  # it may be run again
            psql = ["psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", URL]
            await asyncio.to_thread(subprocess.run, psql, input=script, text=True, check=True, capture_output=True)
        assert await is_distributed(connection, schema)
        await connection.execute(f'DROP SCHEMA "{schema}" CASCADE')
    finally:
        await connection.close()


async def test_a_migration_changes_tables_that_are_distributed_already(distributed: PostgresSyncTarget) -> None:
    connection = await asyncpg.connect(URL)
    try:
        for statement in (
            "DROP TABLE {}.pruned_sessions",
            "DROP TABLE {}.prunes",
            "DROP INDEX {}.sessions_by_user",
            "DELETE FROM {}.schema_migrations WHERE version = '1.4.0'",
        ):
            await connection.execute(statement.format(f'"{distributed.schema}"'))
        done = await migrate(connection, schema=distributed.schema, distribute=True)
        assert [each.version for each in done.applied] == ["1.4.0"]
        assert await connection.fetchval(
            "SELECT EXISTS (SELECT 1 FROM pg_dist_partition WHERE logicalrelid = to_regclass($1))",
            f'"{distributed.schema}".pruned_sessions',
        )
    finally:
        await connection.close()
