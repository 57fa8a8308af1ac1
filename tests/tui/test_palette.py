"""The command palette."""

from textual.pilot import Pilot

from acode_tui.tui.dialogs.backup import BackupDialog
from tests.tui.driving import over, shown, until, until_listed
from tests.tui.fake import FakeWorkspace


def _commands(pilot: Pilot[int]) -> dict[str, str]:
    """The help of each command of the palette, by its name."""
    commands = list(pilot.app.get_system_commands(pilot.app.screen))
    helps = {command.title: command.help for command in commands}
    assert len(helps) == len(commands)
    return helps


async def test_commands_of_the_palette_have_distinct_names_and_show_their_keys(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        assert {"Previous page", "Next page", "First page", "Backup"} <= _commands(pilot).keys()
        await pilot.press("enter")
        await until(pilot, lambda: "Every artifact of the run" in _commands(pilot))
        assert _commands(pilot)["Export"] == "x  Export this session as a report or as JSON"


async def test_the_palette_has_the_actions_of_the_main_screen_on_every_screen(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("h")
        await until(pilot, lambda: "checks found something" in shown(pilot))
        titles = [command.title for command in pilot.app.get_system_commands(pilot.app.screen)]
        assert {"Check again", "Copy", "Sync", "Migrate", "Backup", "Settings", "Retries", "Import", "Theme"} <= {
            *titles
        }
        assert len(titles) == len(set(titles))
        await pilot.press("ctrl+p")
        await pilot.pause()
        await pilot.press(*"backup")
        await until(pilot, lambda: "Back up the workspace's database" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, BackupDialog))
