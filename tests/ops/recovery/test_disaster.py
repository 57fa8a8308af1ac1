"""Recovering a damaged or lost workspace file from the team's database, with the commands that a user runs."""

import asyncio
import json
import os
import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

import acode_tui
from acode_tui import SessionState
from acode_tui.cli.main import cli
from acode_tui.domain.entities import Session, Step
from acode_tui.domain.errors import IntegrityError, RecoveryError
from acode_tui.domain.progress import Progress
from acode_tui.ops.recovery import rebuild, recover
from acode_tui.ops.recovery.validate import compare
from acode_tui.storage.postgres import recovery_source
from acode_tui.storage.postgres.provisioning import provisioning_sql
from acode_tui.storage.sqlite.connection import PAGE_BYTES
from acode_tui.storage.sqlite.files.rebuild import SqliteFileRebuild
from acode_tui.workspace import Maintenance, Workspace
from tests.pg import Database
from tests.storage.runs import T0, make_run
from tests.sync.conftest import URL
from tests.sync.equality import assert_nothing_was_lost, rows_here
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import add_run, opened, query, syncing

UNFINISHED = (SessionState.PLANNING, SessionState.EXECUTING, SessionState.PAUSED)


@pytest.fixture(autouse=True)
def enabled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ACODE_PERSISTENCE__POSTGRES__ENABLED", "true")
    monkeypatch.setenv("ACODE_IDENTITY__USER", "ada@example.org")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))


async def acode(folder: Path, *arguments: str) -> Result:
    """``acode-tui --workspace FOLDER`` with these arguments."""
    result = await asyncio.to_thread(CliRunner().invoke, cli, ["--workspace", str(folder), *arguments])
    assert "Traceback" not in result.output
    return result


def files_in(folder: Path) -> dict[str, bytes]:
    """The files of a workspace's folder, without logs, locks and the files that reading alone creates."""
    return {
        path.name: path.read_bytes()
        for path in sorted((folder / ".agent").iterdir())
        if path.is_file() and path.suffix != ".lock" and not path.name.endswith(("-shm", "-wal"))
    }


@pytest.fixture
async def shop(tmp_path: Path, time: FakeTime, team: Database) -> Path:
    """A synced workspace with three unfinished sessions and one write that was never sent."""
    folder = tmp_path / "shop"
    folder.mkdir()
    async with opened(folder, time) as workspace:
        for state in UNFINISHED:
            session = await add_run(workspace, f"was {state.value}")
            if state is not SessionState.PLANNING:
                await workspace.store.transition_session(session.id, SessionState.EXECUTING, reason="go")
            if state is SessionState.PAUSED:
                await workspace.store.transition_session(session.id, SessionState.PAUSED, reason="lunch")
            await workspace.sync.sync_now()
        await workspace.store.create_session("never sent")
    return folder


def damage(folder: Path) -> None:
    """Overwrite the file's middle, as a dying disk does."""
    path = folder / ".agent" / "workspace.db"
    content = bytearray(path.read_bytes())
    content[PAGE_BYTES : len(content) // 2] = b"\xde\xad" * ((len(content) // 2 - PAGE_BYTES) // 2)
    path.write_bytes(content)


def without(rows: dict[str, dict[str, Any]], session_id: str) -> dict[str, dict[str, Any]]:
    return {
        table: {key: row for key, row in found.items() if session_id not in (key, row.get("session_id"))}
        for table, found in rows.items()
    }


async def edit_all(workspace: Workspace) -> int:
    """Edit every unfinished session; returns their number."""
    found = query(workspace, "SELECT id FROM sessions WHERE state <> 'Created'")
    for (session_id,) in found:
        await workspace.store.transition_session(session_id, SessionState.CANCELLED, reason="edited")
    return len(found)


async def test_a_damaged_workspace_is_recovered_except_rows_that_were_never_sent(
    shop: Path, time: FakeTime, team: Database
) -> None:
    path = shop / ".agent" / "workspace.db"
    before = rows_here(path)
    (unsent,) = query(path, "SELECT id FROM sessions WHERE task_description = 'never sent'")[0]
    cursor = query(path, "SELECT value FROM workspace_meta WHERE key = 'sync_mark'")
    damage(shop)
    damaged = files_in(shop)
    with pytest.raises(IntegrityError) as raised:
        async with acode_tui.open_workspace(shop, settings=syncing()):
            raise AssertionError("it was opened")
    assert raised.value.code == "ACODE-DB-007"
    assert "acode-tui db restore" in raised.value.hint
    assert "acode-tui db recover --from postgres" in raised.value.hint
    shown = await acode(shop, "session", "list")
    assert shown.exit_code == 1
    assert "ACODE-DB-007" in shown.stderr
    assert files_in(shop) == damaged

    recovered = await acode(shop, "db", "recover", "--from", "postgres", "--json")
    assert recovered.exit_code == 0, recovered.stderr
    result = json.loads(recovered.stdout)
    assert result["counts"]["sessions"] == 3
    assert (result["compared"], result["matching"], result["mismatched"]) == (3, 3, [])
    assert Path(result["keptAs"]).read_bytes() == damaged["workspace.db"]
    assert rows_here(path) == without(before, unsent)
    assert query(path, "SELECT count(*) FROM outbox") == [(0,)]
    assert query(path, "SELECT value FROM workspace_meta WHERE key = 'sync_mark'") == cursor
    assert path.stat().st_mode & 0o777 == 0o600

    async with opened(shop, time) as workspace:
        assert await edit_all(workspace) == 3
        report = await workspace.sync.sync_now()
        assert (report.conflicts, report.failed, report.remaining) == (0, 0, 0)
        assert (await workspace.validate()).mismatched == ()
    await assert_nothing_was_lost(path, team)


async def test_a_file_with_its_last_commits_in_the_wal_is_kept_with_it(
    shop: Path, time: FakeTime, team: Database
) -> None:
    path = shop / ".agent" / "workspace.db"
    wal = path.with_name("workspace.db-wal")
    async with opened(shop, time) as workspace:
        await workspace.store.create_session("in the WAL")
        content = path.read_bytes(), wal.read_bytes()
    path.write_bytes(content[0])
    wal.write_bytes(content[1])
    done = await acode(shop, "db", "recover", "--from", "postgres", "--force", "--json")
    assert done.exit_code == 0, done.stderr
    kept = Path(json.loads(done.stdout)["keptAs"])
    assert kept.with_name(kept.name + "-wal").read_bytes() == content[1]
    assert query(kept, "SELECT count(*) FROM sessions") == [(5,)]
    assert query(path, "SELECT count(*) FROM sessions") == [(3,)]


async def test_a_sound_file_is_replaced_only_by_force(shop: Path) -> None:
    before = files_in(shop)
    refused = await acode(shop, "db", "recover", "--from", "postgres")
    assert refused.exit_code == 1
    assert "--force" in refused.stderr
    assert files_in(shop) == before
    assert (await acode(shop, "db", "recover", "--from", "postgres", "--force")).exit_code == 0
    assert query(shop / ".agent" / "workspace.db", "SELECT count(*) FROM sessions") == [(3,)]


async def test_a_dry_run_reports_the_plan_and_changes_nothing(shop: Path, team: Database) -> None:
    before = files_in(shop)
    planned = await acode(shop, "db", "recover", "--from", "postgres", "--dry-run", "--json")
    answer = json.loads(planned.stdout)
    assert (answer["file"], answer["counts"]["sessions"], answer["unsent"]) == ("sound", 3, 1)
    # A workspace is found however many were seen after it: by what the file says, and by the beginning of its id.
    await team.execute(
        "INSERT INTO workspaces (id, user_name, host, version, last_seen_at) "
        "SELECT gen_random_uuid(), 'bob', 'laptop', '1', now() + interval '1 day' FROM generate_series(1, 1001)"
    )
    for named in ((), ("--workspace-id", answer["workspaceId"][:30].upper())):
        again = await acode(shop, "db", "recover", "--from", "postgres", "--dry-run", "--json", *named)
        assert json.loads(again.stdout)["workspaceId"] == answer["workspaceId"], again.stderr
    unknown = await acode(shop, "db", "recover", "--from", "postgres", "--dry-run", "--workspace-id", "zz")
    assert "knows no workspace 'zz'" in unknown.stderr
    assert "3 on the server" in (await acode(shop, "db", "recover", "--from", "postgres", "--dry-run")).stdout
    assert files_in(shop) == before


async def test_a_server_that_is_down_leaves_every_file_untouched(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(shop)
    before = files_in(shop)
    monkeypatch.setenv(URL, "postgresql://ada:secret-word@127.0.0.1:1/shop")
    failed = await acode(shop, "db", "recover", "--from", "postgres")
    assert failed.exit_code == 1
    assert "ACODE-DB-001" in failed.stderr
    assert "secret-word" not in failed.output
    assert files_in(shop) == before


async def test_a_recovery_continues_after_the_server_went_away(
    shop: Path, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery_source, "PAGE_ROWS", 5)
    damage(shop)
    before = files_in(shop)
    plain, pages = recovery_source.RecoverySource.page, list[int]()

    async def page(self: Any, workspace_id: str, after: int) -> Any:
        pages.append(after)
        if len(pages) == 3:
            async with self._pool.connection() as connection:
                await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return await plain(self, workspace_id, after)

    monkeypatch.setattr(recovery_source.RecoverySource, "page", page)
    failed = await acode(shop, "db", "recover", "--from", "postgres")
    assert failed.exit_code == 1
    assert "run it again" in failed.stderr
    left = files_in(shop)
    assert left["workspace.db"] == before["workspace.db"]
    assert "workspace.db.recovering" in left
    done = await acode(shop, "db", "recover", "--from", "postgres", "--json")
    assert done.exit_code == 0, done.stderr
    # It did not begin at the beginning.
    assert pages[3] > 0
    assert json.loads(done.stdout)["counts"]["sessions"] == 3
    assert not [name for name in files_in(shop) if "recovering" in name]


async def test_an_interruption_leaves_everything_as_it_was(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery_source, "PAGE_ROWS", 5)
    damage(shop)
    before = files_in(shop)
    running: list[asyncio.Task[Any]] = []

    def interrupt(_: Progress) -> None:
        running[0].cancel()

    running.append(
        asyncio.create_task(Maintenance(shop, syncing()).recover(confirm=lambda _: False, on_progress=interrupt))
    )
    with pytest.raises(asyncio.CancelledError):
        await running[0]
    assert files_in(shop) == before
    assert (await acode(shop, "db", "recover", "--from", "postgres")).exit_code == 0


async def test_rows_of_a_server_that_was_reset_meanwhile_are_not_mixed(
    shop: Path, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery_source, "PAGE_ROWS", 5)
    damage(shop)
    plain = recovery_source.RecoverySource.page

    async def page(self: Any, workspace_id: str, after: int) -> Any:
        if after:
            await team.execute("UPDATE workspaces SET incarnation = gen_random_uuid()")
        return await plain(self, workspace_id, after)

    before = files_in(shop)
    with monkeypatch.context() as patched:
        patched.setattr(recovery_source.RecoverySource, "page", page)
        with pytest.raises(RecoveryError, match="was reset"):
            await Maintenance(shop, syncing()).recover(confirm=lambda _: False)
    assert files_in(shop) == before
    assert (await acode(shop, "db", "recover", "--from", "postgres")).exit_code == 0


async def test_rows_that_arrive_during_the_comparison_are_pulled(
    shop: Path, tmp_path: Path, time: FakeTime, team: Database
) -> None:
    shutil.copytree(shop, tmp_path / "desktop")
    damage(shop)
    sent: list[int] = []

    async with opened(tmp_path / "desktop", time) as desktop:

        async def compare_late(*args: Any, **options: Any) -> Any:
            if not sent:
                await edit_all(desktop)
                sent.append((await desktop.sync.sync_now()).synced)
            return await compare(*args, **options)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(rebuild, "compare", compare_late)
            done = await Maintenance(shop, syncing()).recover(confirm=lambda _: False)
    assert sent
    # The one that the desktop sent at last, never sent before, came along.
    assert (done.counts["sessions"], done.matching) == (4, done.compared)
    await assert_nothing_was_lost(shop / ".agent" / "workspace.db", team)


async def test_a_recovery_with_a_wrong_row_does_not_replace_the_file(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(shop)
    before = files_in(shop)
    plain = SqliteFileRebuild.adopt

    async def adopt(self: SqliteFileRebuild, pulled: Any, rejected: Any = (), cursor: Any = None) -> int:
        spoilt = [msgspec.structs.replace(each, name="wrong") if isinstance(each, Step) else each for each in pulled]
        return await plain(self, spoilt, rejected, cursor)

    monkeypatch.setattr(SqliteFileRebuild, "adopt", adopt)
    with pytest.raises(IntegrityError, match="differ from the team's database, first steps"):
        await Maintenance(shop, syncing()).recover(confirm=lambda _: False)
    assert files_in(shop) == before


async def test_conflicts_that_were_settled_come_back(
    shop: Path, tmp_path: Path, time: FakeTime, team: Database
) -> None:
    shutil.copytree(shop, tmp_path / "desktop")
    async with opened(shop, time) as laptop, opened(tmp_path / "desktop", time) as desktop:
        await edit_all(laptop)
        await laptop.sync.sync_now()
        time.now += timedelta(seconds=5)
        for (session_id,) in query(desktop, "SELECT id FROM sessions WHERE state IN ('Planning', 'Executing')"):
            await desktop.store.transition_session(session_id, SessionState.FAILED, reason="edited too")
        assert (await desktop.sync.sync_now()).conflicts == 2
    done = await Maintenance(shop, syncing()).recover(confirm=lambda _: True)
    assert done.conflicts == 2
    assert query(shop / ".agent" / "workspace.db", "SELECT count(*) FROM sync_conflicts") == [(2,)]


async def test_a_new_machine_starts_with_the_runs_of_the_team(
    tmp_path: Path, shop: Path, time: FakeTime, team: Database
) -> None:
    folder = tmp_path / "desktop"
    folder.mkdir()
    done = await acode(folder, "db", "recover", "--from", "postgres", "--json")
    answer = json.loads(done.stdout)
    assert (answer["counts"]["sessions"], answer["keptAs"]) == (3, None)
    async with opened(shop, time) as laptop, opened(folder, time) as desktop:
        assert desktop.workspace_id == laptop.workspace_id
        await edit_all(desktop)
        assert (await desktop.sync.sync_now()).conflicts == 0
        await laptop.sync.sync_now()
        await desktop.sync.sync_now()
    await assert_nothing_was_lost(shop / ".agent" / "workspace.db", team)
    await assert_nothing_was_lost(folder / ".agent" / "workspace.db", team)


async def test_a_lost_file_is_found_by_the_id_that_the_folder_remembers(
    tmp_path: Path, shop: Path, time: FakeTime, team: Database
) -> None:
    async with opened(tmp_path / "blog", time) as other:
        await add_run(other, "of another workspace")
        await other.sync.sync_now()
    unknown = tmp_path / "unknown"
    unknown.mkdir()
    asked = await acode(unknown, "db", "recover", "--from", "postgres")
    assert asked.exit_code == 1
    assert "--workspace-id" in asked.stderr
    assert other.workspace_id in asked.stderr
    assert not (unknown / ".agent" / "workspace.db").exists()
    named = await acode(unknown, "db", "recover", "--from", "postgres", "--workspace-id", other.workspace_id)
    assert "1 session" in named.stdout
    os.remove(shop / ".agent" / "workspace.db")
    done = await acode(shop, "db", "recover", "--from", "postgres", "--json")
    assert json.loads(done.stdout)["counts"]["sessions"] == 3


async def test_a_new_file_made_by_accident_does_not_hide_the_former_workspace(shop: Path, time: FakeTime) -> None:
    async with opened(shop, time) as workspace:
        former = workspace.workspace_id
    for left in (shop / ".agent").glob("workspace.db*"):
        left.unlink()
    async with opened(shop, time):
        pass
    asked = await acode(shop, "db", "recover", "--from", "postgres", "--force")
    assert asked.exit_code == 1
    assert "was here before" in asked.stderr
    done = await acode(shop, "db", "recover", "--from", "postgres", "--force", "--workspace-id", former[:20])
    assert done.exit_code == 0, done.stderr


async def test_a_backup_names_the_workspace_of_the_folder(shop: Path, time: FakeTime, tmp_path: Path) -> None:
    async with opened(tmp_path / "blog", time) as other:
        await other.sync.sync_now()
    await acode(shop, "db", "backup")
    for left in (*(shop / ".agent").glob("workspace.*"), shop / ".agent" / "config.toml"):
        left.unlink(missing_ok=True)
    done = await acode(shop, "db", "recover", "--from", "postgres", "--json")
    assert json.loads(done.stdout)["counts"]["sessions"] == 3


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("INSERT INTO schema_migrations VALUES ('99.0.0', 'later', 'x', '2026', 1)", "99.0.0"),
        ("UPDATE schema_migrations SET checksum = 'x' WHERE version = '1.1.0'", "another build"),
    ],
)
async def test_a_file_of_a_newer_program_or_another_build_is_not_damaged(
    shop: Path, statement: str, words: str
) -> None:
    path = shop / ".agent" / "workspace.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()
    before = files_in(shop)
    refused = await acode(shop, "db", "recover", "--from", "postgres")
    assert refused.exit_code == 1
    assert "not damaged" in refused.stderr
    assert words in refused.stderr
    assert files_in(shop) == before


async def test_the_role_that_syncs_may_recover(
    tmp_path: Path, time: FakeTime, pg_blank: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = "acode_recoverer"
    await pg_blank.execute(
        f"DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        provisioning_sql(role=role),
    )
    monkeypatch.setenv(URL, pg_blank.url_as(role))
    async with opened(tmp_path, time) as workspace:
        await add_run(workspace)
        await workspace.sync.sync_now()
    damage(tmp_path)
    done = await acode(tmp_path, "db", "recover", "--from", "postgres")
    assert done.exit_code == 0, done.stderr


async def test_a_workspace_in_use_is_not_replaced(shop: Path, time: FakeTime, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(shop, time):
        monkeypatch.setattr(recover, "EXCLUSIVE_SECONDS", 0.0)
        refused = await acode(shop, "db", "recover", "--from", "postgres", "--force")
        assert refused.exit_code == 1
        assert "another process has" in refused.stderr


async def test_a_run_that_two_workspaces_have_sent_is_recovered_whole(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    """The same transcript, imported on two machines: the first to send owns the rows."""
    async with opened(tmp_path / "first", time) as first, opened(tmp_path / "blog", time) as second:
        whole, shared = make_run(first.workspace_id), make_run(first.workspace_id, at=T0 + timedelta(seconds=9))
        touched = make_run(first.workspace_id, at=T0 + timedelta(seconds=99))
        await first.store.save(touched)
        await first.store.save(whole)
        await first.store.save(msgspec.structs.replace(shared, tasks=()))
        await first.sync.sync_now()
        await second.store.save(whole)
        await second.store.transition_session(whole.id, SessionState.CANCELLED, reason="edited here")
        await second.store.save(shared)
        # It has no row of its own in this one: only the ledger knows that it was here.
        await second.store.save(touched)
        later = touched.updated_at + timedelta(seconds=1)
        await second.store.save(msgspec.structs.replace(touched, task_description="Touched", updated_at=later))
        own: Session = await add_run(second, "its own")
        await second.sync.sync_now()
    path = tmp_path / "blog" / ".agent" / "workspace.db"
    before = rows_here(path)
    done = await acode(tmp_path / "blog", "db", "recover", "--from", "postgres", "--force", "--json")
    assert done.exit_code == 0, done.stderr
    after = rows_here(path)
    assert {table: set(rows) for table, rows in after.items()} == {table: set(rows) for table, rows in before.items()}
    assert own.id in after["sessions"]
