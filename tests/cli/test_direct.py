"""Commands on a database instead of a folder: what reads works, what needs a file says so, and no password is shown."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from acode_tui import ArtifactType, open_workspace
from acode_tui.cli.main import cli
from acode_tui.tui.app import Dashboard
from acode_tui.tui.opening import open_for_dashboard
from tests.cli.conftest import answer
from tests.conftest import PLAIN_SETTINGS
from tests.pg import Database

PASSWORD = "s3cr3t-of-ci"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(url: str, *arguments: str) -> Result:
    result = CliRunner().invoke(cli, ["--workspace", url, *arguments])
    assert "Traceback" not in result.stderr
    assert PASSWORD not in result.output + result.stderr
    return result


async def _record(url: str) -> tuple[str, str]:
    async with open_workspace(url, settings=PLAIN_SETTINGS) as workspace:
        session = await workspace.store.create_session("Refresh the token")
        task = await workspace.store.add_task(session.id, "Analyse")
        artifact = await workspace.store.add_artifact(task.id, ArtifactType.USER_PROMPT, "p", b"refresh", "text/plain")
        return session.id, artifact.id


def test_what_reads_works_without_a_file(
    pg_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = pg_database.url.replace("postgres@", f"postgres:{PASSWORD}@")
    session, artifact = asyncio.run(_record(url))
    assert [each["id"] for each in answer(run(url, "session", "list", "--json"))["sessions"]] == [session]
    assert answer(run(url, "session", "show", session[:13], "--json"))["taskDescription"] == "Refresh the token"
    assert "Analyse" in run(url, "session", "show", session, "--tree").stdout
    assert answer(run(url, "search", "refresh", "--json"))["hits"][0]["sessionId"] == session
    assert run(url, "artifact", "save", artifact, "-").stdout_bytes == b"refresh"
    assert answer(run(url, "stats", "--json"))["rows"][0]["sessions"] == 1
    asyncio.run(pg_database.execute("ALTER TABLE sessions DROP CONSTRAINT sessions_state_known"))
    asyncio.run(pg_database.execute("UPDATE sessions SET state = 'Finished'"))
    assert "1 session left out" in run(url, "session", "list").stderr
    status = run(url, "status")
    assert (status.exit_code, "answers and takes writes" in status.stdout) == (0, True)
    monkeypatch.setenv("ACODE_WORKSPACE", url)
    assert CliRunner().invoke(cli, ["session", "list"]).exit_code == 0
    for command in (["db", "backup"], ["import", "--all"], ["--headless"], ["db", "status"]):
        refused = run(url, *command)
        assert refused.exit_code == 1, command
        assert refused.stderr.startswith("error: ACODE-CONFIG-001"), refused.stderr
        assert "needs a workspace file" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert list(tmp_path.glob("**/.agent")) == []


def test_a_schema_is_migrated_by_the_command_that_the_error_names(pg_blank: Database) -> None:
    refused = run(pg_blank.url, "session", "list")
    assert refused.exit_code == 1
    assert "db migrate" in refused.stderr
    assert run(pg_blank.url, "db", "migrate").exit_code == 0
    assert run(pg_blank.url, "session", "list").exit_code == 0
    assert "CREATE TABLE" in run(pg_blank.url, "db", "schema", "--dialect", "postgres").stdout


async def test_the_dashboard_shows_the_runs_of_a_database(pg_database: Database, tmp_path: Path) -> None:
    await _record(pg_database.url)
    app = Dashboard(tmp_path, PLAIN_SETTINGS, opening=open_for_dashboard(pg_database.url, PLAIN_SETTINGS))
    async with app.run_test(size=(120, 36)) as pilot:
        await _until(pilot, lambda: [row.task_description for row in app.state.browser.rows] == ["Refresh the token"])
        await pilot.press("T", "enter")
        await _until(pilot, lambda: len(app.screen_stack) > 1)
        assert app.fatal_error is None


async def _until(pilot: Any, holds: Any) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await pilot.pause()
