"""The backups screen, and restoring one."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from acode_tui.config import load_settings
from acode_tui.storage.ports import Check, IncompleteBackup
from acode_tui.tui.opening import restore_backup
from acode_tui.workspace import open_workspace
from acode_tui.workspace.maintenance import Maintenance
from tests.tui.driving import over, shown, toasts, until, until_listed
from tests.tui.fake import FakeWorkspace
from tests.tui.recorded import BACKUP

HOSTILE = "[/red]\x1b[2J\u202e"


@pytest.fixture
def backups(fake: FakeWorkspace) -> FakeWorkspace:
    fake.made = [BACKUP, replace(BACKUP, name=f"other{HOSTILE}", counts={"sessions": 3, HOSTILE: 1})]
    fake.incomplete = [IncompleteBackup(name=f"half{HOSTILE}", path="/x", reason=f"no manifest {HOSTILE}")]
    fake.findings = (Check(name="hash", ok=False, description=f"differs {HOSTILE}"),)
    return fake


@pytest.mark.parametrize("can_restore", [True, False])
async def test_a_backup_is_looked_at_verified_and_restored_after_a_question(
    backups: FakeWorkspace, can_restore: bool
) -> None:
    app = over(backups, can_restore=can_restore)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        await pilot.press("b")
        await until(pilot, lambda: "older ones make room" in shown(pilot))
        await pilot.press("r")
        await until(pilot, lambda: "half[/red]" in shown(pilot) and "5,640" in shown(pilot))
        await pilot.press("v")
        await until(pilot, lambda: "✗ hash: differs [/red]" in shown(pilot))
        await pilot.press("G", "enter")
        await until(pilot, lambda: ("restore", "This is no complete backup.") in toasts(pilot))
        await pilot.press("g", "enter")
        await until(pilot, lambda: "Restore this backup?" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: "Restore this backup?" not in shown(pilot))
        assert app.restore is None, "no has the focus"
        await pilot.press("enter")
        await until(pilot, lambda: "Restore this backup?" in shown(pilot))
        await pilot.press("y")
        await until(pilot, lambda: app._exit if can_restore else toasts(pilot)[-1][0] == "restore")
    assert app.restore == (BACKUP if can_restore else None)


async def test_a_folder_without_backups_says_how_one_is_made(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        await pilot.press("b")
        await until(pilot, lambda: "older ones make room" in shown(pilot))
        await pilot.press("r")
        await until(pilot, lambda: "There are no backups yet" in shown(pilot))


async def _workspace(root: Path, *tasks: str) -> list[str]:
    async with open_workspace(root) as workspace:
        for task in tasks:
            await workspace.store.create_session(task)
        return [each.task_description for each in await workspace.store.list()]


def test_between_two_dashboards_a_backup_is_put_in_place_and_a_damaged_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    asyncio.run(_workspace(tmp_path, "before"))
    settings = load_settings(tmp_path)
    backup = asyncio.run(Maintenance(tmp_path, settings).create_backup())
    asyncio.run(_workspace(tmp_path, "after"))
    title, text, severity = restore_backup(tmp_path, settings, backup)
    assert (title, severity) == ("restored", "information")
    assert "1 session" in text
    assert "_pre_restore" in text
    assert asyncio.run(_workspace(tmp_path)) == ["before"]
    backup.database.write_bytes(backup.database.read_bytes()[:-4096])
    title, text, severity = restore_backup(tmp_path, settings, backup)
    assert (title, severity) == ("not restored", "error")
    assert "cannot be restored" in text
    assert asyncio.run(_workspace(tmp_path)) == ["before"]
