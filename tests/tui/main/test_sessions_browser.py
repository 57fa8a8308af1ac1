"""The session browser over a real workspace: pages, search, filter, order, and writes of other processes."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from textual import events

from acode_tui.domain.states import ArtifactType, SessionState
from acode_tui.storage.ports import SessionFilter
from acode_tui.tui.app import Dashboard
from acode_tui.tui.run.screen import SessionScreen
from acode_tui.tui.widgets.notice import Notice
from acode_tui.workspace import Workspace
from tests.clocks import GUARD_SECONDS, TurnedClock
from tests.tui.driving import (
    content,
    dashboard,
    main_screen,
    opened_with,
    over,
    sessions,
    shown,
    toasts,
    until,
    until_listed,
    with_page_size,
)
from tests.tui.fake import FakeWorkspace


async def record(workspace: Workspace, count: int, prefix: str = "session") -> list[str]:
    """Record sessions and return their ids; the last one is the newest."""
    return [(await workspace.store.create_session(f"{prefix} number {index:03}")).id for index in range(count)]


def real_dashboard(root: Path, clock: TurnedClock, page_size: int = 10) -> Dashboard:
    return dashboard(root, opened_with(clock, root), settings=with_page_size(page_size), wall=clock)


async def test_pages_go_forward_and_back_and_show_their_number(
    workspace: Workspace, tmp_path: Path, clock: TurnedClock
) -> None:
    ids = await record(workspace, 25)
    newest = list(reversed(ids))
    async with real_dashboard(tmp_path, clock).run_test(size=(120, 36)) as pilot:
        table = await until_listed(pilot)
        assert table.row_keys == newest[:10]
        assert "page 1 of 3" in shown(pilot)
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: table.row_keys == newest[10:20])
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: table.row_keys == newest[20:])
        await pilot.press("right_square_bracket")
        assert "page 3 of 3" in shown(pilot)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: table.row_keys == newest[10:20])
        await pilot.press("left_curly_bracket")
        await until(pilot, lambda: table.row_keys == newest[:10])


async def test_another_page_begins_at_its_first_row(workspace: Workspace, tmp_path: Path, clock: TurnedClock) -> None:
    await record(workspace, 25)
    async with real_dashboard(tmp_path, clock).run_test(size=(120, 36)) as pilot:
        table = await until_listed(pilot)
        first = table.row_keys
        await pilot.press("G")
        assert table.cursor_row == 9
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: table.row_keys != first)
        assert table.cursor_row == 0


async def test_search_filters_at_every_key_and_escape_clears_it(
    workspace: Workspace, tmp_path: Path, clock: TurnedClock
) -> None:
    await record(workspace, 12)
    wanted = (await workspace.store.create_session("Fix the login form")).id
    async with real_dashboard(tmp_path, clock).run_test(size=(120, 36)) as pilot:
        table = await until_listed(pilot)
        await pilot.press("slash", *"logi")
        await until(pilot, lambda: table.row_keys == [wanted])
        assert "search: logi" in shown(pilot)
        await pilot.press("enter")
        assert table.has_focus
        await pilot.press("escape")
        await until(pilot, lambda: table.row_count == 10)
        assert "search:" not in shown(pilot)


@pytest.mark.parametrize("steps", [30, 90], ids=["read at once", "read in parts"])
async def test_a_run_opens_at_the_place_that_a_search_found(
    workspace: Workspace, tmp_path: Path, clock: TurnedClock, steps: int
) -> None:
    await record(workspace, 3)
    store = workspace.store
    session = await store.create_session("Fix the login form")
    task = await store.add_task(session.id, "Fix the login form")
    for number in range(steps):
        step = await store.add_step(task.id, f"Step {number}")
        if number == steps // 2:
            await store.add_tool_call(step.id, "Bash", {"command": "grep cookie"})
        else:
            # Its height is known only once it is read.
            await store.add_artifact(step.id, ArtifactType.MODEL_RESPONSE, "answer", b"* a\n" * 30, "text/plain")
    async with real_dashboard(tmp_path, clock).run_test(size=(120, 36)) as pilot:
        table = await until_listed(pilot)
        await pilot.press("slash", *"cookie", "enter")
        await until(pilot, lambda: table.row_keys == [session.id, f"{session.id}#0"])
        assert "grep cookie" in shown(pilot)
        await pilot.press("N")
        assert table.cursor_row == 0, "there is no place above"
        await pilot.press("n", "enter")
        await until(pilot, lambda: "grep cookie" in shown(pilot) and "n next" in shown(pilot))
        screen = pilot.app.screen
        assert isinstance(screen, SessionScreen)
        await until(pilot, lambda: screen.run_view.whole and screen.page.is_complete)
        assert "grep cookie" in shown(pilot)
        await pilot.press("n")
        await until(pilot, lambda: "searched on from the beginning" in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is main_screen(pilot))
        assert table.cursor_row == 1


async def test_a_search_for_markup_is_a_search_for_those_characters(
    workspace: Workspace, tmp_path: Path, clock: TurnedClock
) -> None:
    await record(workspace, 3)
    async with real_dashboard(tmp_path, clock).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("slash", *"[/f] ]x[b]".replace(" ", ""))
        await until(pilot, lambda: "[/f]]x[b]" in shown(pilot) and "No session fits" in shown(pilot))


async def test_a_text_that_is_no_query_is_explained_below_the_line_and_the_sessions_stay(
    workspace: Workspace, tmp_path: Path, clock: TurnedClock
) -> None:
    await record(workspace, 3)
    wanted = (await workspace.store.create_session("Fix the colour")).id
    async with real_dashboard(tmp_path, clock).run_test(size=(120, 36)) as pilot:
        table = await until_listed(pilot)
        await pilot.press("slash", *"colour")
        await until(pilot, lambda: table.row_keys == [wanted])
        await pilot.press(*":red")
        await until(pilot, lambda: "colour: is no field; the fields are agent, project" in shown(pilot))
        assert table.row_keys == [wanted]
        assert toasts(pilot) == []
        await pilot.press(*["backspace"] * len(":red"))
        await until(pilot, lambda: "is no field" not in shown(pilot))
        assert table.row_keys == [wanted]
        await pilot.press("space", *"is:nothing")
        await until(pilot, lambda: "is: needs one of its values" in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: table.row_count == 4 and "is: needs" not in shown(pilot))


async def test_a_search_without_results_shows_how_to_clear_it(
    workspace: Workspace, tmp_path: Path, clock: TurnedClock
) -> None:
    await record(workspace, 3)
    async with real_dashboard(tmp_path, clock).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("slash", *"zebra")
        notice = main_screen(pilot).query_one("#why-empty", Notice)
        await until(pilot, lambda: notice.display)
        assert "No session fits" in content(notice)
        assert "esc" in content(notice)


async def test_a_filter_by_state_shows_those_states_only(
    workspace: Workspace, tmp_path: Path, clock: TurnedClock
) -> None:
    ids = await record(workspace, 4)
    await workspace.store.transition_session(ids[1], SessionState.CANCELLED, reason="not needed")
    async with real_dashboard(tmp_path, clock).run_test(size=(120, 36)) as pilot:
        table = await until_listed(pilot)
        await pilot.press("f", "left", "left", "space", "f")
        await until(pilot, lambda: table.row_keys == [ids[1]])
        assert "Cancelled" in shown(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: table.row_count == 4)


async def test_keys_typed_ahead_of_the_search_line_go_into_it(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        for name, character in (("slash", "/"), *((character, character) for character in "zebra")):
            pilot.app.post_message(events.Key(name, character))
        await until(pilot, lambda: main_screen(pilot).browser.text == "zebra")
        assert pilot.app.screen is main_screen(pilot)


async def test_sessions_are_ordered_by_creation(workspace: Workspace, tmp_path: Path, clock: TurnedClock) -> None:
    ids = await record(workspace, 3)
    await workspace.store.transition_session(ids[0], SessionState.PLANNING)
    async with real_dashboard(tmp_path, clock).run_test(size=(120, 36)) as pilot:
        table = await until_listed(pilot)
        assert table.row_keys[0] == ids[0]
        await pilot.press("O")
        await until(pilot, lambda: table.row_keys == list(reversed(ids)))


async def test_a_click_on_a_title_orders_all_runs_by_that_figure(
    workspace: Workspace, tmp_path: Path, clock: TurnedClock
) -> None:
    ids = await record(workspace, 12)
    step = await workspace.store.add_step((await workspace.store.add_task(ids[3], "task")).id, "step")
    call = await workspace.store.add_tool_call(step.id, "Bash", {}, started=True)
    await workspace.store.fail_tool_call(call.id, "exit 1")
    await record(workspace, 12, "later")
    async with real_dashboard(tmp_path, clock).run_test(size=(120, 36)) as pilot:
        table = await until_listed(pilot)
        assert ids[3] not in table.row_keys
        title = shown(pilot).splitlines()[table.region.y].index("failed")
        await pilot.click(table, offset=(title - table.region.x, 0))
        await until(pilot, lambda: table.row_keys[0] == ids[3])
        assert "failed▾" in shown(pilot)
        assert "order: failed" in shown(pilot)
        await pilot.press("O")
        await until(pilot, lambda: "order: tokens" in shown(pilot))


async def test_writes_of_another_connection_appear_and_the_cursor_stays_on_its_session(
    workspace: Workspace, tmp_path: Path, clock: TurnedClock
) -> None:
    await record(workspace, 8)
    async with real_dashboard(tmp_path, clock, page_size=50).run_test(size=(120, 36)) as pilot:
        table = await until_listed(pilot)
        await pilot.press("j", "j", "j")
        under = table.cursor_key
        new = (await workspace.store.create_session("written elsewhere")).id
        await until(pilot, lambda: new in table.row_keys)
        assert table.row_keys[0] == new
        assert table.cursor_key == under
        assert table.cursor_row == 4


async def test_a_refresh_keeps_the_scroll_position(workspace: Workspace, tmp_path: Path, clock: TurnedClock) -> None:
    await record(workspace, 40)
    async with real_dashboard(tmp_path, clock, page_size=50).run_test(size=(120, 24)) as pilot:
        table = await until_listed(pilot)
        await pilot.press("G")
        await pilot.pause()
        table.scroll_to(y=12, animate=False, immediate=True)
        await pilot.pause()
        before, under = table.scroll_y, table.cursor_key
        assert before == 12
        new = (await workspace.store.create_session("one more")).id
        await until(pilot, lambda: table.row_keys[0] == new)
        await pilot.pause(0.1)
        assert table.scroll_y == before
        assert table.cursor_key == under


async def test_a_commit_of_another_process_is_shown(workspace: Workspace, tmp_path: Path, clock: TurnedClock) -> None:
    """A plain sqlite3 connection stands for another process."""
    (session_id,) = await record(workspace, 1)

    def write() -> None:
        with sqlite3.connect(workspace.database_path, timeout=GUARD_SECONDS) as other:
            other.execute("UPDATE sessions SET task_description = 'from outside' WHERE id = ?", (session_id,))
        other.close()

    async with real_dashboard(tmp_path, clock).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await asyncio.to_thread(write)
        await until(pilot, lambda: "from outside" in shown(pilot))


@pytest.mark.ac("AC-059")
async def test_hostile_text_is_shown_as_text(workspace: Workspace, tmp_path: Path, clock: TurnedClock) -> None:
    hostile = "[/foo] [bold]x[/bold] \x1b[31mred\x1b[0m \u202etxt.exe [@click=app.quit]go[/] "
    session = await workspace.store.create_session(hostile)
    task = await workspace.store.add_task(session.id, hostile)
    step = await workspace.store.add_step(task.id, hostile)
    call = await workspace.store.add_tool_call(step.id, hostile, {"command": hostile, hostile: [hostile]})
    await workspace.store.start_tool_call(call.id)
    await workspace.store.fail_tool_call(call.id, hostile)
    async with real_dashboard(tmp_path, clock).run_test(size=(160, 48)) as pilot:
        await until_listed(pilot)
        seen = shown(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "Timeline" in shown(pilot) and "[/foo]" in shown(pilot))
        await pilot.press("plus", "j", "j")
        await until(pilot, lambda: "parameters" in shown(pilot))
        for text in (seen, shown(pilot)):
            assert "[/foo] [bold]x[/bold]" in text
            assert "\x1b" not in text
            assert "\u202e" not in text
        assert pilot.app.is_running


async def test_a_page_is_read_again_from_its_first_row(
    workspace: Workspace, tmp_path: Path, clock: TurnedClock
) -> None:
    """New sessions appear on the first page and do not move the page on screen."""
    ids = await record(workspace, 30)
    newest = list(reversed(ids))
    async with real_dashboard(tmp_path, clock).run_test(size=(120, 36)) as pilot:
        table = await until_listed(pilot)
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: table.row_keys == newest[10:20])
        await record(workspace, 3, "later")
        await until(pilot, lambda: main_screen(pilot).browser.pages.total == 33)
        assert table.row_keys == newest[10:20]
        assert await workspace.store.count(SessionFilter()) == 33


async def test_wide_terminals_have_more_columns(workspace: Workspace, tmp_path: Path, clock: TurnedClock) -> None:
    await record(workspace, 2)
    async with real_dashboard(tmp_path, clock).run_test(size=(80, 24)) as pilot:
        table = await until_listed(pilot)
        await pilot.press("j")
        under = table.cursor_key
        assert "project" not in [column.key for column in table.columns]
        await pilot.resize_terminal(120, 36)
        await until(pilot, lambda: "project" in [column.key for column in sessions(pilot).columns])
        assert table.cursor_key == under
        assert table.row_count == 2


async def test_an_empty_page_names_the_keys_that_work_where_the_focus_is(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("slash", *"nosuchword")
        await until(pilot, lambda: "esc shows everything again" in shown(pilot))
        assert "f chooses states" not in shown(pilot)  # it would be typed
        await pilot.press("enter")
        await until(pilot, lambda: "f chooses states" in shown(pilot))
        await pilot.press("f")
        await until(pilot, lambda: "a shows every state" in shown(pilot))
        await pilot.press("right", "space")
        await until(pilot, lambda: "in these states" in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: "esc clears the search" in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: "search:" not in shown(pilot) and "No session fits" not in shown(pilot))
