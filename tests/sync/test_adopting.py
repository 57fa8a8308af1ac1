"""A team adopts PostgreSQL while runs are recorded: provisioned by an administrator, switched on by configuration."""

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

import acode_tui
from acode_tui import SessionState
from acode_tui.config import keys, workspace_config_path
from acode_tui.config.write import write_setting
from acode_tui.storage.postgres.provisioning import provisioning_sql
from acode_tui.sync.ports import SyncState
from acode_tui.workspace import Workspace
from tests.pg import Database
from tests.sync.conftest import URL
from tests.sync.equality import assert_equal, assert_nothing_was_lost, ledger
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import WORKER_LOOPS, add_run, opened, query

ROLE = "acode_writer"


@pytest.fixture
async def provisioned(pg_blank: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A database prepared with the printed SQL, and a role that has only the rights which that SQL grants."""
    await pg_blank.execute(
        f"DO $$ BEGIN CREATE ROLE {ROLE} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        provisioning_sql(role=ROLE),
    )
    monkeypatch.setenv(URL, pg_blank.url_as(ROLE))
    return pg_blank


def switch(folder: Path, *, on: bool) -> None:
    key = keys.find("persistence.postgres.enabled")
    write_setting(folder, workspace_config_path(folder), key, on, os.environ)


@pytest.mark.ac("AC-023")
async def test_adopting_postgres_live(tmp_path: Path, time: FakeTime, provisioned: Database) -> None:
    folder = tmp_path / "shop"
    (folder / ".agent").mkdir(parents=True, mode=0o700)
    (folder / ".agent" / "config.toml").write_text(
        '[identity]\nuser = "ada@example.org"\n[persistence.sync]\njitter = 0.0\n'
    )
    async with acode_tui.open_workspace(folder, sync=True, wall=time.wall, sleep=time.sleep) as workspace:
        time.loops += WORKER_LOOPS
        for number in range(127):
            session = await add_run(workspace, f"before {number}")
            if number % 3 == 0:
                await workspace.store.transition_session(session.id, SessionState.CANCELLED, reason="no")
        await time.advance(7200, step=600)
        assert (await workspace.sync.status()).state is SyncState.DISABLED
        writing = asyncio.create_task(_write(workspace))

        switch(folder, on=True)
        await time.advance(5)
        await writing
        await time.advance(31)
        status = await workspace.sync.status()
        assert (status.state, status.pending, status.failed) == (SyncState.IDLE, 0, 0)
        await assert_nothing_was_lost(workspace.database_path, provisioned)

        report = await workspace.sync.sync_history()
        assert (report.synced, report.duplicates, report.superseded) == (0, 0, 0)

        await workspace.store.create_session("visible within an interval")
        await time.advance(30)
        assert await provisioned.fetch("SELECT 1 FROM sessions WHERE task_description = 'visible within an interval'")
        compared = await workspace.validate()
        assert (compared.matching, compared.mismatched) == (compared.compared, ())
        assert compared.compared == await workspace.store.count()

        switch(folder, on=False)
        await time.advance(30)
        assert (await workspace.sync.status()).state is SyncState.DISABLED
        await add_run(workspace, "while it is off")
        await time.advance(60)
        assert not await provisioned.fetch("SELECT 1 FROM sessions WHERE task_description = 'while it is off'")

        switch(folder, on=True)
        await time.advance(31)
        assert (await workspace.sync.status()).pending == 0
    await assert_nothing_was_lost(workspace.database_path, provisioned)


async def _write(workspace: Workspace) -> None:
    for number in range(10):
        await add_run(workspace, f"meanwhile {number}")


async def test_history_sends_rows_that_were_never_queued_once(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with opened(tmp_path, time) as workspace:
        for number in range(45):
            await add_run(workspace, f"run {number}")

        def forget(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM outbox")

        await workspace._writer.run(forget)
        first = await workspace.sync.sync_history()
        assert (first.synced, first.remaining) == (45 * 6, 0)
        second = await workspace.sync.sync_history()
        assert (second.synced, second.duplicates, second.remaining) == (0, 0, 0)
    await assert_equal(workspace.database_path, team)
    assert len(await ledger(team)) == 45 * 6


async def test_history_sorts_a_pending_child_behind_its_parent(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with opened(tmp_path, time) as workspace:
        await add_run(workspace)

        def forget(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM outbox WHERE entity_type IN ('session', 'step')")

        await workspace._writer.run(forget)
        refused = await workspace.sync.sync_now(batch_size=1)
        assert refused.failed == 1
        await workspace.outbox.retry()
        healed = await workspace.sync.sync_history()
        assert (healed.failed, healed.remaining) == (0, 0)
        assert query(workspace, "SELECT count(*) FROM outbox WHERE failed_at IS NOT NULL") == [(0,)]
    await assert_equal(workspace.database_path, team)
