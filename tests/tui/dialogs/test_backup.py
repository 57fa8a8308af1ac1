"""The backup dialog, and what every dialog over a job does."""

from acode_tui.tui.dialogs.backup import BackupDialog
from acode_tui.tui.main.screen import MainScreen
from tests.tui.driving import is_enabled, over, shown, toasts, until, until_listed
from tests.tui.fake import FakeWorkspace, holding


async def test_the_backup_dialog_shows_the_folder_the_progress_and_the_result(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(80, 24)) as pilot, holding(fake):
        await until_listed(pilot)
        await pilot.press("b")
        await until(pilot, lambda: "7 backups; older ones make room" in shown(pilot))
        assert ".agent/backups/" in shown(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "28%" in shown(pilot))
        assert not is_enabled(pilot, "enter")
        fake.backing_up.set()
        await until(pilot, lambda: "acode-tui db restore acode_backup_20260314_120431" in shown(pilot))
        assert toasts(pilot) == []
        await pilot.press("y")
        assert pilot.app.clipboard == "acode-tui db restore acode_backup_20260314_120431"


async def test_closing_a_dialog_does_not_end_its_job_and_conflicting_jobs_are_dim(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot, holding(fake):
        await until_listed(pilot)
        assert is_enabled(pilot, "b")
        await pilot.press("b")
        await until(pilot, lambda: isinstance(pilot.app.screen, BackupDialog) and is_enabled(pilot, "enter"))
        await pilot.press("enter", "escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
        assert is_enabled(pilot, "b") is False
        assert is_enabled(pilot, "m") is False
        assert is_enabled(pilot, "s")
        pilot.app.screen.action_backup()  # type: ignore[attr-defined]
        await until(pilot, lambda: "28%" in shown(pilot))
        await pilot.press("escape")
        fake.backing_up.set()
        await until(pilot, lambda: toasts(pilot) == [("backup", "acode_backup_20260314_120431\n4.2 MB copied")])
        assert is_enabled(pilot, "b")
