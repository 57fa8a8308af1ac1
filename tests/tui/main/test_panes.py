"""The four panes and the header of the main screen."""

from datetime import datetime, timedelta
from functools import partial

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from acode_tui.storage.ports import OutboxStats, SchemaStatus
from acode_tui.sync.ports import SyncState, SyncStatus
from acode_tui.tui.layout import Layout
from acode_tui.tui.main.panes import BARS, OutboxPane, sparkline
from acode_tui.tui.main.screen import MainScreen
from acode_tui.tui.records.conflicts import ConflictsScreen
from acode_tui.tui.records.retries import RetriesScreen
from tests.tui.driving import main_screen, over, shown, until, until_listed
from tests.tui.fake import NOW, FakeWorkspace, conflict, online


@given(st.lists(st.integers(min_value=0, max_value=10**9)), st.integers(min_value=0, max_value=80))
def test_a_sparkline_has_a_bar_for_each_sample_and_its_highest_at_the_maximum(samples: list[int], width: int) -> None:
    bars = sparkline(samples, width)
    recent = samples[-width:] if width else []
    assert len(bars) == len(recent)
    for bar, sample in zip(bars, recent, strict=True):
        assert (bar == BARS[0]) == (sample == 0)
        if sample and sample == max(recent):
            assert bar == BARS[-1]


def _in_header(pilot: Pilot[int], word: str) -> bool:
    return word in shown(pilot).splitlines()[0]


def _newest_is(pilot: Pilot[int], pending: int) -> bool:
    return main_screen(pilot).dashboard.state.backlog.samples[-1] == pending


@pytest.mark.ac("AC-014")
@pytest.mark.ac("AC-051")
async def test_the_panes_show_the_state_of_schema_outbox_retries_and_conflicts(fake_online: FakeWorkspace) -> None:
    async with over(fake_online).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "4,872 pending" in shown(pilot))
        text = shown(pilot)
        for part in ("1.2.0", "oldest 3 h", "812 rec/s", "ETA 6 s", "2 retrying", "next in 00:38", "1 dead letter"):
            assert part in text
        for part in ("3 total", "1 new", "remote won", "4 min ago", "syncing", "last sync 4 s ago", "12:04:31"):
            assert part in text


async def test_the_header_names_every_state_of_the_worker(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        for state, word in (
            (SyncState.OFFLINE, "offline"),
            (SyncState.AUTH_FAILED, "auth failed"),
            (SyncState.SCHEMA_MISMATCH, "schema mismatch"),
            (SyncState.REMOTE_BEHIND, "remote behind"),
            (SyncState.PAUSED, "paused"),
            (SyncState.STANDBY, "standby"),
        ):
            fake.sync.figures = SyncStatus(state=state)
            await until(pilot, partial(_in_header, pilot, word))


async def test_an_offline_worker_shows_when_it_tries_again(fake: FakeWorkspace) -> None:
    fake.outbox.figures = OutboxStats(pending=12, oldest_pending_at=NOW - timedelta(minutes=5))
    fake.sync.figures = SyncStatus(state=SyncState.OFFLINE, next_attempt_at=NOW + timedelta(seconds=75))
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "next try 01:15" in shown(pilot))
        assert "oldest 5 min" in shown(pilot)


def _line(pilot: Pilot[int]) -> str:
    return shown(pilot).splitlines()[1].strip()


async def test_the_panes_are_one_line_until_one_has_something_to_say_or_a_key_opens_them(fake: FakeWorkspace) -> None:
    quiet = "Schema 1.2.0 ok  Outbox off  Retries 0  Conflicts 0"
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: _line(pilot) == quiet)
        await pilot.press("v")
        await until(pilot, lambda: "PostgreSQL is off" in shown(pilot))
        await pilot.press("v")
        await until(pilot, lambda: _line(pilot) == quiet)
        # The key was pressed twice, so they open by themselves again.
        fake.conflicts.conflicts = [conflict(0)]
        fake.version += 1
        await until(pilot, lambda: "◆ 1 new" in shown(pilot) and "remote won" in shown(pilot))
        await pilot.press("v")
        await until(pilot, lambda: _line(pilot) == quiet.replace("Conflicts 0", "Conflicts ◆ 1 new"))
    async with over(online(FakeWorkspace(1)), layout=Layout(panes_open=False)).run_test(size=(80, 24)) as pilot:
        line = "Schema 1.2.0 ok  Outbox 4,872 ↑ syncing  Retries 3 ✗ dead  Conflicts ◆ 1 new"
        await until(pilot, lambda: _line(pilot) == line)


@pytest.mark.ac("AC-014")
async def test_pending_migrations_are_in_the_schema_pane_and_in_the_plan(fake: FakeWorkspace) -> None:
    fake.schema_status = SchemaStatus(tier="sqlite", version="1.0.0", target="1.2.0", pending=("1.1.0", "1.2.0"))
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "2 due" in shown(pilot))
        await pilot.press("m")
        await until(pilot, lambda: "due: 1.2.0" in shown(pilot))
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, MainScreen)


@pytest.mark.ac("AC-014")
async def test_the_header_shows_different_schema_versions_of_both_tiers(fake_online: FakeWorkspace) -> None:
    fake_online.schema_status = SchemaStatus(tier="sqlite", version="1.1.0", target="1.2.0", pending=("1.2.0",))
    async with over(fake_online).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "schema 1.1.0 ≠ 1.2.0 (pg)" in shown(pilot))


async def test_the_conflicts_pane_shows_rows_kept_aside_and_a_clock_that_was_wrong(fake_online: FakeWorkspace) -> None:
    fake_online.conflicts.aside = 3
    async with over(fake_online).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "3 rows kept aside" in shown(pilot))
        figures = msgspec.structs.replace(fake_online.sync.figures, stamps_ahead_seconds=400 * 86400.0)
        fake_online.sync.figures = figures
        await until(pilot, lambda: "✗ clock" in shown(pilot) and "stamps 400 d ahead" in shown(pilot))


async def test_a_pane_opens_its_screen_by_click_and_by_key(fake_online: FakeWorkspace) -> None:
    async with over(fake_online).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.click("#retries")
        await until(pilot, lambda: isinstance(pilot.app.screen, RetriesScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
        main_screen(pilot).query_one("#conflicts").focus()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConflictsScreen))


async def test_a_growing_backlog_is_drawn(fake_online: FakeWorkspace) -> None:
    seconds = 0

    def passing() -> datetime:
        return NOW + timedelta(seconds=seconds)

    app = over(fake_online, wall=passing)
    async with app.run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        for step in range(1, 6):
            seconds = 2 * step
            fake_online.outbox.figures = msgspec.structs.replace(fake_online.outbox.figures, pending=100 * step)
            fake_online.version += 1
            await until(pilot, partial(_newest_is, pilot, 100 * step))
        drawn = list(dict.fromkeys(main_screen(pilot).dashboard.state.backlog.samples))
        assert drawn[1:] == [100, 200, 300, 400, 500]


async def test_a_long_reason_is_whole_in_the_tooltip_and_above_the_retries(fake: FakeWorkspace) -> None:
    target = "db-17.platform.example.org:5432/team_runs"
    fake.outbox.figures = OutboxStats(pending=12, oldest_pending_at=NOW)
    fake.sync.figures = SyncStatus(
        state=SyncState.OFFLINE,
        target=target,
        reason=f"{target} refuses connections",
        hint="check that PostgreSQL is running there",
    )
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "refuses connections" in shown(pilot))
        assert str(pilot.app.screen.query_one(OutboxPane).tooltip).startswith(f"○ offline  {target} refuses")
        await pilot.press("r")
        await until(pilot, lambda: "check that PostgreSQL is running there" in shown(pilot))
        assert f"○ offline  {target} refuses connections; check" in shown(pilot)
        fake.sync.figures = SyncStatus(state=SyncState.IDLE, target=target)
        await until(pilot, lambda: "offline" not in shown(pilot))


async def test_a_worker_that_connects_shows_no_rate(fake: FakeWorkspace) -> None:
    fake.sync.figures = SyncStatus(state=SyncState.CONNECTING, target="db.example.org:5432/runs")
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "to db.example.org" in shown(pilot))
        assert "everything is sent" not in shown(pilot)


async def test_a_due_retry_reads_due_now(fake_online: FakeWorkspace) -> None:
    async with over(fake_online, wall=lambda: NOW + timedelta(minutes=1)).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "due now" in shown(pilot))
        await pilot.press("r", "j")
        await until(pilot, lambda: ", due now" in shown(pilot))
        assert "in now" not in shown(pilot)
