"""The log screen."""

from pathlib import Path

from acode_tui.tui.main.screen import MainScreen
from acode_tui.tui.tools.log import LogScreen
from tests.tui.driving import over, shown, until, until_listed
from tests.tui.fake import FakeWorkspace


def _entry(level: str, event: str, table: str) -> str:
    stamp = "2026-03-14T12:00:00.000000Z"
    return f'{{"level": "{level}", "timestamp": "{stamp}", "event": "{event}", "table": "{table}"}}\n'


async def test_the_log_is_filtered_held_and_copied(fake: FakeWorkspace, tmp_path: Path) -> None:
    log = tmp_path / "acode.log"
    log.write_text(_entry("warning", "statement.slow", "outbox") + _entry("error", "sync.refused", "[/red]"))
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        pilot.app.push_screen(LogScreen(log))
        await until(pilot, lambda: "2 lines" in shown(pilot))
        await pilot.press("slash", *"refu", "enter")
        await until(pilot, lambda: "sync.refused" in shown(pilot) and "statement.slow" not in shown(pilot))
        await pilot.press("y")
        assert pilot.app.clipboard.endswith("sync.refused  table=[/red]")
        await pilot.press("f", "slash", "z", "enter")
        await until(pilot, lambda: "2 lines of the log" in shown(pilot) and "remove the filter" in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: "2 lines" in shown(pilot))
        await pilot.press("space")
        with log.open("a") as file:
            file.write(_entry("error", "came.later", "x"))
        await until(pilot, lambda: "holding still, 1 more" in shown(pilot))
        assert "came.later" not in shown(pilot)
        await pilot.press("space")
        await until(pilot, lambda: "came.later" in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
