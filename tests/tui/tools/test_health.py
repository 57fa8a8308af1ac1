"""The health screen."""

from acode_tui.tui.tools.health import HealthScreen
from tests.tui.driving import over, shown, until, until_listed
from tests.tui.fake import FakeWorkspace, fake_id


async def test_health_shows_each_check_and_copies_the_command_that_helps(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("y")
        assert pilot.app.clipboard == fake_id(0)
        await pilot.press("h")
        await until(pilot, lambda: "2 of 4 checks found something" in shown(pilot))
        assert "✗ unhealthy" in shown(pilot).splitlines()[0]
        # The cursor begins on the worst check, and stays there.
        await pilot.press("y")
        assert pilot.app.clipboard.startswith("acode-tui db backup prune")
        await pilot.press("k", "y")
        await until(pilot, lambda: "1 record was given up [/red]" in shown(pilot))
        assert pilot.app.clipboard == "acode-tui db outbox list --status failed, then retry or discard"
        looked = fake.examined
        fake.version += 1
        for _ in range(20):
            await pilot.pause(0.01)
        assert fake.examined == looked
        await pilot.press("R")
        await until(pilot, lambda: fake.examined > looked)
        await pilot.press("g", "y")
        assert pilot.app.clipboard == "database: answers in 0.4 ms; 4.2 MB are sound"
        assert isinstance(pilot.app.screen, HealthScreen)
