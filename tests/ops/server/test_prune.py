"""Pruning the team's database: what goes, what stays, and that no laptop brings it back or is disturbed."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from click.testing import CliRunner, Result

from acode_tui import SessionState
from acode_tui.cli.main import cli
from acode_tui.config.postgres_address import PostgresTarget
from acode_tui.domain.errors import SyncError
from acode_tui.domain.schema import TABLES
from acode_tui.ops.server.prune import HORIZON, PruneReport, PruneRequest, prune
from acode_tui.storage.postgres.connection import PostgresConnectionFactory
from acode_tui.storage.postgres.provisioning import provisioning_sql
from acode_tui.storage.postgres.retention import PostgresRetention, _Statements
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.storage.postgres.team import PostgresTeam
from acode_tui.storage.server_ports import PruneBounds, TeamRetention
from acode_tui.storage.sqlite.runs.run_files import SqliteRunFiles
from acode_tui.sync.conflict import ConflictResolver
from acode_tui.sync.ports import SyncState
from acode_tui.workspace import Workspace
from tests.clocks import GUARD_SECONDS
from tests.pg import Database
from tests.storage.postgres.conftest import WORKSPACE, Machine, target_of
from tests.storage.runs import make_run, plain
from tests.sync.equality import rows_here, rows_there
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import add_run, opened

WAITING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
TABLE_NAMES = [table.name for table in TABLES.values()]


@pytest.fixture
def time() -> FakeTime:
    """A hundred days ago."""
    return FakeTime(datetime.now(UTC) - timedelta(days=100))


@pytest.fixture(autouse=True)
def enabled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ACODE_PERSISTENCE__POSTGRES__ENABLED", "true")
    monkeypatch.setenv("ACODE_IDENTITY__USER", "ada@example.org")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))


async def acode(folder: Path, *arguments: str) -> Result:
    result = await asyncio.to_thread(CliRunner().invoke, cli, ["--workspace", str(folder), *arguments])
    assert "Traceback" not in result.output
    return result


async def age(team: Database, days: int = 100) -> None:
    """Move everything that the server has written so far into the past."""
    ago = f"- interval '{days} days'"
    await team.execute(
        *(f"UPDATE {table} SET synced_at = synced_at {ago}" for table in TABLE_NAMES),
        f"UPDATE sync_inbox SET applied_at = applied_at {ago}",
    )


async def run_prune(address: PostgresTarget, **request: Any) -> PruneReport:
    @asynccontextmanager
    async def opened_retention() -> AsyncIterator[TeamRetention]:
        pool = PostgresConnectionFactory(address).read_pool(size=1)
        try:
            yield PostgresRetention(pool)
        finally:
            await pool.close()

    on_progress = request.pop("on_progress", lambda _: None)
    asked = PruneRequest(**{"older_than": timedelta(days=90), **request})
    return await prune(opened_retention, SqliteRunFiles(), asked, on_step=lambda _: None, on_progress=on_progress)


async def count(team: Database, table: str) -> int:
    return int((await team.fetch(f"SELECT count(*) FROM {table}"))[0][0])


@asynccontextmanager
async def two_replicas(tmp_path: Path, time: FakeTime) -> AsyncIterator[tuple[Workspace, Workspace]]:
    """A laptop and a desktop of one workspace, in step."""
    (tmp_path / "laptop").mkdir()
    async with opened(tmp_path / "laptop", time) as first:
        await first.sync.sync_now()
    shutil.copytree(tmp_path / "laptop", tmp_path / "desktop")
    async with opened(tmp_path / "laptop", time) as laptop, opened(tmp_path / "desktop", time) as desktop:
        yield laptop, desktop


async def test_a_pruned_session_is_archived_and_no_replica_brings_it_back(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    archive = tmp_path / "old.json"
    async with two_replicas(tmp_path, time) as (laptop, desktop):
        old = await add_run(laptop, "old")
        for replica in (laptop, desktop):
            await replica.sync.sync_now()
        await age(team)
        time.now = datetime.now(UTC)
        await add_run(desktop, "young")
        await desktop.sync.sync_now()
        await laptop.sync.sync_now()
        before = rows_here(laptop.database_path)
        asked = ("db", "server", "prune", "--older-than", "90d", "--archive", str(archive), "--json")
        planned = json.loads((await acode(laptop.root, *asked, "--dry-run")).stdout)
        assert not archive.exists()
        assert await count(team, "sessions") == 2
        done = json.loads((await acode(laptop.root, *asked)).stdout)
        assert (done["sessions"], done["rows"]) == (1, planned["rows"])
        assert [row["task_description"] for row in await team.fetch("SELECT task_description FROM sessions")] == [
            "young"
        ]
        for table in (*TABLE_NAMES[1:], "sync_inbox", "session_search"):
            assert not await team.fetch(f"SELECT 1 FROM {table} WHERE session_id = $1", old.id), table

        # A replica edits the session, another one sends all that it has: both keep theirs, and the team gets neither.
        await laptop.store.transition_session(old.id, SessionState.EXECUTING, reason="again")
        edited = await laptop.sync.sync_now()
        assert (edited.synced, edited.conflicts, edited.failed, edited.remaining) == (0, 0, 0, 0)
        again = await desktop.sync.sync_full()
        assert (again.conflicts, again.failed, again.remaining) == (0, 0, 0)
        assert await count(team, "sessions") == await count(team, "pruned_sessions") == 1
        assert not await team.fetch("SELECT 1 FROM session_search WHERE session_id = $1", old.id)
        assert {*rows_here(desktop.database_path)["steps"]} == {*before["steps"]}
        for replica in (laptop, desktop):
            found = await replica.validate()
            assert (found.pruned, found.matching, found.mismatched) == (1, 1, ())
            await replica.sync.sync_now()
        checked = await acode(laptop.root, "db", "check", "--remote", "--json")
        assert checked.exit_code == 0, checked.stdout
        assert "because of their age" in checked.stdout

    reader = tmp_path / "reader"
    reader.mkdir()
    imported = await acode(reader, "db", "import", str(archive))
    assert imported.exit_code == 0, imported.stderr
    held = rows_here(reader / ".agent" / "workspace.db")
    for table in TABLE_NAMES[1:]:
        ours = {key: row for key, row in before[table].items() if row["session_id"] == old.id}
        assert {*held[table]} == {*ours}, table
    assert held["artifacts"].popitem()[1]["content"] == next(
        row["content"] for row in before["artifacts"].values() if row["session_id"] == old.id
    )


async def test_the_ledger_is_pruned_and_no_replica_takes_that_for_a_loss(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    async with two_replicas(tmp_path, time) as (laptop, desktop):
        run = await add_run(desktop, "by the desktop")
        await desktop.sync.sync_now()
        await laptop.sync.sync_now()
        await laptop.store.transition_session(run.id, SessionState.EXECUTING, reason="go")
        await laptop.sync.sync_now()
        await age(team)
        held = await count(team, "sync_inbox")
        last = len(await team.fetch("SELECT 1 FROM sync_inbox i JOIN workspaces w USING (change_seq)"))
        address = target_of(team)
        planned = await run_prune(address, dry_run=True)
        assert await count(team, "sync_inbox") == held
        done = await run_prune(address)
        # The last batch stays: its laptop asks for it after a standby was promoted.
        assert (done.ledger_rows, done.ledger_kept) == (planned.ledger_rows, planned.ledger_kept) == (held - last, last)
        assert await count(team, "sync_inbox") == last > 0
        assert await count(team, "sessions") == 1
        # What the desktop saw acknowledged last is not in the ledger any more, but its rows are there.
        assert (await desktop.sync.sync_now()).conflicts == 0
        assert (await desktop.sync.status()).state is not SyncState.REMOTE_BEHIND
        # Where the row is gone too, the server has lost it.
        await team.execute(
            "DELETE FROM artifacts", "DELETE FROM tool_calls", "DELETE FROM steps", "DELETE FROM session_tasks"
        )
        with pytest.raises(SyncError, match="reset or restored"):
            await desktop.sync.sync_now()


async def test_what_a_laptop_that_is_away_may_send_again_stays(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with two_replicas(tmp_path, time) as (laptop, _):
        for name in ("first", "second"):
            await add_run(laptop, name)
            await laptop.sync.sync_now()
        await age(team)
        # Last seen 80 days ago: what was applied 100 days ago it may still send again.
        await team.execute("UPDATE workspaces SET last_seen_at = now() - interval '80 days'")
        done = await run_prune(target_of(team))
        assert done.ledger_rows == 0 < done.ledger_kept == await count(team, "sync_inbox")


async def test_an_age_within_the_horizon_is_refused(tmp_path: Path, team: Database) -> None:
    refused = await acode(tmp_path, "db", "server", "prune", "--older-than", f"{HORIZON.days - 1}d")
    assert refused.exit_code == 1
    assert "at least 30 days" in refused.stderr


async def test_an_interruption_leaves_every_session_whole_or_gone(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("acode_tui.ops.server.prune.GroupSize.took", lambda *_: None)
    (tmp_path / "laptop").mkdir()
    async with opened(tmp_path / "laptop", time) as laptop:
        for number in range(24):
            await add_run(laptop, f"run {number}")
        await laptop.sync.sync_now()
        await age(team)
        groups = 0

        def interrupt(_: object) -> None:
            nonlocal groups
            groups += 1
            if groups == 1:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()

        running = asyncio.create_task(run_prune(target_of(team), drop=True, on_progress=interrupt))
        with pytest.raises(asyncio.CancelledError):
            await running
        left = await count(team, "sessions")
        assert left == 4
        assert await count(team, "tool_calls") == left
        assert [tuple(row) for row in await team.fetch("SELECT sessions, ended_at FROM prunes")] == [(20, None)]
        assert (await run_prune(target_of(team), drop=True)).sessions == left
        assert await rows_there(team) == {name: {} for name in TABLE_NAMES}
        assert (await laptop.sync.sync_now()).failed == 0
        assert await count(team, "pruned_sessions") == 24


async def test_a_batch_that_waits_for_a_pruning_does_not_bring_the_session_back(team: Database) -> None:
    target = PostgresSyncTarget(target_of(team), ConflictResolver())
    workspace_id = WORKSPACE
    machine = Machine(
        target, workspace_id, await target.register_workspace(workspace_id, user="a", host="b", version="1")
    )
    run = make_run(WORKSPACE)
    await machine.send(*plain(run))
    await age(team)
    statements = _Statements('"public"')
    now = datetime.now(UTC)
    bounds = PruneBounds(cutoff=now + timedelta(days=1), horizon=now - timedelta(days=30))
    connection = await asyncpg.connect(team.url)
    session: Any = plain(run)[0]
    edited = msgspec.structs.replace(session, task_description="edited", updated_at=session.updated_at + timedelta(1))
    async with connection.transaction():
        prune_id = await connection.fetchval("INSERT INTO prunes (cutoff) VALUES (now()) RETURNING id")
        await connection.execute(statements.lock_heads, [session.id])
        sending = asyncio.create_task(machine.send(edited))
        async with asyncio.timeout(GUARD_SECONDS):
            while not await team.fetch(WAITING):
                pass
        removed = await connection.fetchrow(statements.prune_sessions, [session.id], *bounds, prune_id)
    await connection.close()
    assert removed is not None
    assert removed["sessions"] == 1
    assert [result.outcome for result in (await sending).results] == ["duplicate"]
    await target.close()
    assert await rows_there(team) == {name: {} for name in TABLE_NAMES}
    assert await count(team, "session_search") == 0


async def test_only_the_role_for_it_may_prune(pg_blank: Database, time: FakeTime) -> None:
    agents, pruners = f"agents_{pg_blank.name}", f"pruners_{pg_blank.name}"
    ada, operator = f"ada_{pg_blank.name}", f"operator_{pg_blank.name}"
    await pg_blank.execute(
        f"CREATE ROLE {agents}",
        f"CREATE ROLE {pruners}",
        provisioning_sql(role=agents, prune_role=pruners),
        f"CREATE ROLE {ada} LOGIN IN ROLE {agents}",
        f"CREATE ROLE {operator} LOGIN IN ROLE {pruners}",
        # Running it again, without the role, takes nothing away.
        provisioning_sql(role=agents),
    )
    try:
        target = PostgresSyncTarget(target_of(pg_blank, user=ada), ConflictResolver())
        workspace_id = WORKSPACE
        head = await target.register_workspace(workspace_id, user="ada", host="laptop", version="1")
        machine, run = Machine(target, workspace_id, head), plain(make_run(WORKSPACE))
        await machine.send(*run)
        await age(pg_blank)
        with pytest.raises(SyncError, match=r"may not remove rows.*--prune-role"):
            await run_prune(target_of(pg_blank, user=ada), drop=True)
        assert await count(pg_blank, "sessions") == 1
        pool = PostgresConnectionFactory(target_of(pg_blank, user=ada)).read_pool(size=1)
        assert (await PostgresTeam(pool, schema="public").check_access(workspace_id)).ok
        await pool.close()
        connection = await asyncpg.connect(pg_blank.url_as(operator))
        for statement in (
            "UPDATE sessions SET state = 'Failed'",
            "UPDATE workspaces SET owner = current_user",
            "UPDATE workspaces SET last_seen_at = now()",
            "INSERT INTO workspaces (id, user_name, host, version) VALUES (gen_random_uuid(), 'a', 'b', '1')",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        await connection.close()
        done = await run_prune(target_of(pg_blank, user=operator), drop=True)
        assert done.sessions == 1
        assert await count(pg_blank, "sessions") == 0
        # The member's own machine takes what it still has to send of it for delivered.
        reply = await machine.send(*run)
        assert {result.outcome for result in reply.results} == {"duplicate"}
        await target.close()
    finally:
        await pg_blank.execute(
            *(f"DROP OWNED BY {role}; DROP ROLE {role}" for role in (ada, operator, agents, pruners))
        )
