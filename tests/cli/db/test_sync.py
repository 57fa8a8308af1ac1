"""``db sync``, ``db validate``, ``--source postgres`` and ``--headless --once`` against a real server."""

import asyncio
import json
import os
import signal
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from acode_tui import ArtifactType, Session, open_workspace
from acode_tui.domain.clock import format_time
from tests.cli.conftest import Run, answer
from tests.clocks import GUARD_SECONDS
from tests.pg import Database


@pytest.fixture
async def team(pg_database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("ACODE_POSTGRES_URL", pg_database.url)
    monkeypatch.setenv("ACODE_PERSISTENCE__POSTGRES__ENABLED", "true")
    return pg_database


@pytest.fixture
async def session(root: Path) -> Session:
    """A session with one row of every kind, not yet sent."""
    async with open_workspace(root) as workspace:
        store = workspace.store
        session = await store.create_session("Add input validation")
        task = await store.add_task(session.id, "Analyse")
        step = await store.add_step(task.id, "Read")
        call = await store.add_tool_call(step.id, "read_file", {"path": "login.ts"})
        await store.add_artifact(call.id, ArtifactType.FILE_CONTENT, "login.ts", b"\x00", "text/plain")
        return session


async def test_pending_records_are_sent_and_counted(run: Run, session: Session, team: Database) -> None:
    first = answer(await asyncio.to_thread(run, "db", "sync", "now", "--json"))
    assert set(first) == {
        "synced",
        "duplicates",
        "superseded",
        "conflicts",
        "failed",
        "remaining",
        "durationSeconds",
    }
    assert (first["synced"] > 0, first["failed"], first["remaining"]) == (True, 0, 0)
    again = answer(await asyncio.to_thread(run, "db", "sync", "--historical", "--json"))
    assert (again["synced"], again["remaining"]) == (0, 0)
    full = answer(await asyncio.to_thread(run, "db", "sync", "--full", "--json"))
    assert (full["synced"], full["conflicts"], full["failed"]) == (0, 0, 0)
    assert full["duplicates"] == first["synced"]
    status = answer(await asyncio.to_thread(run, "db", "sync", "status", "--json"))
    assert set(status) == {"state", "pending", "failed", "lastSyncAt", "nextAttemptAt"}
    assert (status["pending"], status["failed"]) == ([], [])
    assert status["lastSyncAt"] is not None
    log = await asyncio.to_thread(run, "db", "sync", "log", "--tail", "5")
    assert "drained" in log.stdout


async def test_a_request_says_which_other_process_drains_the_workspace(
    run: Run, session: Session, team: Database, root: Path
) -> None:
    assert "drains" not in (await asyncio.to_thread(run, "db", "sync", "now")).stderr
    now = datetime.now(UTC)
    stamps = (format_time(now), format_time(now), format_time(now + timedelta(seconds=10)))
    with closing(sqlite3.connect(root / ".agent" / "workspace.db")) as connection, connection:
        connection.execute(
            "INSERT INTO sync_lease (id, token, holder, pid, mode, state, acquired_at, heartbeat_at, expires_at) "
            "VALUES (1, 't', 'other-host:77', 77, 'headless', 'idle', ?, ?, ?)",
            stamps,
        )
    done = await asyncio.to_thread(run, "db", "sync", "now")
    assert done.exit_code == 0
    assert done.stdout.startswith("0 synced")
    assert "other-host:77 drains this workspace" in done.stderr


async def test_the_teams_runs_are_listed_and_shown(run: Run, session: Session, team: Database) -> None:
    await asyncio.to_thread(run, "db", "sync", "now")
    here = answer(await asyncio.to_thread(run, "session", "list", "--json"))
    there = answer(await asyncio.to_thread(run, "session", "list", "--source", "postgres", "--json"))
    assert [each["id"] for each in there["sessions"]] == [each["id"] for each in here["sessions"]]
    session_id = session.id
    graphs = [
        answer(await asyncio.to_thread(run, "session", "show", session_id[:13], "--json", "--source", source))
        for source in ("local", "postgres")
    ]
    assert [task["title"] for task in graphs[0]["tasks"]] == [task["title"] for task in graphs[1]["tasks"]]


async def test_the_teams_runs_are_searched(run: Run, session: Session, team: Database) -> None:
    await asyncio.to_thread(run, "db", "sync", "now")
    query = session.task_description.split()[0]
    pages = [
        answer(await asyncio.to_thread(run, "search", query, "--json", "--source", source))
        for source in ("local", "postgres")
    ]
    assert pages[0]["hits"]
    assert pages[0] == pages[1]
    listed = answer(
        await asyncio.to_thread(run, "session", "list", "--search", query, "--source", "postgres", "--json")
    )
    assert [each["id"] for each in listed["sessions"]] == [session.id]
    nothing = await asyncio.to_thread(run, "search", "nowhere", "--source", "postgres")
    assert "nothing of the team matches" in nothing.stdout
    wrong = await asyncio.to_thread(run, "search", "colour:red", "--source", "postgres")
    assert "is no field" in wrong.stderr


async def test_the_teams_runs_are_read_from_the_replica_and_nothing_else_is(
    run: Run, session: Session, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = (("session", "list"), ("search", "login"), ("stats",))
    monkeypatch.setenv("ACODE_PERSISTENCE__POSTGRES__READ_URL", "postgresql://127.0.0.1:1")
    assert (await asyncio.to_thread(run, "db", "sync", "now")).exit_code == 0
    assert (await asyncio.to_thread(run, "db", "validate")).exit_code == 0
    for arguments in reads:
        refused = await asyncio.to_thread(run, *arguments, "--source", "postgres")
        assert refused.exit_code == 1
        assert "127.0.0.1:1/" in refused.stderr
    monkeypatch.setenv("ACODE_PERSISTENCE__POSTGRES__READ_URL", f"postgresql://127.0.0.1:{team.server.port}")
    for arguments in reads:
        assert (await asyncio.to_thread(run, *arguments, "--source", "postgres")).exit_code == 0


async def test_validation_names_the_row_that_differs(run: Run, session: Session, team: Database) -> None:
    await asyncio.to_thread(run, "db", "sync", "now")
    sound = await asyncio.to_thread(run, "db", "validate", "--compare-checksums", "--json")
    assert (sound.exit_code, answer(sound)) == (0, {"compared": 1, "matching": 1, "pruned": 0, "mismatched": []})
    await team.execute("UPDATE session_tasks SET title = 'corrupted'")
    found = await asyncio.to_thread(run, "db", "validate", "--compare-checksums")
    assert found.exit_code == 1
    assert "0 of 1 session match" in found.stdout
    assert "session_tasks" in found.stdout


async def test_both_tiers_are_migrated(run: Run, pg_blank: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACODE_POSTGRES_URL", pg_blank.url)
    monkeypatch.setenv("ACODE_PERSISTENCE__POSTGRES__ENABLED", "true")
    planned = answer(await asyncio.to_thread(run, "db", "migrate", "status", "--json"))["tiers"]
    assert [(tier["tier"], tier["from"]) for tier in planned] == [("sqlite", None), ("postgres", None)]
    assert "CREATE TABLE workspaces" in (await asyncio.to_thread(run, "db", "migrate", "--dry-run")).stdout
    assert await pg_blank.fetch("SELECT to_regclass('sessions') IS NULL AS untouched") == [(True,)]
    done = answer(await asyncio.to_thread(run, "db", "migrate", "--json"))["tiers"]
    assert [tier["pending"] for tier in done] == [[], []]
    assert [len(tier["applied"]) for tier in done] == [len(tier["pending"]) for tier in planned]


async def test_once_drains_and_its_exit_code_says_whether_anything_is_left(
    root: Path, session: Session, team: Database
) -> None:
    assert await _once(root) == 0
    assert len(await team.fetch("SELECT 1 FROM sessions")) == 1
    await team.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'not this one' USING ERRCODE = '23514'; END $$",
        "CREATE TRIGGER refuse BEFORE UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    async with open_workspace(root) as workspace:
        await workspace.store.add_task(session.id, "One more")
    assert await _once(root) == 1
    async with open_workspace(root) as workspace:
        assert (await workspace.outbox.stats()).retrying == 1


async def _once(root: Path) -> int | None:
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "acode_tui", "--workspace", str(root), "--headless", "--once"),
        env=dict(os.environ),
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await program.communicate()
    assert b"Traceback" not in errors
    return program.returncode


def test_without_postgres_a_sync_says_how_to_enable_it(run: Run, session: Session) -> None:
    for arguments in (("db", "sync", "now"), ("db", "validate"), ("session", "list", "--source", "postgres")):
        refused = run(*arguments)
        assert refused.exit_code == 1
        assert "ACODE-DB-005" in refused.stderr
        assert "config set persistence.postgres.enabled true" in refused.stderr


def test_the_printed_sql_creates_every_table(run: Run) -> None:
    printed = run("db", "schema", "--dialect", "postgres", "--role", "agents")
    assert 'TO "agents"' in printed.stdout
    assert "CREATE TABLE sync_inbox" in printed.stdout
    assert "CREATE TABLE outbox" in run("db", "schema").stdout
    assert "ENABLE ROW LEVEL SECURITY" in printed.stdout
    assert "ENABLE ROW LEVEL SECURITY" not in run("db", "schema", "--dialect", "postgres", "--shared").stdout
    assert run("db", "schema", "--shared").exit_code == 2
    refused = run("db", "schema", "--dialect", "postgres", "--role", "public")
    assert refused.exit_code == 1
    assert "keyword of GRANT" in refused.stderr


async def test_a_watched_status_is_a_line_a_change_until_it_is_interrupted(root: Path, session: Session) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "acode_tui", "--workspace", str(root), "db", "sync", "status", "--watch", "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(GUARD_SECONDS):
            first = json.loads(await process.stdout.readline())
            assert set(first) == {"state", "pending", "failed", "lastSyncAt", "nextAttemptAt"}
            async with open_workspace(root) as workspace:
                await workspace.store.create_session("another")
            second = json.loads(await process.stdout.readline())
            assert len(second["pending"]) == len(first["pending"]) + 1
            process.send_signal(signal.SIGINT)
            rest, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert (process.returncode, rest, errors) == (0, b"", b"")
