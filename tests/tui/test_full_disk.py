"""A toast reports a full disk once, and its end."""

from acode_tui.domain.errors import DiskFullError
from tests.tui.driving import over, shown, toasts, until
from tests.tui.fake import FakeWorkspace


async def test_a_full_disk_is_reported_once_and_so_is_its_end() -> None:
    workspace = FakeWorkspace()
    app = over(workspace)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: app.workspace is not None)
        workspace.failing_write = DiskFullError("the disk under [/x] is full")
        await until(pilot, lambda: toasts(pilot))
        for _ in range(3):
            workspace.version += 1
            await pilot.pause(0.1)
        ((title, message),) = toasts(pilot)
        assert title == "ACODE-DB-002"
        assert "the disk under [/x] is full" in message
        assert "free some space" in message
        await until(pilot, lambda: "ACODE-DB-002 nothing can be written" in shown(pilot))
        workspace.failing_write = None
        await until(pilot, lambda: [each[0] for each in toasts(pilot)] == ["ACODE-DB-002", "writes go through"])
        await until(pilot, lambda: "nothing can be written" not in shown(pilot))
