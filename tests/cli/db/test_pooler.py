"""Every command that talks to the team's database, through pgbouncer in transaction mode, whose words users see."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from acode_tui import open_workspace
from acode_tui.storage.postgres.connection import PostgresConnectionFactory
from acode_tui.storage.postgres.pooler import forget_poolers
from tests.cli.conftest import Recorded, Run
from tests.pgbouncer import Pooler, needs_pgbouncer
from tests.storage.postgres.conftest import target_of
from tests.storage.runs import make_run

pytestmark = needs_pgbouncer

COMMANDS = (
    "db sync now",
    "db sync --historical",
    "db sync --full",
    "db sync status",
    "db status",
    "db migrate",
    "db migrate --dry-run",
    "db migrate status",
    "db sync log",
    "db check --remote",
    "db validate --compare-checksums",
    "db recover --from postgres --dry-run",
    "db recover --from postgres --force",
    "session list --source postgres",
    "session list --source postgres --search binary",
    "session show SESSION --source postgres",
    "session history SESSION --source postgres",
    "search binary --source postgres",
    "stats --source postgres",
    "db server status",
    "db server prune --older-than 90d --drop",
    "status",
    "diagnostics",
    "--headless --once",
)


COMMANDS_ON_THE_DATABASE = ("session list", "session show SESSION", "search binary", "stats")
"""With the database itself as the workspace."""


@pytest.fixture
def pooler(make_pooler: Callable[..., Pooler], monkeypatch: pytest.MonkeyPatch) -> Pooler:
    made = make_pooler()
    monkeypatch.setenv("ACODE_POSTGRES_URL", made.url)
    monkeypatch.setenv("ACODE_PERSISTENCE__POSTGRES__ENABLED", "true")
    return made


async def test_every_command_works_through_a_transaction_pooler(run: Run, recorded: Recorded, pooler: Pooler) -> None:
    await pooler.spread()
    for command in COMMANDS:
        forget_poolers()  # as each process begins
        words = command.replace("SESSION", recorded.session).split()
        result = await asyncio.to_thread(run, *words)
        expected = (0, 1) if command in ("status", "diagnostics") else (0,)  # an unread conflict, a full disk
        assert result.exit_code in expected, (command, result.stdout, result.stderr)
        assert "prepared statement" not in result.output
    for command in COMMANDS_ON_THE_DATABASE:
        forget_poolers()
        words = command.replace("SESSION", recorded.session).split()
        result = await asyncio.to_thread(run, "--workspace", pooler.url, *words)
        assert result.exit_code == 0, (command, result.stdout, result.stderr)
    assert len(await pooler.database.fetch("SELECT 1 FROM sessions")) == 1


async def test_connections_that_are_opened_together_all_learn_it(pooler: Pooler) -> None:
    opened = await asyncio.gather(
        *(PostgresConnectionFactory(target_of(pooler.database, port=pooler.port)).connect() for _ in range(4))
    )
    assert [connection._stmt_cache.get_max_size() for connection in opened] == [0] * 4
    for connection in opened:
        await connection.close()


async def test_a_worker_learns_it_once_and_keeps_it(root: Path, pooler: Pooler) -> None:
    await pooler.spread()
    async with open_workspace(root) as workspace:
        for _ in range(3):
            await workspace.store.save(make_run(workspace.workspace_id))
            assert (await workspace.sync.sync_now()).remaining == 0
        assert (await workspace.sync.log_tail(10))[0].event == "drained"
        assert {entry.event for entry in await workspace.sync.log_tail(10)} == {"drained"}


@pytest.mark.parametrize(
    ("settings", "database", "says"),
    [
        ({}, "nowhere", "no such database"),
        ({"query_wait_timeout": "1"}, None, "query_wait_timeout"),
        ({"max_client_conn": "1"}, None, "the server is full"),
    ],
)
async def test_the_words_of_a_pooler_reach_the_user(
    run: Run,
    recorded: Recorded,
    make_pooler: Callable[..., Pooler],
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
    database: str | None,
    says: str,
) -> None:
    made = make_pooler(default_pool_size="1", **settings)
    url = made.url if database is None else made.database.server.url(database, port=made.port)
    monkeypatch.setenv("ACODE_POSTGRES_URL", url)
    monkeypatch.setenv("ACODE_PERSISTENCE__POSTGRES__ENABLED", "true")
    monkeypatch.setenv("ACODE_PERSISTENCE__POSTGRES__CONNECT_TIMEOUT_SECONDS", "4")
    import asyncpg

    holder = await asyncpg.connect(made.url, statement_cache_size=0)
    try:
        await holder.execute("BEGIN")  # the only server connection
        for command in (("session", "list", "--source", "postgres"), ("db", "status")):
            result = await asyncio.to_thread(run, *command)
            assert says in result.output, (command, result.output)
    finally:
        await holder.close()
