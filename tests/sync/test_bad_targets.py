"""Every fault of the target gives a state, a reason and a hint; no attempt is counted, and local work goes on."""

import asyncio
import json
import shutil
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from acode_tui import SessionState
from acode_tui.domain.errors import SyncError
from acode_tui.domain.progress import Progress
from acode_tui.storage.postgres.provisioning import provisioning_sql
from acode_tui.sync import round as round_
from acode_tui.sync.ports import SyncState, SyncStatus
from acode_tui.sync.sharing import PATIENCE_SECONDS
from acode_tui.workspace import Workspace
from tests.fault_proxy import Mode, fault_proxy, short_deadlines
from tests.pg import Database, Server, free_port
from tests.storage.runs import make_run
from tests.sync.conftest import URL
from tests.sync.equality import assert_equal, assert_nothing_was_lost
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import RECORDS, add_run, opened, query, syncing

ROLE = "acode_limited"


@asynccontextmanager
async def working(folder: Path, time: FakeTime) -> AsyncIterator[tuple[Workspace, SyncStatus]]:
    """A workspace with a run, whose worker has tried for two minutes; afterwards local work is checked."""
    async with opened(folder, time, sync=True) as workspace:
        await add_run(workspace)
        await time.advance(120, step=3)
        status = await workspace.sync.status()
        yield workspace, status
        assert query(workspace, "SELECT sum(attempts), count(failed_at) FROM outbox") == [(0, 0)]
        session = await workspace.store.create_session("still writing")
        assert (await workspace.store.get(session.id)).task_description == "still writing"
        with pytest.raises(SyncError) as refused:
            await workspace.sync.sync_now()
        assert refused.value.hint


def waiting_rows(workspace: Workspace) -> int:
    """Rows with a record that waits: one that was claimed when its row was written has another beside it."""
    return int(query(workspace, "SELECT count(DISTINCT entity_id) FROM outbox WHERE processed_at IS NULL")[0][0])


def grants_of(role: str) -> str:
    return f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {role}"


async def heals(workspace: Workspace, time: FakeTime, team: Database) -> None:
    """The worker recovers within an interval, without a person."""
    await time.advance(31)
    status = await workspace.sync.status()
    assert (status.state, status.pending, status.reason) == (SyncState.IDLE, 0, "")
    await assert_nothing_was_lost(workspace.database_path, team)


MISCONFIGURED = {
    "unset": (None, "is not set"),
    "empty": ("", "is empty"),
    "blank": ("   ", "is empty"),
    "no url": ("localhost", "neither"),
    "another scheme": ("mysql://u@h/d", "not a postgresql"),
    "bad escape": ("postgresql://u:p%zz@h/d", "hex digits"),
    "bad port": ("postgresql://u@h:99999/d", "port"),
}


@pytest.mark.ac("AC-025")
@pytest.mark.parametrize("case", MISCONFIGURED)
async def test_a_malformed_address(tmp_path: Path, time: FakeTime, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    url, says = MISCONFIGURED[case]
    monkeypatch.delenv(URL, raising=False)
    if url is not None:
        monkeypatch.setenv(URL, url)
    async with working(tmp_path, time) as (_, status):
        assert status.state is SyncState.MISCONFIGURED
        assert says in status.reason
        assert URL in status.hint
        assert status.pending > 0


@pytest.mark.ac("AC-025")
async def test_an_unknown_host(tmp_path: Path, time: FakeTime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL, "postgresql://u@no-such-host.invalid/d")
    async with working(tmp_path, time) as (_, status):
        assert status.state is SyncState.OFFLINE
        assert "no-such-host.invalid" in status.reason
        assert status.pending == RECORDS


@pytest.mark.ac("AC-025")
async def test_a_port_without_a_server(tmp_path: Path, time: FakeTime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL, f"postgresql://u@127.0.0.1:{free_port()}/d")
    async with working(tmp_path, time) as (_, status):
        assert status.state is SyncState.OFFLINE
        assert "refuses connections" in status.reason
        assert status.next_attempt_at is not None


async def test_an_unknown_database(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL, team.server.url("no_such_database"))
    async with working(tmp_path, time) as (_, status):
        assert status.state is SyncState.OFFLINE
        assert "the database does not exist" in status.reason


@pytest.mark.ac("AC-025")
async def test_a_refused_login_is_shown_at_once_and_not_tried_again(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fault_proxy("127.0.0.1", team.server.port) as proxy:
        monkeypatch.setenv(URL, team.server.url(team.name, user="nobody_at_all", port=proxy.port))
        async with working(tmp_path, time) as (workspace, status):
            assert status.state is SyncState.AUTH_FAILED
            assert "nobody_at_all" in status.reason
            tried = proxy.connections
            await add_run(workspace)
            await time.advance(hours=6, step=60)
            assert proxy.connections == tried
            assert (await workspace.sync.status()).state is SyncState.AUTH_FAILED
        # A person who asks is always listened to; a corrected configuration is tried at once.
        assert proxy.connections > tried


async def test_a_corrected_login_works_after_a_change_of_configuration(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL, team.url_as("nobody_at_all"))
    async with opened(tmp_path, time, sync=True) as workspace:
        await add_run(workspace)
        await time.advance(60)
        assert (await workspace.sync.status()).state is SyncState.AUTH_FAILED
        monkeypatch.setenv(URL, team.url)
        await workspace.reload(syncing(interval_seconds=31))
        await time.advance(1)
        assert (await workspace.sync.status()).pending == 0
    await assert_nothing_was_lost(workspace.database_path, team)


@pytest.fixture
async def limited(pg_blank: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A blank database, and a role without any right in it."""
    await pg_blank.execute(
        f"DO $$ BEGIN CREATE ROLE {ROLE} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    )
    monkeypatch.setenv(URL, pg_blank.url_as(ROLE))
    return pg_blank


async def test_a_missing_schema_without_the_right_to_create_it(
    tmp_path: Path, time: FakeTime, limited: Database
) -> None:
    async with opened(tmp_path, time, sync=True) as workspace:
        await add_run(workspace)
        await time.advance(60, step=3)
        status = await workspace.sync.status()
        assert status.state is SyncState.SCHEMA_MISMATCH
        assert "db schema --dialect postgres" in status.hint
        await limited.execute(provisioning_sql(role=ROLE))
        await heals(workspace, time, limited)


async def test_a_missing_schema_is_created_where_that_is_allowed(
    tmp_path: Path, time: FakeTime, pg_blank: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL, pg_blank.url)
    async with opened(tmp_path, time, sync=True) as workspace:
        await add_run(workspace)
        await time.advance(1)
        assert (await workspace.sync.status()).pending == 0
    await assert_nothing_was_lost(workspace.database_path, pg_blank)


async def test_a_revoked_grant(tmp_path: Path, time: FakeTime, limited: Database) -> None:
    await limited.execute(provisioning_sql(role=ROLE), f"REVOKE INSERT ON public.steps FROM {ROLE}")
    async with working(tmp_path, time) as (workspace, status):
        assert status.state is SyncState.AUTH_FAILED
        assert "lacks a privilege" in status.reason
        assert "db schema --dialect postgres" in status.hint
    async with opened(tmp_path, time) as workspace:
        await limited.execute(f"GRANT INSERT ON public.steps TO {ROLE}")
        assert (await workspace.sync.sync_now()).remaining == 0
    await assert_nothing_was_lost(workspace.database_path, limited)


async def test_a_newer_schema_is_left_alone(tmp_path: Path, time: FakeTime, team: Database) -> None:
    await team.execute(
        "INSERT INTO schema_migrations (version, description, checksum, duration_ms) VALUES ('99.0.0', 'x', 'x', 0)"
    )
    async with working(tmp_path, time) as (workspace, status):
        assert status.state is SyncState.SCHEMA_MISMATCH
        assert "upgrade acode-tui" in status.hint
        assert not await team.fetch("SELECT 1 FROM sessions")
        assert (await workspace.sync.status()).schema_version == "99.0.0"


async def test_a_read_only_server_heals_when_it_is_promoted(tmp_path: Path, time: FakeTime, team: Database) -> None:
    await team.execute(f"ALTER DATABASE {team.name} SET default_transaction_read_only = on")
    async with working(tmp_path, time) as (workspace, status):
        assert status.state is SyncState.READ_ONLY
        assert "read-only" in status.reason
    async with opened(tmp_path, time, sync=True) as workspace:
        await time.advance(60)
        assert (await workspace.sync.status()).state is SyncState.READ_ONLY
        await team.execute(
            "SET default_transaction_read_only = off", f"ALTER DATABASE {team.name} RESET default_transaction_read_only"
        )
        await heals(workspace, time, team)


async def test_too_many_connections(tmp_path: Path, time: FakeTime, team: Database) -> None:
    await team.execute(f"ALTER DATABASE {team.name} CONNECTION LIMIT 0", f"CREATE ROLE {team.name} LOGIN")
    async with opened(tmp_path, time, sync=True):
        await time.advance(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(URL, team.url_as(team.name))
        async with opened(tmp_path, time, sync=True) as workspace:
            await add_run(workspace)
            await time.advance(120, step=3)
            status = await workspace.sync.status()
            assert status.state is SyncState.OFFLINE
            assert "the server is full" in status.reason
            assert status.next_attempt_at is not None
            # Whoever asks for a sync waits a little for a connection.
            asked = asyncio.ensure_future(workspace.sync.sync_now())
            await time.advance(PATIENCE_SECONDS / 2, step=1)
            assert not asked.done()
            await time.advance(PATIENCE_SECONDS, step=1)
            with pytest.raises(SyncError, match="the server is full"):
                await asked
            assert query(workspace, "SELECT sum(attempts), count(failed_at) FROM outbox") == [(0, 0)]
            await team.execute(f"ALTER DATABASE {team.name} CONNECTION LIMIT -1", grants_of(team.name))
            await time.advance(20, step=1)
            assert (await workspace.sync.status()).state is SyncState.IDLE
    await team.execute(f"DROP OWNED BY {team.name}", f"DROP ROLE {team.name}")


async def test_a_server_without_disk_space_counts_no_attempts(tmp_path: Path, time: FakeTime, team: Database) -> None:
    await team.execute(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$",
        "CREATE TRIGGER full_disk BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION full_disk()",
    )
    async with working(tmp_path, time) as (workspace, status):
        assert status.state is SyncState.OFFLINE
        assert "no disk space" in status.reason
    await team.execute("DROP TRIGGER full_disk ON sessions")
    async with opened(tmp_path, time, sync=True) as workspace:
        await heals(workspace, time, team)


async def test_a_half_open_connection_is_dropped_at_its_deadline(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fault_proxy("127.0.0.1", team.server.port) as proxy:
        monkeypatch.setenv(URL, team.url_through(proxy.port))
        async with opened(tmp_path, time, sync=True) as workspace:
            await proxy.set_mode(Mode.SWALLOW)
            with short_deadlines():
                await add_run(workspace)
                await time.advance(1)
            status = await workspace.sync.status()
            assert status.state is SyncState.OFFLINE
            assert "did not answer in time" in status.reason
            assert waiting_rows(workspace) == RECORDS
            await proxy.set_mode(Mode.PASS)
            await heals(workspace, time, team)


async def test_a_reset_server_is_left_alone_until_a_full_sync(
    tmp_path: Path, time: FakeTime, private_pg: Callable[[], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    team = Database(private_pg(), "postgres")
    monkeypatch.setenv(URL, team.url)
    async with opened(tmp_path, time, sync=True) as workspace:
        await add_run(workspace, "before")
        await time.advance(1)
        await team.execute("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        session = await add_run(workspace, "pending when it was reset")
        await time.advance(90, step=3)
        status = await workspace.sync.status()
        assert status.state is SyncState.REMOTE_BEHIND
        assert "db sync --full" in status.hint
        assert waiting_rows(workspace) == RECORDS
        assert not await team.fetch("SELECT 1 FROM sessions")
        report = await workspace.sync.sync_full()
        assert (report.failed, report.conflicts, report.remaining) == (0, 0, 0)
        assert (await workspace.sync.status()).state is SyncState.IDLE
        assert (await workspace.store.get(session.id)).sync_version == 1
    await assert_nothing_was_lost(workspace.database_path, team)


@pytest.mark.parametrize("batch", [1, 500])
async def test_a_server_restored_from_an_older_backup_is_noticed_and_filled_again(
    tmp_path: Path, time: FakeTime, team: Database, batch: int
) -> None:
    async with opened(tmp_path, time, sync=True, settings=syncing(max_batch_size=batch)) as workspace:
        await add_run(workspace, "in the backup")
        await time.advance(31)
        (seq,) = await team.fetch("SELECT change_seq FROM workspaces")
        later = await add_run(workspace, "not in the backup")
        await time.advance(31)
        tables = ("artifacts", "tool_calls", "steps", "session_tasks", "session_events")
        await team.execute(
            *(f"DELETE FROM {table} WHERE session_id = '{later.id}'" for table in tables),
            f"DELETE FROM sessions WHERE id = '{later.id}'",
            f"DELETE FROM sync_inbox WHERE session_id = '{later.id}'",
            f"UPDATE workspaces SET change_seq = {seq[0]}",
        )
        await add_run(workspace, "after it was restored")
        await time.advance(31)
        assert (await workspace.sync.status()).state is SyncState.REMOTE_BEHIND
        report = await workspace.sync.sync_full(progress=None)
        assert (report.failed, report.conflicts, report.remaining) == (0, 0, 0)
    await assert_nothing_was_lost(workspace.database_path, team)


async def test_an_edit_sent_to_a_restored_server_is_not_overwritten_without_a_conflict(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    async with opened(tmp_path / "a", time) as a:
        session = await add_run(a)
        await a.sync.sync_now()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    async with opened(tmp_path / "a", time) as a, opened(tmp_path / "b", time) as b:
        ((seq,),) = await team.fetch("SELECT change_seq FROM workspaces")
        await a.store.transition_session(session.id, SessionState.PAUSED, reason="in no backup")
        for _ in range(4):
            await a.store.create_session("in no backup")
            await a.sync.sync_now()
        await team.execute(
            f"DELETE FROM session_events WHERE change_seq > {seq}",
            "DELETE FROM sessions WHERE task_description = 'in no backup'",
            f"DELETE FROM sync_inbox WHERE change_seq > {seq}",
            "UPDATE sessions SET state = 'Planning', sync_version = 1, updated_at = updated_at - interval '1 hour', "
            f"change_seq = {seq}",
            f"UPDATE workspaces SET change_seq = {seq}",
        )
        time.now += timedelta(minutes=1)
        await b.store.transition_session(session.id, SessionState.FAILED, reason="B, after the restoration")
        await b.sync.sync_now()
        time.now += timedelta(minutes=1)
        await a.store.transition_session(session.id, SessionState.CANCELLED, reason="A, later")
        with pytest.raises(SyncError, match="reset or restored"):
            await a.sync.sync_now()
        assert (await a.sync.sync_full()).conflicts == 1
        (conflict,) = await a.conflicts.list()
        assert json.loads(bytes(conflict.remote_payload))["state"] == "Failed"
        assert (await a.store.get(session.id)).state is SessionState.CANCELLED
        await assert_equal(a.database_path, team)
        with pytest.raises(SyncError, match="reset or restored"):
            await b.sync.sync_now()
        await b.sync.sync_full()
        await a.sync.sync_now()
        for each in (a, b):
            await assert_equal(each.database_path, team)


async def test_an_interrupted_full_sync_leaves_the_state_remote_behind_and_goes_on_where_it_ended(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(round_, "HISTORY_PAGE", 5)
    monkeypatch.setattr(round_, "QUEUED_AHEAD", 10)
    async with opened(tmp_path, time) as workspace:
        sessions = [await workspace.store.create_session(f"run {number}") for number in range(30)]
        await workspace.sync.sync_now()
        await team.execute("TRUNCATE sessions, sync_inbox, workspaces CASCADE")
        # A child that waits, far behind: it goes with the first turn, after its parent.
        await workspace.store.transition_session(sessions[-1].id, SessionState.PLANNING, reason="meanwhile")
        queue = workspace.outbox.queue_unsent
        pages: list[int] = []

        async def interrupted(**options: Any) -> Any:
            pages.append(1)
            workspace.sync.wind_down()
            return await queue(**options)

        workspace.outbox.queue_unsent = interrupted  # type: ignore[method-assign]
        await workspace.sync.sync_full()
        workspace.outbox.queue_unsent = queue  # type: ignore[method-assign]
        assert pages == [1]

        def stop(progress: Progress) -> None:
            # All records are counted before the first of them is sent.
            assert progress.total == 31
            if progress.done > 15:
                workspace.sync.wind_down()

        first = await workspace.sync.sync_full(progress=stop)
        assert 15 < first.synced < 31
        with pytest.raises(SyncError, match="reset or restored"):
            await workspace.sync.sync_now()
        second = await workspace.sync.sync_full()
        assert (second.failed, second.remaining) == (0, 0)
        assert second.synced + second.duplicates < 25
        third = await workspace.sync.sync_full()
        assert (third.synced, third.duplicates) == (0, 31)
    await assert_nothing_was_lost(workspace.database_path, team)


@pytest.fixture
async def members(pg_blank: Database) -> tuple[str, str]:
    """A database that is protected, and the addresses of two members."""
    role, names = f"agents_{pg_blank.name}", [f"{who}_{pg_blank.name}" for who in ("ada", "grace")]
    await pg_blank.server.execute(
        f"CREATE ROLE {role}", *(f"CREATE ROLE {name} LOGIN IN ROLE {role}" for name in names)
    )
    await pg_blank.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC", provisioning_sql(role=role))
    return pg_blank.url_as(names[0]), pg_blank.url_as(names[1])


async def test_a_workspace_of_another_login_waits_for_a_person(
    tmp_path: Path, time: FakeTime, members: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, grace = members
    monkeypatch.setenv(URL, ada)
    async with opened(tmp_path, time) as workspace:
        await add_run(workspace)
        assert (await workspace.sync.sync_now()).remaining == 0
    monkeypatch.setenv(URL, grace)
    async with working(tmp_path, time) as (_, status):
        assert status.state is SyncState.AUTH_FAILED
        assert "this workspace belongs to the login ada_" in status.reason
        assert "workspaces.owner" in status.hint
    monkeypatch.setenv(URL, ada)
    async with opened(tmp_path, time) as workspace:
        assert (await workspace.sync.sync_now()).remaining == 0


async def test_a_run_of_another_login_fails_alone(
    tmp_path: Path, time: FakeTime, members: tuple[str, str], pg_blank: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same run in the workspaces of two members, as after an import of a shared transcript: the first has it."""
    ada, grace = members
    monkeypatch.setenv(URL, ada)
    async with opened(tmp_path / "ada", time) as workspace:
        run = make_run(workspace.workspace_id)
        await workspace.store.save(run)
        assert (await workspace.sync.sync_now()).remaining == 0
    monkeypatch.setenv(URL, grace)
    async with opened(tmp_path / "grace", time) as workspace:
        await workspace.store.save(msgspec.structs.replace(run, workspace_id=workspace.workspace_id))
        await add_run(workspace)
        report = await workspace.sync.sync_now()
        assert (report.synced, report.failed) == (RECORDS, 1)
        ((error, attempts),) = query(workspace, "SELECT last_error, attempts FROM outbox WHERE attempts > 0")
        assert "another login" in error
        assert attempts == 1
    assert [row["count"] for row in await pg_blank.fetch("SELECT count(*) FROM sessions GROUP BY workspace_id")] == [
        1,
        1,
    ]


def error_response(sqlstate: str, message: str) -> bytes:
    fields = b"".join(f"{key}{value}\0".encode() for key, value in (("S", "FATAL"), ("C", sqlstate), ("M", message)))
    return b"E" + struct.pack("!i", 4 + len(fields) + 1) + fields + b"\0"


SSL_REQUEST = struct.pack("!i", 80877103)
PORTAL = b"HTTP/1.1 302 Found\r\nLocation: http://login.invalid/\r\n\r\n"


@asynccontextmanager
async def answering(port: int, answer: bytes) -> AsyncIterator[None]:
    """Something on the port that answers a login with ``answer``."""

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.read(1024)
        if asked[4:8] == SSL_REQUEST and answer[:1] == b"E":
            writer.write(b"N")
            await reader.read(1024)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(reply, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (error_response("XX000", "Tenant or user not found"), "Tenant or user not found"),
        (error_response("P0001", "no more servers"), "no more servers"),
        (error_response("08P01", "query_wait_timeout"), ""),
        (error_response("53300", "too many clients"), "no free connection"),
        (error_response("08P01", "sorry, too many clients already"), "the server is full"),
        (PORTAL, ""),
        (b"\0" * 64, ""),
        (b"", ""),
    ],
)
async def test_whatever_a_login_answers_is_the_targets_fault_and_heals(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch, answer: bytes, says: str
) -> None:
    port = free_port()
    monkeypatch.setenv(URL, team.server.url(team.name, port=port))
    async with opened(tmp_path, time, sync=True) as workspace:
        async with answering(port, answer):
            await add_run(workspace)
            await time.advance(120, step=3)
            status = await workspace.sync.status()
            assert status.state in (SyncState.OFFLINE, SyncState.AUTH_FAILED)
            assert status.reason
            assert says in status.reason
            assert status.next_attempt_at is not None
            assert query(workspace, "SELECT sum(attempts), count(failed_at) FROM outbox") == [(0, 0)]
        monkeypatch.setenv(URL, team.url)
        await heals(workspace, time, team)


async def test_a_promoted_standby_that_lost_batches_is_noticed_although_others_pushed_it_on(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    async with opened(tmp_path / "a", time) as a:
        await add_run(a)
        await a.sync.sync_now()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    async with opened(tmp_path / "a", time) as a, opened(tmp_path / "b", time) as b:
        ((seq,),) = await team.fetch("SELECT change_seq FROM workspaces")
        for number in range(3):
            await a.store.create_session(f"lost {number}")
            await a.sync.sync_now()
        await team.execute(
            f"DELETE FROM sessions WHERE change_seq > {seq}",
            f"DELETE FROM sync_inbox WHERE change_seq > {seq}",
            f"UPDATE workspaces SET change_seq = {seq}",
        )
        for number in range(5):
            await b.store.create_session(f"B, on the new primary {number}")
            await b.sync.sync_now()
        await a.store.create_session("A, later")
        with pytest.raises(SyncError, match="reset or restored"):
            await a.sync.sync_now()
        assert not await team.fetch("SELECT 1 FROM sessions WHERE task_description = 'A, later'")
        report = await a.sync.sync_full()
        assert (report.failed, report.conflicts, report.remaining) == (0, 0, 0)
        with pytest.raises(SyncError, match="reset or restored"):
            await b.sync.sync_now()
        await b.sync.sync_full()
        await a.sync.sync_now()
        for each in (a, b):
            await assert_equal(each.database_path, team)
        assert len(await team.fetch("SELECT 1 FROM sessions")) == 10


async def test_what_a_restored_server_lost_comes_back_without_a_conflict(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Edits that were delivered and lost are sent again by the replica that made them, and by those that took them."""
    async with opened(tmp_path / "a", time) as a:
        first, second = await add_run(a), await add_run(a)
        await a.sync.sync_now()
        await a.store.transition_session(first.id, SessionState.EXECUTING, reason="on")
        await a.sync.sync_now()
    for name in ("b", "c"):
        shutil.copytree(tmp_path / "a", tmp_path / name)
    async with opened(tmp_path / "a", time) as a, opened(tmp_path / "b", time) as b, opened(tmp_path / "c", time) as c:
        await team.server.execute(f"CREATE DATABASE {team.name}_old TEMPLATE {team.name} STRATEGY FILE_COPY")
        restored = Database(team.server, f"{team.name}_old")
        try:
            for state in (SessionState.PAUSED, SessionState.EXECUTING):
                await a.store.transition_session(first.id, state, reason="in no backup")
                await a.sync.sync_now()
                await b.sync.sync_now()
            await a.store.transition_session(second.id, SessionState.EXECUTING, reason="in no backup")
            await c.sync.sync_now()
            monkeypatch.setenv(URL, restored.url)
            # B has a newer version than the server, A newer ones than B, and C an older one in the end.
            for each in (b, a, c, b):
                with suppress(SyncError):
                    await each.sync.sync_now()
                if each is a:
                    # What an interrupted full sync leaves, and an edit before the next one.
                    await a.outbox.queue_unsent(after="", limit=9, everything=True, new_incarnation=True)
                    await a.store.transition_session(first.id, SessionState.PAUSED, reason="meanwhile")
                report = await each.sync.sync_full()
                assert (report.failed, report.conflicts, report.remaining) == (0, 0, 0)
            await a.sync.sync_now()
            for each in (a, b, c):
                await assert_equal(each.database_path, restored)
        finally:
            await team.server.execute(f"DROP DATABASE {restored.name} WITH (FORCE)")


async def test_a_row_that_went_back_where_nothing_looks_lost_is_no_conflict(
    tmp_path: Path, time: FakeTime, team: Database
) -> None:
    """Other replicas have filled a promoted standby again, with older copies: its head and its ledger show no loss."""
    async with opened(tmp_path / "a", time) as a:
        edited, taken = await add_run(a), await add_run(a)
        await a.sync.sync_now()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    async with opened(tmp_path / "a", time) as a, opened(tmp_path / "b", time) as b:
        former = await team.fetch("SELECT id, state, updated_at, sync_version FROM sessions")
        for session in (edited, taken):
            await a.store.transition_session(session.id, SessionState.EXECUTING, reason="lost in part")
        await a.sync.sync_now()
        await b.sync.sync_now()
        await team.execute(
            "DELETE FROM sync_inbox WHERE idempotency_key LIKE 'session:%'",
            *(
                f"UPDATE sessions SET state = '{state}', updated_at = '{at.isoformat()}', sync_version = {version} "
                f"WHERE id = '{session_id}'"
                for session_id, state, at, version in former
            ),
        )
        await a.store.transition_session(edited.id, SessionState.PAUSED, reason="A, later")
        for each in (a, b):
            report = await each.sync.sync_full()
            assert (report.failed, report.conflicts, report.remaining) == (0, 0, 0)
        for each in (a, b):
            await each.sync.sync_now()
            await assert_equal(each.database_path, team)
            assert not await each.conflicts.list()
        assert (await b.store.get(edited.id)).state is SessionState.PAUSED
