"""A restored backup is older than the team's database: the next sync pulls the missing rows and reports it."""

from pathlib import Path

from acode_tui.domain.states import WorkState
from acode_tui.storage.ports import Backup
from acode_tui.workspace import Maintenance
from tests.pg import Database
from tests.sync.equality import rows_here, rows_there
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import add_run, opened, query, syncing


async def restore(root: Path, backup: Backup, time: FakeTime) -> None:
    await Maintenance(root, syncing(), wall=time.wall).restore(backup, wait_seconds=0)


async def test_a_restored_workspace_catches_up_and_its_next_edit_is_no_conflict(team: Database, tmp_path: Path) -> None:
    time = FakeTime()
    async with opened(tmp_path, time) as workspace:
        first = await add_run(workspace, "before the backup, and sent")
        await workspace.sync.sync_now()
        waiting = await add_run(workspace, "before the backup, sent afterwards")
        backup = await workspace.backup()
        time.now = time.now.replace(minute=30)
        await workspace.store.add_task(first.id, "added since")
        later = await add_run(workspace, "since the backup")
        await workspace.sync.sync_now()
        workspace_id = workspace.workspace_id
    there = await rows_there(team, workspace_id)

    await restore(tmp_path, backup, time)
    async with opened(tmp_path, time) as workspace:
        assert workspace.workspace_id == workspace_id
        assert (await workspace.store.list()).total == 2
        report = await workspace.sync.sync_now()
        assert report.conflicts == 0
        assert report.duplicates > 0
        assert rows_here(workspace.database_path) == there == await rows_there(team, workspace_id)
        assert {each.id for each in (await workspace.store.list()).sessions} == {first.id, waiting.id, later.id}
        messages = [entry.message for entry in await workspace._journal.log_tail(5) if entry.pulled]
        assert "before this file was put back" in messages[0]
        await workspace.store.add_task(first.id, "after the restore")
        report = await workspace.sync.sync_now()
        assert report.conflicts == 0
        assert rows_here(workspace.database_path) == await rows_there(team, workspace_id)
        assert query(workspace, "SELECT count(*) FROM outbox WHERE processed_at IS NULL") == [(0,)]


async def test_an_edit_of_what_waited_in_the_backup_and_was_sent_since_is_no_conflict(
    team: Database, tmp_path: Path
) -> None:
    time = FakeTime()
    async with opened(tmp_path, time) as workspace:
        await add_run(workspace, "sent after the backup")
        backup = await workspace.backup()
        await workspace.sync.sync_now()
    await restore(tmp_path, backup, time)
    time.now = time.now.replace(minute=30)
    async with opened(tmp_path, time) as workspace:
        ((task_id,),) = query(workspace, "SELECT id FROM session_tasks")
        await workspace.store.transition_task(task_id, WorkState.IN_PROGRESS)
        report = await workspace.sync.sync_now()
        assert (report.conflicts, report.failed, report.remaining) == (0, 0, 0)
        assert rows_here(workspace.database_path) == await rows_there(team)
