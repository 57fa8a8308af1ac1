"""The PostgreSQL store reads runs as the local store does."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.errors import DatabaseConnectionError, IntegrityError, SchemaMismatchError
from acode_tui.domain.states import SessionState
from acode_tui.storage.postgres.connection import APPLICATION_NAME, PostgresConnectionFactory
from acode_tui.storage.postgres.run_state_reader import PostgresRunStateReader
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from tests.pg import Database, free_port
from tests.storage.conformance import ReaderConformance, Seed
from tests.storage.postgres.conftest import WORKSPACE, target_of
from tests.storage.runs import make_run, plain, records


@pytest.fixture
async def reader(pg_database: Database) -> AsyncIterator[PostgresRunStateReader]:
    store = PostgresRunStateReader(PostgresConnectionFactory(target_of(pg_database)).read_pool(size=2))
    yield store
    await store.close()


@pytest.fixture
def seed(sync_target: PostgresSyncTarget) -> Seed:
    async def store(runs: Sequence[SessionGraph]) -> None:
        for run in runs:
            head = await sync_target.register_workspace(run.workspace_id, user="ada", host="laptop", version="1")
            await sync_target.apply(run.workspace_id, records(plain(run)), incarnation=head.incarnation)

    return store


class TestPostgresReader(ReaderConformance):
    """The shared suite."""


async def test_content_that_does_not_match_its_hash_is_an_error(
    reader: PostgresRunStateReader, seed: Seed, pg_database: Database
) -> None:
    run = make_run(WORKSPACE)
    await seed([run])
    await pg_database.execute("UPDATE artifacts SET content = 'forged'")
    artifact = run.tasks[0].steps[0].tool_calls[0].artifacts[0]
    with pytest.raises(IntegrityError):
        await reader.get_artifact_content(artifact.id)


async def test_sessions_of_an_unknown_state_are_left_out_and_counted(
    reader: PostgresRunStateReader, seed: Seed, pg_database: Database
) -> None:
    known = [make_run(WORKSPACE, state=state, calls=0) for state in SessionState]
    await seed([*known, make_run(WORKSPACE, calls=0)])
    assert await reader.count_unknown() == 0
    await pg_database.execute(
        "ALTER TABLE sessions DROP CONSTRAINT sessions_state_known",
        f"UPDATE sessions SET state = 'Finished' WHERE id = '{known[0].id}'",
    )
    assert await reader.count_unknown() == 1
    assert len(await reader.list()) == len(known)


@pytest.mark.ac("AC-025")
async def test_a_database_without_tables_is_an_error_that_names_the_command(pg_blank: Database) -> None:
    store = PostgresRunStateReader(PostgresConnectionFactory(target_of(pg_blank)).read_pool())
    with pytest.raises(SchemaMismatchError, match="db schema"):
        await store.list()
    await store.close()


@pytest.mark.ac("AC-025")
async def test_an_unreachable_server_is_an_error_that_names_the_address(pg_database: Database) -> None:
    port = free_port()
    store = PostgresRunStateReader(PostgresConnectionFactory(target_of(pg_database, port=port)).read_pool())
    with pytest.raises(DatabaseConnectionError, match=f"127.0.0.1:{port}"):
        await store.list()
    await store.close()


@pytest.mark.ac("AC-028")
@pytest.mark.parametrize("size", [1, 3, 10])
async def test_the_pool_never_opens_more_than_its_size(pg_database: Database, size: int) -> None:
    pool = PostgresConnectionFactory(target_of(pg_database)).read_pool(size=size)
    assert pool.max_size == size
    most = 0

    async def read() -> None:
        nonlocal most
        async with pool.connection() as connection:
            open_now = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1",
                APPLICATION_NAME,
            )
            most = max(most, open_now)

    await asyncio.gather(*(read() for _ in range(20)))
    assert 1 <= most <= size
    await pool.close()


@pytest.mark.ac("AC-028")
@pytest.mark.parametrize("size", [0, -1])
async def test_a_pool_without_connections_is_refused(pg_database: Database, size: int) -> None:
    with pytest.raises(ValueError, match="size"):
        PostgresConnectionFactory(target_of(pg_database)).read_pool(size=size)
