"""The same SQL on a distributed server. Needs the coordinator of a Citus cluster; every test has its own schema."""

import asyncio
import os
import subprocess
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import asyncpg
import msgspec
import pytest

from acode_tui.config.postgres_address import PostgresTarget, resolve_postgres
from acode_tui.config.settings import PostgresSettings
from acode_tui.domain.entities import Session
from acode_tui.domain.schema import TABLES
from acode_tui.ops.server.prune import PruneReport, PruneRequest, prune
from acode_tui.storage.delivery_protocol import PostgresFault
from acode_tui.storage.ports import SessionFilter
from acode_tui.storage.postgres.apply_batch import deliver
from acode_tui.storage.postgres.apply_distributed import DistributedDelivery
from acode_tui.storage.postgres.citus import is_distributed
from acode_tui.storage.postgres.connection import PostgresConnectionFactory
from acode_tui.storage.postgres.migrate import migrate
from acode_tui.storage.postgres.provisioning import provisioning_sql
from acode_tui.storage.postgres.recovery_source import RecoverySource
from acode_tui.storage.postgres.retention import PostgresRetention
from acode_tui.storage.postgres.run_state_reader import PostgresRunStateReader
from acode_tui.storage.postgres.search import PostgresRunSearch
from acode_tui.storage.postgres.server_status import read_server_status
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.storage.server_ports import PruneBounds, TeamRetention
from acode_tui.storage.sqlite.runs.run_files import SqliteRunFiles
from acode_tui.sync.classify import Verdict, classify
from acode_tui.sync.conflict import ConflictResolver
from tests.clocks import GUARD_SECONDS
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
    pruners = f"pruners_{distributed.schema}"
    script = provisioning_sql(schema, shared=True, distribute=True, prune_role=pruners)
    connection = await asyncpg.connect(URL)
    await connection.execute(f"CREATE ROLE {pruners} LOGIN")
    try:
        for _ in range(2):  # it may be run again
            psql = ["psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", URL]
            await asyncio.to_thread(subprocess.run, psql, input=script, text=True, check=True, capture_output=True)
        assert await is_distributed(connection, schema)
        address = msgspec.structs.replace(distributed.address, user=pruners)
        pool = PostgresConnectionFactory(address).read_pool(size=2)
        retention = PostgresRetention(pool, schema=schema)
        now = await retention.start(need_rights=True)
        prune_id = await retention.begin(now, None)
        assert [part async for part in retention.prune_ledger(prune_id, PruneBounds(now, now))]
        assert not any((await retention.prune_sessions(prune_id, PruneBounds(now, now), [str(uuid.uuid4())])).values())
        await pool.close()
    finally:
        await connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
        await connection.execute(f"DROP OWNED BY {pruners}")
        await connection.execute(f"DROP ROLE {pruners}")
        await connection.close()


async def test_a_migration_changes_tables_that_are_distributed_already(distributed: PostgresSyncTarget) -> None:
    connection = await asyncpg.connect(URL)
    try:
        for statement in (
            "DROP TABLE {}.pruned_sessions",
            "DROP TABLE {}.prunes",
            "DROP INDEX {}.sessions_by_user",
            "ALTER TABLE {}.sync_inbox DROP CONSTRAINT sync_inbox_pkey",
            "ALTER TABLE {}.sync_inbox DROP COLUMN key_digest",
            "ALTER TABLE {}.sync_inbox ADD PRIMARY KEY (session_id, idempotency_key)",
            "DELETE FROM {}.schema_migrations WHERE version IN ('1.4.0', '1.5.0')",
        ):
            await connection.execute(statement.format(f'"{distributed.schema}"'))
        done = await migrate(connection, schema=distributed.schema, distribute=True)
        assert [each.version for each in done.applied] == ["1.4.0", "1.5.0"]
        assert await connection.fetchval(
            "SELECT EXISTS (SELECT 1 FROM pg_dist_partition WHERE logicalrelid = to_regclass($1))",
            f'"{distributed.schema}".pruned_sessions',
        )
    finally:
        await connection.close()


async def run_prune(target: PostgresSyncTarget, **request: Any) -> PruneReport:
    @asynccontextmanager
    async def opened_retention() -> AsyncIterator[TeamRetention]:
        pool = PostgresConnectionFactory(target.address).read_pool(size=3)
        try:
            yield PostgresRetention(pool, schema=target.schema)
        finally:
            await pool.close()

    asked = PruneRequest(older_than=timedelta(days=90), **request)
    return await prune(opened_retention, SqliteRunFiles(), asked, on_step=lambda _: None, on_progress=lambda _: None)


async def age(connection: "asyncpg.Connection[asyncpg.Record]", schema: str) -> None:
    """Move what the server has written into the past, and the last batch of each workspace too."""
    long_ago = datetime.now(UTC) - timedelta(days=100)
    for table in TABLES.values():
        await connection.execute(f'UPDATE "{schema}".{table.name} SET synced_at = $1, updated_at = $1', long_ago)
    await connection.execute(f'UPDATE "{schema}".sync_inbox SET applied_at = $1', long_ago)


async def test_old_rows_are_pruned_and_no_replica_brings_them_back(
    distributed: PostgresSyncTarget, tmp_path: Path
) -> None:
    schema = distributed.schema
    sent: dict[str, list[list[Any]]] = {}
    heads: dict[str, str] = {}
    for workspace in (WORKSPACE, OTHER_WORKSPACE):
        head = await distributed.register_workspace(workspace, user="ada", host="laptop", version="1")
        heads[workspace] = head.incarnation
        sent[workspace] = [plain(make_run(workspace, calls=2)) for _ in range(4)]
        for rows in sent[workspace]:
            await distributed.apply(workspace, records(rows), incarnation=head.incarnation)
    runs = [rows for workspace in sent for rows in sent[workspace]]
    ledger = sum(map(len, runs))
    last = sum(len(sent[workspace][-1]) for workspace in sent)
    connection = await asyncpg.connect(URL)
    try:
        await age(connection, schema)
        keys = [(record.session_id, record.idempotency_key) for record in records(runs[0])]
        planned = await run_prune(distributed, dry_run=True)
        assert await connection.fetchval(f'SELECT count(*) FROM "{schema}".sync_inbox') == ledger
        done = await run_prune(distributed)
        # The last batch of each workspace stays: its laptop asks for it after a standby was promoted.
        assert (planned.ledger_rows, planned.ledger_kept) == (done.ledger_rows, done.ledger_kept)
        assert (done.ledger_rows, done.ledger_kept, done.sessions) == (ledger - last, last, 0)
        assert await connection.fetchval(f'SELECT count(*) FROM "{schema}".sync_inbox') == last
        assert await distributed.ledger_has(keys) == {key for _, key in keys}, "the rows are there"

        # One session is young again: it stays.
        young = runs[-1][0]
        await connection.execute(f'UPDATE "{schema}".sessions SET synced_at = now() WHERE id = $1', young.id)
        archive = tmp_path / "old.json"
        planned = await run_prune(distributed, archive=archive, dry_run=True)
        assert not archive.exists()
        done = await run_prune(distributed, archive=archive)
        assert (done.sessions, done.rows) == (len(runs) - 1, planned.rows)
        assert sum(done.rows.values()) == ledger - len(runs[-1])
        assert all(rows[0].id in archive.read_text() for rows in runs[:-1])
        for table in (*TABLES.values(),):
            left = await connection.fetch(f'SELECT {table.session_column} FROM "{schema}".{table.name}')
            assert {str(row[0]) for row in left} == {young.id}, table.name
        noted = await connection.fetch(f'SELECT sessions, ended_at FROM "{schema}".prunes ORDER BY started_at')
        assert [row["sessions"] for row in noted] == [0, len(runs) - 1]
        assert all(row["ended_at"] is not None for row in noted)

        # A replica sends everything again, and does not know that the server has lost anything.
        reply = await distributed.apply(WORKSPACE, records(runs[0]), incarnation=heads[WORKSPACE])
        assert {result.outcome for result in reply.results} == {"duplicate"}
        assert await connection.fetchval(f'SELECT count(*) FROM "{schema}".sessions') == 1
        assert await distributed.ledger_has(keys) == {key for _, key in keys}, "the session was pruned"
    finally:
        await connection.close()


async def test_a_batch_that_waits_for_a_pruning_does_not_bring_the_session_back(
    distributed: PostgresSyncTarget,
) -> None:
    head = await distributed.register_workspace(WORKSPACE, user="ada", host="laptop", version="1")
    run = plain(make_run(WORKSPACE))
    await distributed.apply(WORKSPACE, records(run), incarnation=head.incarnation)
    connection = await asyncpg.connect(URL)
    pool = PostgresConnectionFactory(distributed.address).read_pool(size=3)
    try:
        await age(connection, distributed.schema)
        retention = PostgresRetention(pool, schema=distributed.schema)
        now = await retention.start(need_rights=True)
        bounds = PruneBounds(cutoff=now - timedelta(days=90), horizon=now - timedelta(days=30))
        prune_id = await retention.begin(bounds.cutoff, None)
        session = cast(Session, run[0])
        # The pruning has the lock of the head and waits for a row of the session; then a batch waits for the head.
        async with connection.transaction():
            await connection.execute(
                f'SELECT 1 FROM "{distributed.schema}".sessions WHERE id = $1 FOR KEY SHARE', uuid.UUID(session.id)
            )
            pruning = asyncio.create_task(retention.prune_sessions(prune_id, bounds, [session.id]))
            await until_waiting(connection, 1)
            edit = records([edited(session, seconds=1)])
            sending = asyncio.create_task(distributed.apply(WORKSPACE, edit, incarnation=head.incarnation))
            await until_waiting(connection, 2)
        assert (await pruning)["sessions"] == 1
        assert [result.outcome for result in (await sending).results] == ["duplicate"]
        for table in ("sessions", "sync_inbox", "session_search"):
            assert await connection.fetchval(f'SELECT count(*) FROM "{distributed.schema}".{table}') == 0, table
    finally:
        await pool.close()
        await connection.close()


async def until_waiting(connection: "asyncpg.Connection[asyncpg.Record]", sessions: int) -> None:
    """Return when so many sessions wait for a lock on the nodes of the cluster."""
    async with asyncio.timeout(GUARD_SECONDS):
        while await connection.fetchval("SELECT count(*) FROM citus_lock_waits") < sessions:
            pass


async def test_the_status_counts_the_rows_of_all_nodes(distributed: PostgresSyncTarget) -> None:
    head = await distributed.register_workspace(WORKSPACE, user="ada", host="laptop", version="1")
    for _ in range(3):
        await distributed.apply(WORKSPACE, records(plain(make_run(WORKSPACE))), incarnation=head.incarnation)
    connection = await asyncpg.connect(URL)
    await connection.execute(f'ANALYZE "{distributed.schema}".sessions, "{distributed.schema}".sync_inbox')
    await connection.close()
    pool = PostgresConnectionFactory(distributed.address).read_pool(size=1)
    try:
        found = await read_server_status(pool, distributed.schema)
    finally:
        await pool.close()
    sizes = {each.table: each for each in found.tables}
    assert found.distributed
    assert found.nodes > 1
    assert sizes["sessions"].rows == 3
    assert sizes["sync_inbox"].rows == 3 * len(plain(make_run(WORKSPACE)))
    assert sizes["sessions"].bytes > 0 < sizes["sessions"].index_bytes
    assert found.database_bytes > sum(each.bytes + each.index_bytes for each in found.tables)


@pytest.fixture
async def own_database() -> AsyncIterator[str]:
    """The address of a database of its own on all nodes: a test may say that a node is away."""
    name = f"acode_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(URL)
    nodes = await connection.fetch("SELECT nodename, nodeport, groupid FROM pg_dist_node ORDER BY groupid")
    coordinator, *workers = [(row["nodename"], row["nodeport"]) for row in nodes]
    try:
        for host, port in (coordinator, *workers):
            node = await asyncpg.connect(URL, host=host, port=port)
            await node.execute(f"CREATE DATABASE {name}")
            await node.close()
            node = await asyncpg.connect(URL, host=host, port=port, database=name)
            await node.execute("CREATE EXTENSION citus")
            await node.close()
        first = await asyncpg.connect(URL, database=name)
        await first.fetchval("SELECT citus_set_coordinator_host($1, $2)", *coordinator)
        for worker in workers:
            await first.fetchval("SELECT citus_add_node($1, $2)", *worker)
        await migrate(first, distribute=True)
        await first.close()
        yield f"{URL.rsplit('/', 1)[0]}/{name}"
    finally:
        for host, port in (*workers, coordinator):
            node = await asyncpg.connect(URL, host=host, port=port)
            await node.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            await node.close()
        await connection.close()


async def test_while_a_node_is_away_its_sessions_wait_and_others_go_on(own_database: str) -> None:
    address = resolve_postgres(PostgresSettings(), {"ACODE_POSTGRES_URL": own_database})
    assert isinstance(address, PostgresTarget)
    target = PostgresSyncTarget(address, ConflictResolver())
    head = await target.register_workspace(WORKSPACE, user="ada", host="laptop", version="1")
    connection = await asyncpg.connect(own_database)

    async def port_of(table: str, id_: str) -> int:
        return int(
            await connection.fetchval(
                "SELECT n.nodeport FROM pg_dist_placement AS p JOIN pg_dist_node AS n USING (groupid) "
                "WHERE p.shardid = get_shard_id_for_distribution_column($1::text::regclass, $2::text)",
                table,
                id_,
            )
        )

    async def send(run: list[Any]) -> set[str]:
        reply = await target.apply(WORKSPACE, records(run), incarnation=head.incarnation)
        return {result.outcome for result in reply.results}

    try:
        here = await port_of("workspaces", WORKSPACE)
        runs: dict[bool, list[Any]] = {}
        while len(runs) < 2:
            run = plain(make_run(WORKSPACE, calls=2))
            runs[await port_of("sessions", run[0].id) == here] = run
        away = await port_of("sessions", runs[False][0].id)
        await target.close()
        await connection.execute("UPDATE pg_dist_node SET nodeport = 1 WHERE nodeport = $1", away)
        assert await send(runs[True]) == {"applied"}
        for _ in range(2):
            with pytest.raises(PostgresFault) as raised:
                await send(runs[False])
            assert classify(raised.value.fault) is Verdict.OFFLINE, "no record has failed"
            assert "cannot reach one of its nodes" in raised.value.fault.sentence
        await connection.execute("UPDATE pg_dist_node SET nodeport = $1 WHERE nodeport = 1", away)
        assert await send(runs[False]) == {"applied"}
        assert await send(runs[True]) == {"duplicate"}
        held = await connection.fetchval("SELECT count(*) FROM sync_inbox")
        assert held == len(runs[True]) + len(runs[False])
    finally:
        await target.close()
        await connection.close()
