"""What goes into a batch, in which order, and what happens to a record that changes while it is in flight."""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from acode_tui import ArtifactType, SessionState
from acode_tui.domain.errors import SyncError
from acode_tui.domain.states import EntityType
from acode_tui.storage.delivery_protocol import ApplyRow
from acode_tui.storage.ports import ClaimedRecord
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from acode_tui.storage.sqlite.runs import row_writes
from acode_tui.storage.sqlite.sync import claim
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
    assert query(workspace, "SELECT outcome, count(*) FROM outbox GROUP BY outcome") == [("applied", 7)]


async def _bump(workspace: Workspace, session_id: str, times: int, *, claimed: bool = False) -> None:
    """Edit a session; if ``claimed``, each time after its record was claimed and never acknowledged."""

    def unit(connection: sqlite3.Connection) -> None:
        for number in range(times):
            if claimed:
                connection.execute("INSERT OR IGNORE INTO outbox_claims SELECT id FROM outbox")
            stored: Any = row_writes.require(connection, EntityType.SESSION, session_id)
            now = workspace._writer.clock.tick()
            changed = msgspec.structs.replace(row_writes.stamped(stored, now), task_description=f"edit {number}")
            row_writes.update(connection, changed, now)

    await workspace._writer.run(unit)


@pytest.mark.parametrize("batch_size", [1, 10, 500])
async def test_all_versions_of_a_row_that_may_have_been_sent_are_one_delivery(
    tmp_path: Path, time: FakeTime, team: Database, batches: list[list[ApplyRow]], batch_size: int
) -> None:
    async with opened(tmp_path, time) as workspace:
        session = await workspace.store.create_session("a hot row")
        await _bump(workspace, session.id, 200, claimed=True)
        for number in range(3):
            await workspace.store.add_task(session.id, f"task {number}")
        assert query(workspace, "SELECT count(*) FROM outbox WHERE entity_type = 'session'") == [(201,)]
        report = await workspace.sync.sync_now(batch_size=batch_size)
        assert (report.synced, report.superseded, report.remaining, report.conflicts) == (4, 200, 0, 0)
    assert [len(row.ancestors) for batch in batches for row in batch if row.kind is EntityType.SESSION] == [200]
    await assert_nothing_was_lost(workspace.database_path, team)


@pytest.fixture
def after_delivery(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], Awaitable[object]]]:
    """What is done, once, between the delivery of a batch and its acknowledgement."""
    done: list[Callable[[], Awaitable[object]]] = []
    apply = PostgresSyncTarget.apply

    async def watched(target: PostgresSyncTarget, *arguments: Any, **options: Any) -> Any:
        reply = await apply(target, *arguments, **options)
        while done:
            await done.pop(0)()
        return reply

    monkeypatch.setattr(PostgresSyncTarget, "apply", watched)
    return done


async def test_a_version_behind_a_refused_record_goes_with_the_older_ones_of_its_row(
    tmp_path: Path, time: FakeTime, team: Database, after_delivery: list[Callable[[], Awaitable[object]]]
) -> None:
    """Both versions were sent together, without a reply. The older one alone would meet the newer one there."""

    async def lose_the_reply() -> None:
        raise SyncError("the process died here")

    async with opened(tmp_path, time) as workspace:
        session = await workspace.store.create_session("first")
        await workspace.store.add_task(session.id, "refused later")
        await _bump(workspace, session.id, 1, claimed=True)
        after_delivery.append(lose_the_reply)
        with pytest.raises(SyncError, match="died here"):
            await workspace.sync.sync_now(batch_size=1)
        (task,) = [each for each in await workspace.outbox.list() if each.entity_type is EntityType.SESSION_TASK]
        await workspace.outbox.mark_failed(task.id, "refused")
        report = await workspace.sync.sync_now()
        assert (report.duplicates, report.superseded, report.conflicts) == (1, 1, 0)


async def test_an_edit_of_a_row_in_flight_is_a_record_of_its_own(
    tmp_path: Path, time: FakeTime, team: Database, after_delivery: list[Callable[[], Awaitable[object]]]
) -> None:
    async with opened(tmp_path, time) as workspace:
        session = await workspace.store.create_session("first")
        after_delivery.append(lambda: _bump(workspace, session.id, 3))
        report = await workspace.sync.sync_now()
        assert (report.synced, report.conflicts, report.remaining) == (2, 0, 0)
        records = query(workspace, "SELECT outcome, payload ->> 'taskDescription' FROM outbox ORDER BY id")
        # The one that was claimed keeps what was sent; three edits are one record.
        assert records == [("applied", "first"), ("applied", None)]
        assert query(workspace, "SELECT count(*) FROM outbox_claims") == [(0,)]
    await assert_equal(workspace.database_path, team)
    assert (await team.fetch("SELECT task_description FROM sessions"))[0][0] == "edit 2"


@pytest.mark.ac("AC-042")
async def test_an_edit_after_a_lost_reply_is_no_conflict(
    tmp_path: Path, time: FakeTime, team: Database, after_delivery: list[Callable[[], Awaitable[object]]]
) -> None:
    """The server has a version that nothing here acknowledged; the next edit is based on it."""

    async def lose_the_reply() -> None:
        raise SyncError("the process died here")

    async with opened(tmp_path, time) as workspace:
        session = await workspace.store.create_session("first")
        after_delivery.append(lose_the_reply)
        with pytest.raises(SyncError, match="died here"):
            await workspace.sync.sync_now()
    async with opened(tmp_path, time) as workspace:
        await _bump(workspace, session.id, 3)
        report = await workspace.sync.sync_now()
        assert (report.synced, report.superseded, report.conflicts, report.remaining) == (1, 1, 0, 0)
    await assert_nothing_was_lost(workspace.database_path, team)


async def test_a_claim_beside_a_batch_leaves_out_its_rows(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with opened(tmp_path, time) as workspace:
        session = await add_run(workspace)
        await workspace.store.create_session("another")
        connection = sqlite3.connect(workspace.database_path, isolation_level=None)

        def claimed(limit: int, beside: Sequence[ClaimedRecord] = ()) -> tuple[ClaimedRecord, ...]:
            claims = claim.claim(connection, now=LATER, max_records=limit, beside=beside)
            return claim.load(connection, claims, max_bytes=1 << 20)[0]

        first = claimed(3)
        second = claimed(3, beside=first)
        assert {r.row.entity.id for r in first}.isdisjoint(r.row.entity.id for r in second)
        assert [r.row.kind for r in second] == [EntityType.STEP, EntityType.TOOL_CALL, EntityType.ARTIFACT]
        await _bump(workspace, session.id, 1)
        await workspace.store.create_session("behind the edit")
        third = claimed(99, beside=first)
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
