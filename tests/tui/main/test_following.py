"""The open dashboard follows commits of other processes and changed settings; and NO_COLOR."""

import asyncio
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot

from acode_tui.config import Settings, TuiSettings
from acode_tui.tui.style.colour_depth import terminal_colours
from acode_tui.tui.tools.log import LogScreen
from acode_tui.workspace import Workspace
from tests.clocks import TurnedClock
from tests.tui.driving import (
    SETTINGS,
    browser,
    dashboard,
    main_screen,
    opened_with,
    over,
    sessions,
    shown,
    toasts,
    until,
    until_listed,
)
from tests.tui.fake import FakeWorkspace

WRITE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=10)
with connection:
    connection.execute("UPDATE sessions SET task_description = 'from another process' WHERE id = ?", (sys.argv[2],))
connection.close()
"""


async def test_one_tick_after_another_processs_commit_shows_it(
    workspace: Workspace, tmp_path: Path, clock: TurnedClock
) -> None:
    """The refresh timer is stopped: one tick by hand must be enough."""
    assert Settings().tui.refresh_seconds <= 0.5
    session = await workspace.store.create_session("as it was")

    resting = msgspec.structs.replace(SETTINGS, tui=TuiSettings(refresh_seconds=60))
    async with dashboard(tmp_path, opened_with(clock, tmp_path), settings=resting, wall=clock).run_test(
        size=(120, 36)
    ) as pilot:
        await until_listed(pilot)
        command = [sys.executable, "-c", WRITE, str(workspace.database_path), session.id]
        await asyncio.to_thread(subprocess.run, command, check=True)
        await until(pilot, lambda: not main_screen(pilot)._reading)
        assert "as it was" in shown(pilot)
        main_screen(pilot).poll()
        await until(pilot, lambda: "from another process" in shown(pilot))


def changed(fake: FakeWorkspace, **tui: object) -> None:
    """Give the workspace reloaded settings, as after a change of a configuration file."""
    fake.settings = msgspec.structs.replace(fake.settings, tui=msgspec.structs.replace(fake.settings.tui, **tui))


async def test_another_page_size_is_applied_from_the_first_page(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        table = await until_listed(pilot)
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "page 2 of 3" in shown(pilot))
        changed(fake, page_size=20)
        await until(pilot, lambda: "page 1 of 6" in shown(pilot))
        assert table.row_count == 20


async def test_another_theme_in_the_settings_is_applied_and_not_saved_again(fake: FakeWorkspace) -> None:
    kept: list[str] = []
    async with over(fake, save_theme=kept.append).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        changed(fake, theme="nord")
        await until(pilot, lambda: pilot.app.theme == "nord")
        changed(fake, theme="no-such")
        await until(pilot, lambda: toasts(pilot))
        assert "no-such" in toasts(pilot)[0][1]
        assert pilot.app.theme == "nord"
        changed(fake, theme=None)
        await until(pilot, lambda: pilot.app.theme == "acode-night")
        assert kept == []


async def test_the_theme_that_was_chosen_last_is_saved(fake: FakeWorkspace) -> None:
    kept: list[str] = []
    async with over(fake, save_theme=kept.append).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        for name in ("nord", "acode-night"):
            pilot.app.theme = name
            await pilot.pause()
        await until(pilot, lambda: kept == ["nord", "acode-night"])


async def test_other_keys_in_the_settings_are_applied(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        changed(fake, keymap={"filter": "f5"})
        await until(pilot, lambda: "f5" in main_screen(pilot).active_bindings)
        await pilot.press("f5")
        await until(pilot, lambda: browser(pilot).choosing)


def _pace(pilot: Pilot[int]) -> float | None:
    timer = main_screen(pilot)._timer
    return timer._interval if timer is not None else None


async def test_another_refresh_interval_is_applied_and_a_covered_screen_stays_paused(fake: FakeWorkspace) -> None:
    polls = 0
    answer = fake.data_version

    async def counted() -> int:
        nonlocal polls
        polls += 1
        return await answer()

    fake.data_version = counted  # type: ignore[method-assign]
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        changed(fake, refresh_seconds=30.0)
        await until(pilot, lambda: _pace(pilot) == 30.0)
        await until(pilot, lambda: not main_screen(pilot)._reading)
        before = polls
        for _ in range(20):
            await pilot.pause(0.02)
        assert polls == before
        changed(fake, refresh_seconds=0.1)
        main_screen(pilot).poll()
        await until(pilot, lambda: polls > before + 3)
        await pilot.press("l")
        await until(pilot, lambda: isinstance(pilot.app.screen, LogScreen))
        await pilot.press("escape")
        before = polls
        await until(pilot, lambda: polls > before + 3)


def coloured(pilot: Pilot[int]) -> int:
    """The number of segments on screen whose colour is not a grey."""
    count = 0
    for strip in pilot.app.screen._compositor.render_strips():
        for segment in strip:
            for colour in (segment.style.color, segment.style.bgcolor) if segment.style else ():
                if colour is not None and colour.triplet is not None:
                    count += len(set(colour.triplet)) > 1
                elif colour is not None and not colour.is_default:
                    count += 1
    return count


@pytest.mark.parametrize("wished", [True, False])
async def test_no_color_removes_colours_and_every_state_keeps_its_sign(
    fake_online: FakeWorkspace, wished: bool
) -> None:
    terminal = terminal_colours({"TERM": "xterm-256color", **({"NO_COLOR": "1"} if wished else {})})
    async with over(fake_online, terminal=terminal).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await until(pilot, lambda: "4,872" in shown(pilot))
        assert (coloured(pilot) == 0) is wished
        assert "● Executing" in shown(pilot)
        assert "✗ Failed" in shown(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "Conversation" in shown(pilot) and "succeeded" in shown(pilot))
        assert (coloured(pilot) == 0) is wished
        await pilot.press("v")
        await until(pilot, lambda: "Timeline" in shown(pilot) and "→" in shown(pilot))
        assert (coloured(pilot) == 0) is wished
        assert sessions(pilot).row_count
