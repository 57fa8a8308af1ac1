"""The command palette: most used first, runs, saved queries."""

from msgspec.structs import replace
from textual.pilot import Pilot
from textual.widgets import Input
from textual.widgets.option_list import Option

from acode_tui.tui.run.screen import SessionScreen
from tests.tui.driving import browser, over, until, until_listed
from tests.tui.fake import FakeWorkspace, fake_id

HOSTILE = "[/red] [@click=app.quit]x[/] $text-error \x1b[2J"


def offered(pilot: Pilot[int]) -> list[str]:
    from textual.command import CommandList

    options: list[Option] = list(pilot.app.screen.query_one(CommandList).options)
    return [str(option.prompt) for option in options]


async def ask(pilot: Pilot[int], text: str) -> None:
    await pilot.press("ctrl+p")
    await until(pilot, lambda: pilot.app.screen.query(Input) and offered(pilot))
    pilot.app.screen.query_one(Input).value = text


async def test_a_command_that_was_run_more_often_comes_first(fake: FakeWorkspace) -> None:
    app = over(fake)
    async with app.run_test(size=(100, 40)) as pilot:
        await until_listed(pilot)
        await ask(pilot, "health")
        await until(pilot, lambda: offered(pilot) and offered(pilot)[0].startswith("Health"))
        await pilot.press("enter")
        await until(pilot, lambda: app.personal.value.used == {"Health": 1})
        await pilot.press("escape", "ctrl+p")
        await until(pilot, lambda: pilot.app.screen.query(Input) and offered(pilot))
        assert offered(pilot)[0].startswith("Health")


async def test_the_palette_finds_runs_and_saved_queries_whatever_is_in_their_names(fake: FakeWorkspace) -> None:
    fake.store.sessions[5] = replace(fake.store.sessions[5], task_description=f"zebra {HOSTILE}")
    app = over(fake)
    app.personal.save_query(f"quagga {HOSTILE}", "login is:live")
    async with app.run_test(size=(100, 40)) as pilot:
        await until_listed(pilot)
        await ask(pilot, "zebr")
        await until(pilot, lambda: any(each.startswith("Run: zebra [/red]") for each in offered(pilot)))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SessionScreen))
        assert isinstance(app.screen, SessionScreen)
        assert app.screen.run_view.session_id == fake_id(5)
        await ask(pilot, "quagga")
        await until(pilot, lambda: any(each.startswith("Query: quagga [/red]") for each in offered(pilot)))
        await pilot.press("enter")
        await until(pilot, lambda: browser(pilot)._browser.text == "login is:live" and len(app.screen_stack) == 1)
