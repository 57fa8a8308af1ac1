"""Pictures of the dashboard, as SVG. ``pytest tests/tui/test_snapshots.py --snapshot-update`` takes them anew."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from acode_tui.storage.ports import OutboxStats
from acode_tui.sync.ports import SyncState, SyncStatus
from acode_tui.tui.widgets.sessions.table import SessionTable
from tests.tui.driving import main_screen, over, shown, still, until, until_listed
from tests.tui.fake import NOW, FakeStore, FakeWorkspace, online, summary
from tests.tui.test_import_screen import Scripted

Compare = Callable[..., bool]
Before = Callable[[Pilot[int]], Awaitable[None]]

SMALL, USUAL, LARGE = (80, 24), (120, 36), (200, 60)


def after(expected: str, *keys: str, rows: bool = True) -> Before:
    """Wait for the first page, press keys, and wait for a text to be on screen."""

    async def run(pilot: Pilot[int]) -> None:
        await until(pilot, lambda: pilot.app.screen_stack and main_screen(pilot).query(SessionTable))
        if rows:
            await until_listed(pilot)
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        await until(pilot, lambda: expected in shown(pilot))
        await still(pilot)

    return run


def take(compare: Compare, workspace: FakeWorkspace, size: tuple[int, int], before: Before, **more: Any) -> None:
    assert compare(over(workspace, **more), terminal_size=size, run_before=before)


@pytest.mark.parametrize("size", [SMALL, USUAL, LARGE], ids=["80x24", "120x36", "200x60"])
def test_the_first_screen(snap_compare: Compare, size: tuple[int, int]) -> None:
    take(snap_compare, online(FakeWorkspace()), size, after("4,872"))


@pytest.mark.parametrize("size", [SMALL, USUAL], ids=["80x24", "120x36"])
def test_an_empty_workspace(snap_compare: Compare, size: tuple[int, int]) -> None:
    take(snap_compare, FakeWorkspace(0), size, after("Claude Code", rows=False), importer=Scripted())


@pytest.mark.parametrize("size", [SMALL, USUAL], ids=["80x24", "120x36"])
def test_the_teams_runs(snap_compare: Compare, size: tuple[int, int]) -> None:
    workspace = online(FakeWorkspace(7))
    workspace.team = FakeStore([summary(number) for number in range(40)])
    take(snap_compare, workspace, size, after("source: team", "T"))


def test_offline_with_a_backlog(snap_compare: Compare) -> None:
    workspace = FakeWorkspace()
    workspace.outbox.figures = OutboxStats(pending=48, oldest_pending_at=NOW.replace(hour=6))
    workspace.sync.figures = SyncStatus(state=SyncState.OFFLINE, next_attempt_at=NOW.replace(second=59))
    take(snap_compare, workspace, USUAL, after("next try"))


def test_the_filter(snap_compare: Compare) -> None:
    take(snap_compare, FakeWorkspace(), SMALL, after("[○ Created]", "f", "space", "right", "right", "space"))


def test_a_search_without_a_match(snap_compare: Compare) -> None:
    take(snap_compare, FakeWorkspace(), SMALL, after("matches “zebra”", "slash", *"zebra", "enter"))


def test_the_import_asks_first(snap_compare: Compare) -> None:
    take(snap_compare, FakeWorkspace(), USUAL, after("Read the new ones?", "i"), importer=Scripted())


def test_the_day_theme(snap_compare: Compare) -> None:
    async def day(pilot: Pilot[int]) -> None:
        await after("4,872")(pilot)
        pilot.app.theme = "acode-day"
        await still(pilot)

    take(snap_compare, online(FakeWorkspace()), USUAL, day)
