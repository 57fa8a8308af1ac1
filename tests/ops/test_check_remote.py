"""``db check --remote``: differences that the next sync settles are reported, all others are faults."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from acode_tui.config import Settings
from acode_tui.storage.ports import Check
from acode_tui.workspace import Maintenance, Workspace
from tests.cli.test_status import trace
from tests.pg import Database, free_port
from tests.sync.conftest import URL
from tests.sync.conftest import team as team
from tests.sync.conftest import time as time
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import add_run, opened, syncing


async def ask(workspace: Workspace, settings: Settings | None = None) -> dict[str, Check]:
    found = await Maintenance(workspace.root, settings or syncing()).check_team()
    return {each.name: each for each in found}


def bad(found: dict[str, Check]) -> set[str]:
    return {name for name, check in found.items() if not check.ok}


async def test_two_tiers_in_step_are_sound_and_waiting_rows_are_no_fault(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    async with opened(tmp_path, time) as workspace:
        run = await add_run(workspace)
        await workspace.sync.sync_now()
        found = await ask(workspace)
        assert list(found) == [
            "remote migrations",
            "remote tables",
            "remote access",
            "remote counts",
            "remote rows",
            "remote search",
        ]
        assert bad(found) == set()
        assert found["remote counts"].description == "6 rows here, 6 of them delivered; 6 there"
        await workspace.store.add_task(run.id, "Later")
        await add_run(workspace, "another")
        found = await ask(workspace)
        assert bad(found) == set()
        assert "wait for the next sync" in found["remote rows"].description


async def test_looking_from_outside_leaves_the_file_as_it_was(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with opened(tmp_path, time) as workspace:
        await add_run(workspace)
        await workspace.sync.sync_now()
        database = workspace.database_path
    code = (
        f"import os, sqlite3; c = sqlite3.connect({str(database)!r}); c.execute('PRAGMA user_version = 7'); os._exit(0)"
    )
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], check=True)
    before = trace(tmp_path)
    assert bad({each.name: each for each in await Maintenance(tmp_path, syncing()).check_team()}) == set()
    assert trace(tmp_path) == before


async def test_rows_that_another_replica_sent_are_new_and_no_fault(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    import shutil

    async with opened(tmp_path / "a", time) as workspace:
        run = await add_run(workspace)
        await workspace.sync.sync_now()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    async with opened(tmp_path / "b", time) as other:
        await other.store.add_task(run.id, "From elsewhere")
        await other.sync.sync_now()
    async with opened(tmp_path / "a", time) as workspace:
        found = await ask(workspace)
        assert bad(found) == set()
        assert "new here" in found["remote counts"].description


async def test_a_full_sync_fills_a_search_index_that_was_lost(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with opened(tmp_path, time) as workspace:
        await add_run(workspace)
        await workspace.sync.sync_now()
        words = "SELECT unnest(tsvector_to_array(document)) FROM session_search ORDER BY 1"
        before = await team.fetch(words)
        await team.execute("TRUNCATE session_search")
        await workspace.sync.sync_full()
        assert await team.fetch(words) == before
        assert bad(await ask(workspace)) == set()


@pytest.mark.parametrize(
    ("statement", "names", "word"),
    [
        ("UPDATE steps SET name = 'corrupted'", {"remote rows"}, "differs"),
        ("DELETE FROM artifacts", {"remote counts", "remote rows"}, "1 of artifacts"),
        ("UPDATE schema_migrations SET checksum = 'x' WHERE version = '1.1.0'", {"remote migrations"}, "another build"),
        ("ALTER TABLE steps ALTER COLUMN description SET NOT NULL", {"remote tables"}, "steps.description"),
        ("DELETE FROM session_search", {"remote search"}, "1 session not in the search index"),
        ("DROP TABLE sync_conflicts", {"remote tables"}, "sync_conflicts is missing"),
        ("ALTER TABLE tool_calls DROP COLUMN result", {"remote tables"}, "tool_calls.result is missing"),
    ],
)
async def test_faults_of_the_teams_database_are_found(
    tmp_path: Path, time: FakeTime, team: Database, statement: str, names: set[str], word: str
) -> None:
    async with opened(tmp_path, time) as workspace:
        run = await add_run(workspace)
        await workspace.store.add_step(
            (await workspace.store.get_with_hierarchy(run.id)).tasks[0].id, "x", description="y"
        )
        await workspace.sync.sync_now()
        await team.execute("UPDATE steps SET description = ''") if "NOT NULL" in statement else None
        await team.execute(statement)
        found = await ask(workspace)
        assert bad(found) == names
        assert any(word in check.description for check in found.values())


async def test_a_server_that_is_away_is_a_finding(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, time) as workspace:
        monkeypatch.setenv(URL, team.url_through(free_port()))
        assert bad(await ask(workspace)) == {"remote"}
        monkeypatch.delenv(URL)
        assert bad(await ask(workspace)) == {"remote"}
