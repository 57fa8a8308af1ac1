"""What goes into a batch, in which order, and what happens to a record that changes while it is in flight."""

import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from acode_tui import ArtifactType, SessionState
from acode_tui.domain.states import EntityType
from acode_tui.storage.delivery_protocol import ApplyRow
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.storage.sqlite.runs import row_writes
from acode_tui.storage.sqlite.sync import claim, retention
from acode_tui.storage.sqlite.sync.outbox import SqliteOutbox
from acode_tui.sync.drain import MAX_BATCH_BYTES
from acode_tui.workspace import Workspace
from tests.pg import Database
from tests.sync.conftest import LogLines
from tests.sync.equality import assert_equal, assert_nothing_was_lost, checksum, ledger, rows_here, rows_there
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import add_run, opened, query

LATER = "9999-01-01T00:00:00.000000Z"


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[list[ApplyRow]]:
    """Every batch that was sent."""
    sent: list[list[ApplyRow]] = []
    apply = PostgresSyncTarget.apply

    async def watched(target: PostgresSyncTarget, workspace_id: str, batch: list[ApplyRow], **options: Any) -> Any:
        sent.append(list(batch))
        return await apply(target, workspace_id, batch, **options)

    monkeypatch.setattr(PostgresSyncTarget, "apply", watched)
    return sent


@pytest.mark.ac("AC-038")
async def test_batches_are_full_and_oldest_first(
    tmp_path: Path, time: FakeTime, team: Database, batches: list[list[ApplyRow]]
) -> None:
    async with opened(tmp_path, time) as workspace:
        for number in range(7):
            await workspace.store.create_session(f"run {number}")
        await workspace.sync.sync_now(batch_size=3)
    assert [len(batch) for batch in batches] == [3, 3, 1]
    sent = [row.entity.task_description for batch in batches for row in batch]  # type: ignore[attr-defined]
    assert sent == [f"run {number}" for number in range(7)]


async def test_a_batch_ends_before_eight_mebibytes_and_a_larger_record_goes_alone(
    tmp_path: Path, time: FakeTime, team: Database, batches: list[list[ApplyRow]]
) -> None:
    async with opened(tmp_path, time) as workspace:
        session = await workspace.store.create_session("large files")
        task = await workspace.store.add_task(session.id, "read")
        step = await workspace.store.add_step(task.id, "read")
        call = await workspace.store.add_tool_call(step.id, "read_file", {})
        for size in (3, 3, 3, 9, 1):
            content = bytes(size << 20)
            await workspace.store.add_artifact(call.id, ArtifactType.FILE_CONTENT, "x", content, "text/plain")
        await workspace.sync.sync_now()
    sizes = [
        [len(row.entity.content or b"") >> 20 for row in batch if row.kind is EntityType.ARTIFACT]  # type: ignore[attr-defined]
        for batch in batches
    ]
    assert sizes == [[3, 3], [3], [9], [1]]
    assert MAX_BATCH_BYTES == 8 << 20
    await assert_nothing_was_lost(workspace.database_path, team)


async def test_a_row_is_sent_once_in_its_newest_version_at_its_oldest_position(
    tmp_path: Path, time: FakeTime, team: Database, batches: list[list[ApplyRow]]
) -> None:
    async with opened(tmp_path, time) as workspace:
        session = await add_run(workspace)
        await workspace.store.transition_session(session.id, SessionState.FAILED, reason="x")
        await workspace.sync.sync_now()
    (batch,) = batches
    assert [row.kind for row in batch[:2]] == [EntityType.SESSION, EntityType.SESSION_EVENT]
    assert batch[0].entity.state is SessionState.FAILED  # type: ignore[attr-defined]
    assert len({row.entity.id for row in batch}) == len(batch) == 7
    outcomes = dict(query(workspace, "SELECT outcome, count(*) FROM outbox GROUP BY outcome"))
    assert outcomes["applied"] == 7
    assert set(outcomes) == {"applied", "superseded"}


async def _bump(workspace: Workspace, session_id: str, times: int) -> None:
    def unit(connection: sqlite3.Connection) -> None:
        for number in range(times):
            stored: Any = row_writes.require(connection, EntityType.SESSION, session_id)
            now = workspace._writer.clock.tick()
            changed = msgspec.structs.replace(row_writes.stamped(stored, now), task_description=f"edit {number}")
            row_writes.update(connection, changed, now)

    await workspace._writer.run(unit)


async def test_a_row_with_a_thousand_records_is_sent_in_bounded_batches(
    tmp_path: Path, time: FakeTime, team: Database, batches: list[list[ApplyRow]]
) -> None:
    async with opened(tmp_path, time) as workspace:
        session = await workspace.store.create_session("a hot row")
        await _bump(workspace, session.id, 1000)
        report = await workspace.sync.sync_now(batch_size=10)
        assert (report.synced + report.superseded, report.remaining, report.conflicts) == (1001, 0, 0)
    assert len(batches) > 5
    assert max(len(row.ancestors) for batch in batches for row in batch) <= 2 * 10 * claim.SCAN
    await assert_nothing_was_lost(workspace.database_path, team)


async def test_a_record_that_was_folded_while_in_flight_is_sent_again(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may learn first that PostgreSQL is off, and fold a newer edit into the record in flight."""
    acknowledge = SqliteOutbox.acknowledge
    folded: list[int] = []
    async with opened(tmp_path, time) as workspace:
        session = await workspace.store.create_session("first")

        async def late(outbox: SqliteOutbox, *arguments: Any) -> int:
            if not folded:
                await _bump(workspace, session.id, 1)
                folded.append(
                    await workspace._writer.run(
                        lambda connection: retention.compact(connection, after_id=0, limit=9)[0]
                    )
                )
            return await acknowledge(outbox, *arguments)

        monkeypatch.setattr(SqliteOutbox, "acknowledge", late)
        await workspace.sync.sync_now()
        await workspace.sync.sync_now()
    assert folded == [1]
    await assert_equal(workspace.database_path, team)
    assert (await team.fetch("SELECT task_description FROM sessions"))[0][0] == "edit 0"


async def test_a_claim_beside_a_batch_leaves_out_its_rows(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with opened(tmp_path, time) as workspace:
        session = await add_run(workspace)
        await workspace.store.create_session("another")
        connection = sqlite3.connect(workspace.database_path)
        first = claim.claim(connection, now=LATER, max_records=3, max_bytes=1 << 20)
        second = claim.claim(connection, now=LATER, max_records=3, max_bytes=1 << 20, beside=first)
        assert {r.row.entity.id for r in first}.isdisjoint(r.row.entity.id for r in second)
        assert [r.row.kind for r in second] == [EntityType.STEP, EntityType.TOOL_CALL, EntityType.ARTIFACT]
        await _bump(workspace, session.id, 1)
        await workspace.store.create_session("behind the edit")
        third = claim.claim(connection, now=LATER, max_records=99, max_bytes=1 << 20, beside=first)
        # It ends where the session that is under way comes up again.
        assert "behind the edit" not in [getattr(r.row.entity, "task_description", "") for r in third]
        assert "another" in [getattr(r.row.entity, "task_description", "") for r in third]
        connection.close()


@pytest.mark.ac("AC-045")
@pytest.mark.ac("AC-046")
@pytest.mark.ac("AC-047")
async def test_a_replay_of_the_whole_outbox_changes_nothing(
    tmp_path: Path, time: FakeTime, team: Database, log_lines: LogLines
) -> None:
    async with opened(tmp_path, time) as workspace:
        for number in range(5):
            session = await add_run(workspace, f"run {number}")
            await workspace.sync.sync_now()
            await workspace.store.transition_session(session.id, SessionState.FAILED, reason="x")
        await workspace.sync.sync_now()
        here, there = rows_here(workspace.database_path), await rows_there(team)
        keys = await ledger(team)

        def forget(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE outbox SET processed_at = NULL, outcome = NULL")

        await workspace._writer.run(forget)
        report = await workspace.sync.sync_now()
        assert (report.synced, report.failed, report.conflicts, report.remaining) == (0, 0, 0, 0)
        assert report.duplicates == 5 * 7
        assert (await workspace.sync.status()).duplicates == 5 * 7
    assert checksum(rows_here(workspace.database_path)) == checksum(here)
    assert checksum(await rows_there(team)) == checksum(there)
    assert sorted(await ledger(team)) == sorted(keys)
    logged = [line["key"] for line in log_lines() if line.get("outcome") == "duplicate"]
    assert len(logged) == 5 * 7
    assert set(logged) <= set(keys)
    assert query(workspace, "SELECT sum(attempts) FROM outbox") == [(0,)]
