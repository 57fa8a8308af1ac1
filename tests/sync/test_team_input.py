"""Rows of a team's database that are not valid: kept aside, listed, in nobody's way; and clocks that are wrong."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Collection
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from acode_tui import SessionState
from acode_tui.domain.clock import LAST_DAY, format_time, parse_time
from acode_tui.domain.errors import IntegrityError, SyncError
from acode_tui.domain.schema import TABLES
from acode_tui.sync.ports import SyncState
from acode_tui.workspace import Maintenance, Workspace
from tests.pg import Database
from tests.sync.conftest import LogLines
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import add_run, opened, query, syncing

POISON = {
    "a stamp of the last day": "UPDATE sessions SET updated_at = '9999-12-31 23:59:59.999999+00'",
    "infinity": "UPDATE sessions SET updated_at = 'infinity'",
    "minus infinity": "UPDATE sessions SET created_at = '-infinity'",
    "a year beyond 9999": "UPDATE sessions SET updated_at = '20000-01-01 00:00:00+00'",
    "before Christ": "UPDATE sessions SET created_at = '0044-03-15 00:00:00+00 BC'",
    "ten years ahead": "UPDATE sessions SET updated_at = now() + interval '10 years'",
    "an unknown state": "UPDATE sessions SET state = 'Exploded'",
    "a blank text": "UPDATE sessions SET task_description = '  '",
    "a text beyond its limit": "UPDATE sessions SET task_description = repeat('x', 2000)",
    "metadata beyond its limit": "UPDATE sessions SET metadata = jsonb_build_object('a', repeat('x', 400000))",
    "metadata that is no object": "UPDATE sessions SET metadata = '[1]'",
    "a version that nothing follows": "UPDATE sessions SET sync_version = 9223372036854775807",
    "an order below 0": 'UPDATE session_tasks SET "order" = -1',
    "deep JSON": "UPDATE tool_calls SET result = (repeat('[', 3000) || repeat(']', 3000))::jsonb",
    "a number of many digits": "UPDATE tool_calls SET result = '1e100000'::jsonb",
    "an unknown type": "UPDATE artifacts SET type = 'Rumour'",
    "a size that is not its content's": "UPDATE artifacts SET size = 7",
    "a hash of another content": "UPDATE artifacts SET content = 'other'",
    "infinity at the end of a call": "UPDATE tool_calls SET completed_at = 'infinity'",
}


async def without_checks(team: Database) -> None:
    """A schema as it was before 1.3.0 checked what is written."""
    for row in await team.fetch(
        "SELECT conrelid::regclass::text AS name, conname FROM pg_constraint "
        "WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
    ):
        await team.execute(f'ALTER TABLE {row["name"]} DROP CONSTRAINT "{row["conname"]}"')


async def poison(team: Database, sql: str) -> None:
    """Change rows past every check, as another program may; the workspace's replicas will pull them."""
    await without_checks(team)
    table = sql.split()[1]
    await team.execute(sql)
    await team.execute("UPDATE workspaces SET change_seq = change_seq + 1")
    await team.execute(
        f"UPDATE {table} SET change_seq = w.change_seq FROM workspaces AS w WHERE w.id = {table}.workspace_id"
    )
    if table != "artifacts" and "sync_version" not in sql:
        await team.execute(f"UPDATE {table} SET sync_version = sync_version + 1")


def ids_of(folder: Path) -> Path:
    return folder / ".agent" / "workspace_id"


async def replica(folder: Path, original: Workspace, time: FakeTime) -> None:
    """Make ``folder`` a second copy of a workspace, with no rows of it."""
    folder.mkdir()
    async with opened(folder, time):
        pass
    with closing(sqlite3.connect(folder / ".agent" / "workspace.db")) as connection, connection:
        connection.execute("UPDATE workspace_meta SET value = ? WHERE key = 'workspace_id'", (original.workspace_id,))
    path = ids_of(folder)
    if path.exists():
        path.unlink()


async def test_an_invalid_row_is_kept_aside_and_harms_nothing_else(
    team: Database, tmp_path: Path, time: FakeTime
) -> None:
    """Each kind in a run of its own."""
    async with opened(tmp_path / "laptop", time) as laptop:
        runs = {name: await add_run(laptop, name) for name in POISON}
        await laptop.sync.sync_now()
        await replica(tmp_path / "desktop", laptop, time)
        for name, session in runs.items():
            await poison(team, within(POISON[name], session.id))
        other = await add_run(laptop, "Another run")
        await laptop.sync.sync_now()
        async with opened(tmp_path / "desktop", time) as desktop:
            before = desktop._writer.clock.last
            await desktop.sync.sync_now()
            aside = await desktop.conflicts.quarantined()
            for name, session in runs.items():
                kinds = {kind for kind, each in TABLES.items() if each.name == POISON[name].split()[1]}
                of_run = [each for each in aside if each.session_id == session.id]
                assert {each.entity_type for each in of_run if "above it" not in each.reason} == kinds, name
            # Its children wait, the other run is whole, the cursor went on, the clock did not follow.
            assert (await desktop.store.get_with_hierarchy(other.id)).task_description == "Another run"
            assert (await desktop.conflicts.counts()).quarantined == len(aside) > 0
            assert desktop._writer.clock.last <= max(before, time.now + timedelta(minutes=5))
            assert (await desktop.sync.sync_now()).failed == 0
            assert len(await desktop.conflicts.quarantined()) == len(aside)
            await desktop.sync.status()
            # The machine that wrote the rows edits them: the next version takes the place of the invalid one. That of
            # an artifact, which does not change, is the only one without.
            fixed = {name: session.id for name, session in runs.items() if "UPDATE artifacts" not in POISON[name]}
            for session_id in fixed.values():
                await edit(laptop, session_id)
            time.now += timedelta(seconds=1)
            report = await laptop.sync.sync_now()
            assert (report.failed, report.remaining) == (0, 0)
            await desktop.sync.sync_now()
            left = {each.session_id for each in await desktop.conflicts.quarantined()}
            assert left == {session.id for session in runs.values()} - {*fixed.values()}
            assert rows_of(laptop, without=left) == rows_of(desktop, without=left)


async def edit(workspace: Workspace, session_id: str) -> None:
    """Change every row of a session that can be changed, so that each is sent again."""
    graph = await workspace.store.get_with_hierarchy(session_id)
    for kind, row in [(each.kind, each.id) for each in graph.entities() if TABLES[each.kind].mutable]:

        def unit(connection: sqlite3.Connection, kind: Any = kind, row: str = row) -> None:
            from acode_tui.storage.sqlite.runs import row_writes

            now = workspace._writer.clock.tick()
            row_writes.update(connection, row_writes.stamped(row_writes.require(connection, kind, row), now), now)

        await workspace._writer.run(unit)


def rows_of(workspace: Workspace, without: Collection[str] = ()) -> dict[str, list[tuple[Any, ...]]]:
    """Every row by table, but for those of some sessions."""
    found = {}
    for table in TABLES.values():
        columns = ", ".join(f'"{name}"' for name in table.column_names)
        key = "id" if table.name == "sessions" else "session_id"
        others = f"{key} NOT IN ({', '.join(map(repr, without)) or 'NULL'})" if without else "true"
        found[table.name] = query(workspace, f"SELECT {columns} FROM {table.name} WHERE {others} ORDER BY id")
    return found


def within(sql: str, session_id: str) -> str:
    """The update, of the rows of one session alone."""
    return f"{sql} WHERE {'id' if 'UPDATE sessions' in sql else 'session_id'} = '{session_id}'"


async def test_the_teams_lists_show_what_can_be_read(team: Database, tmp_path: Path, time: FakeTime) -> None:
    async with opened(tmp_path / "laptop", time) as laptop:
        runs = {name: await add_run(laptop, name) for name in POISON}
        other = await add_run(laptop, "Another run")
        await laptop.sync.sync_now()
        for name, session in runs.items():
            await poison(team, within(POISON[name], session.id))
        async with laptop.open_team() as store:
            page = await store.list()
            assert other.id in [each.id for each in page.sessions]
            assert (await store.get_with_hierarchy(other.id)).task_description == "Another run"
            for each in page.sessions:
                with suppress(IntegrityError):
                    await store.get_with_hierarchy(each.id)
        assert (await laptop.search_team("another")).hits
        assert await laptop.validate() is not None


async def test_children_come_with_their_parent_once_it_is_valid(team: Database, tmp_path: Path, time: FakeTime) -> None:
    async with opened(tmp_path / "laptop", time) as laptop:
        await add_run(laptop)
        await laptop.sync.sync_now()
        await replica(tmp_path / "desktop", laptop, time)
        await poison(team, "UPDATE session_tasks SET state = 'Exploded'")
        async with opened(tmp_path / "desktop", time) as desktop:
            await desktop.sync.sync_now()
            aside = {each.entity_type.value: each.reason for each in await desktop.conflicts.quarantined()}
            assert set(aside) == {"session_task", "step", "tool_call", "artifact"}
            assert aside["step"] == "task_id: the session task above it is not here"
            # Only the task changes: its children have the numbers that the replica has passed.
            await team.execute("UPDATE session_tasks SET state = 'Pending', sync_version = sync_version + 1")
            await team.execute("UPDATE workspaces SET change_seq = change_seq + 1")
            await team.execute("UPDATE session_tasks SET change_seq = (SELECT change_seq FROM workspaces)")
            await desktop.sync.sync_now()
            assert await desktop.conflicts.quarantined() == ()
            for table in ("steps", "tool_calls", "artifacts"):
                assert query(desktop, f"SELECT count(*) FROM {table}") == [(1,)]


async def test_a_stamp_that_was_ahead_is_taken_when_its_time_has_come(
    team: Database, tmp_path: Path, time: FakeTime
) -> None:
    time.now = datetime.now(UTC) + timedelta(minutes=30)
    async with opened(tmp_path / "laptop", time) as laptop:
        await add_run(laptop)
        await laptop.sync.sync_now()
        slow = FakeTime(datetime.now(UTC))
        await replica(tmp_path / "desktop", laptop, slow)
        async with opened(tmp_path / "desktop", slow) as desktop:
            await desktop.sync.sync_now()
            assert {each.reason.split(":")[1] for each in await desktop.conflicts.quarantined()}
            assert query(desktop, "SELECT count(*) FROM sessions") == [(0,)]
            assert desktop._writer.clock.last < time.now - timedelta(minutes=20)
            slow.now = time.now
            await desktop.sync.sync_now()
            assert await desktop.conflicts.quarantined() == ()
            assert rows_of(laptop) == rows_of(desktop)


async def test_the_next_program_reads_again_what_this_one_kept_aside(
    team: Database, tmp_path: Path, time: FakeTime
) -> None:
    async with opened(tmp_path / "laptop", time) as laptop:
        await add_run(laptop)
        await laptop.sync.sync_now()
        await replica(tmp_path / "desktop", laptop, time)
        await poison(team, "UPDATE sessions SET state = 'Hibernating'")
        async with opened(tmp_path / "desktop", time) as desktop:
            await desktop.sync.sync_now()
            assert await desktop.conflicts.quarantined() != ()
        # The row itself stays, as where only the program or its limits have changed.
        await team.execute("UPDATE sessions SET state = 'Planning'")
        async with opened(tmp_path / "desktop", time) as desktop:
            await desktop.sync.sync_now()
            assert await desktop.conflicts.quarantined() == ()
            assert query(desktop, "SELECT count(*) FROM artifacts") == [(1,)]


async def test_a_head_without_a_further_number_is_a_state_and_no_dead_letter(
    team: Database, tmp_path: Path, time: FakeTime
) -> None:
    async with opened(tmp_path / "laptop", time) as laptop:
        await add_run(laptop)
        await laptop.sync.sync_now()
        cursor = await laptop._journal.pull_cursor()
        await without_checks(team)
        await team.execute("UPDATE workspaces SET change_seq = 9223372036854775807")
        for _ in range(3):
            with pytest.raises(SyncError, match="no number left") as caught:
                await laptop.sync.sync_now()
            assert caught.value.code == "ACODE-DB-005"
        await add_run(laptop, "Another run")
        with pytest.raises(SyncError, match="no number left"):
            await laptop.sync.sync_now()
        stats = await laptop.outbox.stats()
        assert (stats.failed, stats.retrying) == (0, 0)
        assert await laptop._journal.pull_cursor() == cursor
        await team.execute("UPDATE workspaces SET change_seq = (SELECT max(change_seq) FROM sessions)")
        assert (await laptop.sync.sync_now()).remaining == 0


async def test_a_row_with_a_number_beyond_the_head_does_not_move_the_cursor_there(
    team: Database, tmp_path: Path, time: FakeTime
) -> None:
    async with opened(tmp_path / "laptop", time) as laptop:
        await add_run(laptop)
        await laptop.sync.sync_now()
        await without_checks(team)
        await team.execute("UPDATE tool_calls SET change_seq = 9223372036854775807")
        await add_run(laptop, "Another run")
        assert (await laptop.sync.sync_now()).remaining == 0
        assert (await laptop.sync.sync_now()).remaining == 0


LARGE = """
import asyncio, resource, sys
from pathlib import Path
import acode_tui
from acode_tui.config import Settings
from acode_tui.config.settings import PersistenceSettings, PostgresSettings
SETTINGS = Settings(persistence=PersistenceSettings(postgres=PostgresSettings(enabled=True)))
async def main(folder):
    async with acode_tui.open_workspace(folder, settings=SETTINGS) as workspace:
        await workspace.sync.sync_now()
        aside = await workspace.conflicts.quarantined()
        print(len(aside), *(each.reason.split(":")[0] for each in aside))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
asyncio.run(main(sys.argv[1]))
"""


def sync_apart(folder: Path) -> list[str]:
    """What another process kept aside when it synced, and its peak memory in MiB."""
    command = [sys.executable, "-P", "-c", LARGE, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


async def test_a_value_of_100_megabytes_is_never_loaded(team: Database, tmp_path: Path, time: FakeTime) -> None:
    """Of each kind of column: text, JSON (which is stored in a hundredth of that) and bytes."""
    async with opened(tmp_path / "laptop", time) as laptop:
        await add_run(laptop)
        await laptop.sync.sync_now()
        await replica(tmp_path / "desktop", laptop, time)
        small = await asyncio.to_thread(sync_apart, tmp_path / "desktop")
        assert small[0] == "0", small
        await poison(team, "UPDATE artifacts SET content = convert_to(repeat('x', 100000000), 'utf8')")
        await poison(team, "UPDATE tool_calls SET error_message = repeat('x', 100000000), result = NULL")
        await poison(team, "UPDATE session_tasks SET metadata = jsonb_build_object('a', repeat('x', 100000000))")
        large = await asyncio.to_thread(sync_apart, tmp_path / "desktop")
        assert sorted(large[1:-1]) == ["content", "error_message", "metadata"], large
        assert int(large[-1]) - int(small[-1]) < 60, (small, large)


async def test_the_server_refuses_what_no_program_may_write(team: Database, tmp_path: Path, time: FakeTime) -> None:
    async with opened(tmp_path / "laptop", time) as laptop:
        await add_run(laptop)
        await laptop.sync.sync_now()
    refused = [
        "UPDATE sessions SET updated_at = 'infinity'",
        "UPDATE sessions SET created_at = '-infinity'",
        "UPDATE sessions SET updated_at = '9999-12-31 23:59:59+00'",
        "UPDATE session_events SET timestamp = '0044-03-15 00:00:00+00 BC'",
        "UPDATE sessions SET state = 'Exploded'",
        "UPDATE session_events SET to_state = 'Exploded'",
        "UPDATE session_tasks SET state = 'Exploded'",
        "UPDATE steps SET state = 'created'",
        "UPDATE tool_calls SET state = ''",
        "UPDATE tool_calls SET completed_at = 'infinity'",
        "UPDATE artifacts SET type = 'Rumour'",
        "UPDATE artifacts SET size = -1",
        "UPDATE steps SET sync_version = 9223372036854775807",
        "UPDATE steps SET change_seq = -1",
        "UPDATE workspaces SET change_seq = 9223372036854775807",
    ]
    for sql in refused:
        with pytest.raises(asyncpg.CheckViolationError):
            await team.execute(sql)


async def test_an_exception_nobody_foresaw_pauses_the_worker_and_never_ends_it(
    team: Database, tmp_path: Path, time: FakeTime, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "laptop", time, sync=True) as laptop:
        failing = True
        adopt = laptop._journal.adopt

        async def fail(*arguments: Any) -> int:
            if failing:
                raise OverflowError("date value out of range")
            return await adopt(*arguments)

        monkeypatch.setattr(laptop._journal, "pull_cursor", _raising(laptop._journal.pull_cursor, lambda: failing))
        await add_run(laptop)
        for _ in range(4):
            await time.advance(400)
            assert laptop.sync.is_running
        status = await laptop.sync.status()
        assert "OverflowError" in status.reason
        assert [each for each in log_lines() if each["event"] == "sync.defect"]
        failing = False
        await time.advance(400)
        assert laptop.sync.is_running
        assert (await laptop.sync.status()).state is SyncState.IDLE
        assert (await laptop.outbox.stats()).pending == 0


def _raising(work: Any, is_failing: Any) -> Any:
    async def call() -> Any:
        if is_failing():
            raise OverflowError("date value out of range")
        return await work()

    return call


# Clocks


async def test_a_clock_that_was_wrong_once_is_shown_and_repaired(team: Database, tmp_path: Path) -> None:
    time = FakeTime(datetime.now(UTC).replace(microsecond=0))
    right = time.now
    async with opened(tmp_path / "laptop", time) as laptop, opened(tmp_path / "laptop", time) as second:
        first = await add_run(laptop, "Before")
        time.now = right + timedelta(days=400)
        wrong = await add_run(laptop, "While the clock was wrong")
        time.now = right + timedelta(minutes=1)
        dragged = await laptop.store.create_session("Dragged along")
        assert dragged.created_at > right + timedelta(days=399)
        status = await laptop.sync.status()
        assert 399 * 86400 < status.stamps_ahead_seconds < 401 * 86400
        before = rows_of(laptop)

        ahead = await laptop.repair_clock()
        assert ahead is not None
        assert ahead > timedelta(days=399)
        assert await laptop.repair_clock() is None
        assert rows_of(laptop) == before
        assert (await laptop.sync.status()).stamps_ahead_seconds == 0

        # Every process follows, new rows have today's stamps, and a row of the wrong clock goes on after its own.
        for each in (laptop, second):
            assert (await each.store.create_session("After")).created_at < right + timedelta(hours=1)
        moved = await second.store.transition_session(wrong.id, SessionState.EXECUTING, reason="go on")
        assert parse_time(format_time(moved.updated_at)) > wrong.updated_at
        assert (await second.store.create_session("After that")).created_at < right + timedelta(hours=1)
        calm = await second.store.transition_session(first.id, SessionState.EXECUTING, reason="go on")
        assert calm.updated_at < right + timedelta(hours=1)
        keys = [key for (key,) in query(laptop, "SELECT idempotency_key FROM outbox")]
        assert len(keys) == len(set(keys))
        # Parents go before their children, although their records have later moments.
        task = await second.store.add_task(wrong.id, "After the repair")
        report = await laptop.sync.sync_now()
        assert (report.failed, report.remaining) == (0, 0)
        assert await team.fetch("SELECT 1 FROM session_tasks WHERE id = $1", task.id)


async def test_a_replica_keeps_rows_of_a_wrong_clock_aside_and_has_the_others(team: Database, tmp_path: Path) -> None:
    time = FakeTime(datetime.now(UTC).replace(microsecond=0))
    right = time.now
    async with opened(tmp_path / "laptop", time) as laptop:
        await add_run(laptop, "Before")
        await laptop.sync.sync_now()
        await replica(tmp_path / "desktop", laptop, FakeTime(right))
        time.now = right + timedelta(days=400)
        wrong = await laptop.store.create_session("While the clock was wrong")
        await laptop.sync.sync_now()
        time.now = right + timedelta(minutes=1)
        await laptop.repair_clock()
        await laptop.store.create_session("After")
        await laptop.sync.sync_now()
        late = FakeTime(right + timedelta(minutes=2))
        async with opened(tmp_path / "desktop", late) as desktop:
            await desktop.sync.sync_now()
            (aside,) = await desktop.conflicts.quarantined()
            assert aside.entity_id == wrong.id
            assert query(desktop, "SELECT task_description FROM sessions ORDER BY 1") == [("After",), ("Before",)]
            assert desktop._writer.clock.last < right + timedelta(hours=1)
            late.now = right + timedelta(days=400)
            await desktop.sync.sync_now()
            assert rows_of(desktop) == rows_of(laptop)


async def test_a_file_that_took_over_the_last_moment_can_be_written_and_synced(
    team: Database, tmp_path: Path, time: FakeTime
) -> None:
    """As a program without these checks left it: the clock and a session at 9999-12-31T23:59:59.999999Z."""
    last = "9999-12-31T23:59:59.999999Z"
    assert parse_time(last) > LAST_DAY
    async with opened(tmp_path / "laptop", time) as laptop:
        session = await add_run(laptop)
        await laptop.sync.sync_now()
    await without_checks(team)
    await team.execute("UPDATE sessions SET updated_at = '9999-12-31 23:59:59.999999+00', sync_version = 5")
    with closing(sqlite3.connect(tmp_path / "laptop" / ".agent" / "workspace.db")) as connection, connection:
        connection.execute("UPDATE workspace_meta SET value = ? WHERE key = 'clock_last'", (last,))
        connection.execute("UPDATE sessions SET updated_at = ?, sync_version = 5", (last,))
    async with opened(tmp_path / "laptop", time) as laptop:
        await add_run(laptop, "Another run")
        await laptop.store.add_task(session.id, "Another task")
        moved = await laptop.store.transition_session(session.id, SessionState.EXECUTING, reason="go on")
        assert moved.updated_at < time.now + timedelta(hours=1)
        report = await laptop.sync.sync_now()
        assert (report.failed, report.remaining) == (0, 0)
        (row,) = await team.fetch("SELECT updated_at, state FROM sessions WHERE id = $1", session.id)
        assert (row["updated_at"], row["state"]) == (moved.updated_at, "Executing")


async def test_a_recovery_has_everything_but_the_rows_that_are_not_valid(
    team: Database, tmp_path: Path, time: FakeTime
) -> None:
    async with opened(tmp_path / "laptop", time) as laptop:
        await add_run(laptop)
        await add_run(laptop, "Another run")
        await laptop.sync.sync_now()
        workspace_id = laptop.workspace_id
    await poison(team, "UPDATE steps SET updated_at = 'infinity' WHERE id = (SELECT id FROM steps ORDER BY id LIMIT 1)")
    there = Maintenance(tmp_path / "recovered", syncing())
    (tmp_path / "recovered").mkdir()
    done = await there.recover(confirm=lambda _: True, workspace_id=workspace_id)
    assert done.quarantined == 3  # the step, its call and the call's artifact
    assert done.counts["steps"] == done.counts["artifacts"] == 1
    checks = {each.name: each for each in (*await there.check(), *await there.check_team())}
    assert "3 rows of the team's database kept aside" in checks["quarantine"].description
    assert "3 rows kept aside" in checks["remote rows"].description
    assert all(each.ok for each in checks.values()), checks
