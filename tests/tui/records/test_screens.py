"""Panes and screens of the sync: retries, conflicts, pause, sync now, and faults as toasts."""

from datetime import datetime, timedelta
from functools import partial

import msgspec
import pytest
from textual.pilot import Pilot

from acode_tui.config import Settings
from acode_tui.config.settings import PersistenceSettings, PostgresSettings
from acode_tui.domain.errors import DatabaseConnectionError, TransactionError
from acode_tui.storage.ports import OutboxStats, SchemaStatus, TierMigrations
from acode_tui.sync.ports import SyncState, SyncStatus
from acode_tui.tui.main.panes import OutboxPane
from acode_tui.tui.main.screen import MainScreen
from acode_tui.tui.records.conflicts import ConflictsScreen
from acode_tui.tui.records.retries import RetriesScreen
from acode_tui.tui.widgets.keyed_table import KeyedTable
from tests.tui.driving import main_screen, over, shown, toasts, until, until_listed
from tests.tui.fake import NOW, FakeWorkspace, conflict, record


@pytest.mark.ac("AC-014")
@pytest.mark.ac("AC-051")
async def test_the_panes_say_everything_at_a_glance(fake_online: FakeWorkspace) -> None:
    async with over(fake_online).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "4,872 pending" in shown(pilot))
        text = shown(pilot)
        for said in ("1.2.0", "oldest 3 h", "812 rec/s", "ETA 6 s", "2 retrying", "next in 00:38", "1 dead letter"):
            assert said in text
        for said in ("3 total", "1 new", "remote won", "4 min ago", "syncing", "last sync 4 s ago", "12:04:31"):
            assert said in text


async def test_every_state_of_the_worker_has_a_name_in_the_header(fake: FakeWorkspace) -> None:
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


async def test_offline_says_when_it_tries_again(fake: FakeWorkspace) -> None:
    fake.outbox.figures = OutboxStats(pending=12, oldest_pending_at=NOW - timedelta(minutes=5))
    fake.sync.figures = SyncStatus(state=SyncState.OFFLINE, next_attempt_at=NOW + timedelta(seconds=75))
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "next try 01:15" in shown(pilot))
        assert "oldest 5 min" in shown(pilot)


async def test_pending_migrations_stand_in_the_schema_pane_and_its_plan(fake: FakeWorkspace) -> None:
    fake.schema_status = SchemaStatus(tier="sqlite", version="1.0.0", target="1.2.0", pending=("1.1.0", "1.2.0"))
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "2 due" in shown(pilot))
        await pilot.press("m")
        await until(pilot, lambda: "due: 1.2.0" in shown(pilot))
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, MainScreen)


async def test_a_workspace_that_is_behind_is_not_called_equal_to_the_server(fake_online: FakeWorkspace) -> None:
    fake_online.schema_status = SchemaStatus(tier="sqlite", version="1.1.0", target="1.2.0", pending=("1.2.0",))
    async with over(fake_online).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "schema 1.1.0 ≠ 1.2.0 (pg)" in shown(pilot))


async def test_retries_are_listed_with_what_the_server_said(fake_online: FakeWorkspace) -> None:
    async with over(fake_online).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("r")
        await until(pilot, lambda: "22P02: invalid text [/red]" in shown(pilot))
        assert "dead letter" in shown(pilot)
        await pilot.press("j", "r")
        await until(pilot, lambda: fake_online.outbox.retried == [[1]])
        await pilot.press("R")
        await until(pilot, lambda: fake_online.outbox.retried == [[1], None])


async def test_discarding_asks_first_and_no_is_the_default(fake_online: FakeWorkspace) -> None:
    async with over(fake_online).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("r")
        await until(pilot, lambda: "22P02" in shown(pilot))
        await pilot.press("d", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, RetriesScreen))
        assert fake_online.outbox.discarded == []
        await pilot.press("d", "y")
        await until(pilot, lambda: fake_online.outbox.discarded == [[3]])


async def test_only_dead_letters_can_be_discarded(fake_online: FakeWorkspace) -> None:
    async with over(fake_online).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("r")
        await until(pilot, lambda: "22P02" in shown(pilot))
        await pilot.press("j", "d")
        await until(pilot, lambda: toasts(pilot))
        assert "Only a dead letter" in toasts(pilot)[0][1]
        assert isinstance(pilot.app.screen, RetriesScreen)


@pytest.mark.ac("AC-052")
async def test_conflicts_show_both_versions_and_what_differs(fake_online: FakeWorkspace) -> None:
    async with over(fake_online).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("c")
        await until(pilot, lambda: "Run all the tests" in shown(pilot))
        text = shown(pilot)
        assert "InProgress" in text
        assert "Completed" in text
        assert "11:55:31" in text
        assert "11:58:31" in text
        await pilot.press("v")
        await until(pilot, lambda: "0 not reviewed" in shown(pilot))
        await pilot.press("u")
        await until(pilot, lambda: "Nothing is left to review" in shown(pilot))


async def test_versions_of_one_second_are_told_apart_by_their_milliseconds(fake_online: FakeWorkspace) -> None:
    met = conflict(0)
    close = met.local_updated_at + timedelta(milliseconds=85)
    fake_online.conflicts.conflicts = [msgspec.structs.replace(met, remote_updated_at=close)]
    async with over(fake_online).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("c")
        await until(pilot, lambda: "11:55:31.085" in shown(pilot))
        assert "11:55:31.000" in shown(pilot)


async def test_taking_the_other_version_asks_first(fake_online: FakeWorkspace) -> None:
    async with over(fake_online).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("c")
        await until(pilot, lambda: "Run all the tests" in shown(pilot))
        await pilot.press("o", "y")
        await until(pilot, lambda: ("conflicts", "the local version wins now") in toasts(pilot))
        assert isinstance(pilot.app.screen, ConflictsScreen)


async def test_pause_and_resume_are_one_key(fake_online: FakeWorkspace) -> None:
    async with over(fake_online).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("p")
        await until(pilot, lambda: fake_online.sync.paused == 1 and "paused" in shown(pilot))
        await pilot.press("p")
        await until(pilot, lambda: fake_online.sync.resumed == 1)


async def test_sync_now_reports_what_it_did(fake_online: FakeWorkspace) -> None:
    async with over(fake_online).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("s")
        await until(pilot, lambda: ("sync", "47 sent, 0 remain") in toasts(pilot))


async def test_a_fault_is_a_toast_with_its_code_and_hostile_text_in_it_is_text(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36), notifications=True) as pilot:
        await until_listed(pilot)
        await pilot.press("s")
        await until(pilot, lambda: toasts(pilot))
        assert toasts(pilot) == [("ACODE-DB-005", "sync is off [/foo]\nenable persistence.postgres")]
        await until(pilot, lambda: "sync is off [/foo]" in shown(pilot))
        assert pilot.app.is_running


async def test_a_failing_read_is_told_once_and_reading_goes_on(fake: FakeWorkspace) -> None:
    working = fake.data_version

    async def failing() -> int:
        raise TransactionError("the disk is gone")

    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        fake.data_version = failing  # type: ignore[method-assign]
        await until(pilot, lambda: toasts(pilot))
        for _ in range(30):
            await pilot.pause(0.02)
        assert len(toasts(pilot)) == 1
        fake.data_version = working  # type: ignore[method-assign]
        fake.store.sessions = fake.store.sessions[:3]
        await until(pilot, lambda: main_screen(pilot).browser.pages.total == 3)


async def test_an_unforeseen_fault_in_a_worker_does_not_end_the_dashboard(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)

        async def broken(*_: object, **__: object) -> None:
            raise RuntimeError("nobody foresaw [/this]")

        fake.store.list = broken  # type: ignore[assignment]
        fake.version += 1
        await until(pilot, lambda: toasts(pilot))
        assert toasts(pilot)[0] == ("RuntimeError", "nobody foresaw [/this]")
        assert pilot.app.is_running


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


async def test_empty_screens_say_why_and_what_would_be_there(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        await pilot.press("r")
        await until(pilot, lambda: "Nothing was refused" in shown(pilot))
        await pilot.press("escape", "c")
        await until(pilot, lambda: "No two versions have met" in shown(pilot))


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


def _in_header(pilot: Pilot[int], word: str) -> bool:
    return word in shown(pilot).splitlines()[0]


def _newest_is(pilot: Pilot[int], pending: int) -> bool:
    return main_screen(pilot).dashboard.state.backlog.samples[-1] == pending


async def test_the_plan_shows_both_tiers_and_says_what_was_done(fake: FakeWorkspace) -> None:
    fake.settings = syncing()
    fake.remote_plan = TierMigrations(
        tier="postgres", from_version="1.0.0", to_version="1.2.0", pending=("1.1.0", "1.2.0")
    )
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("m")
        await until(pilot, lambda: "due: 1.2.0" in shown(pilot))
        assert "sqlite    1.2.0 ✓" in shown(pilot)
        assert "postgres  1.0.0 → 1.2.0" in shown(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "postgres: 1.1.0, 1.2.0 applied" in shown(pilot))
        assert toasts(pilot) == []
        await pilot.press("escape", "m")
        await until(pilot, lambda: "Nothing is due" in shown(pilot))
        assert "postgres  1.2.0 ✓" in shown(pilot)


async def test_a_plan_of_a_server_out_of_reach_says_why_and_what_to_do(fake: FakeWorkspace) -> None:
    fake.settings = syncing()
    fake.remote_plan = DatabaseConnectionError("db.example.org:5432/runs refuses [/red]", hint="is it running?")
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("m")
        await until(pilot, lambda: "✗ db.example.org:5432/runs refuses [/red]" in shown(pilot))
        assert "is it running?" in shown(pilot)
        assert "sqlite    1.2.0 ✓" in shown(pilot)
        await pilot.press("enter")
        await pilot.pause()
        assert toasts(pilot) == []


async def test_a_plan_without_postgres_says_how_to_have_one(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("m")
        await until(pilot, lambda: "off; persistence.postgres.enabled turns it on" in shown(pilot))
        assert "Nothing is due" in shown(pilot)


async def test_every_refused_record_can_be_reached_page_by_page(fake: FakeWorkspace) -> None:
    fake.outbox.records = [record(number, dead=number <= 250) for number in range(1, 451)]
    fake.outbox.figures = OutboxStats(pending=200, retrying=200, failed=250)
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("r")
        await until(pilot, lambda: "page 1 of 3" in shown(pilot))
        assert "200 waiting, 250 dead letters" in shown(pilot)
        seen = records(pilot).row_keys
        await pilot.press("j", "j", "right_square_bracket")
        await until(pilot, lambda: "page 2 of 3" in shown(pilot))
        assert records(pilot).cursor_row == 0
        seen += records(pilot).row_keys
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "page 3 of 3" in shown(pilot))
        seen += records(pilot).row_keys
        assert seen == [str(number) for number in range(1, 451)]
        await pilot.press("right_square_bracket", "j")
        fake.version += 1
        await until(pilot, lambda: records(pilot).cursor_row == 1)
        assert "page 3 of 3" in shown(pilot)
        # The server takes what the last page held.
        fake.outbox.records = fake.outbox.records[:400]
        fake.version += 1
        await until(pilot, lambda: "page 2 of" in shown(pilot) and records(pilot).row_count == 200)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "page 1 of" in shown(pilot))


async def test_every_conflict_can_be_reached_page_by_page(fake: FakeWorkspace) -> None:
    fake.conflicts.conflicts = [conflict(number, reviewed=number % 2 == 0) for number in range(410)]
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        await pilot.press("c")
        await until(pilot, lambda: "page 1 of 3" in shown(pilot))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "page 2 of 3" in shown(pilot))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "page 3 of 3" in shown(pilot))
        assert records(pilot).row_keys == [each.id for each in fake.conflicts.conflicts[400:]]
        await pilot.press("u")
        await until(pilot, lambda: "page 1 of 2" in shown(pilot))
        assert "Not reviewed" in shown(pilot)


@pytest.mark.parametrize(("opens", "last"), [("r", "the server said"), ("c", "met")])
async def test_columns_of_a_list_follow_the_terminal(fake_online: FakeWorkspace, opens: str, last: str) -> None:
    async with over(fake_online).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press(opens)
        await until(pilot, lambda: records(pilot).row_count)
        for size in ((80, 24), (200, 60), (60, 15)):
            await pilot.resize_terminal(*size)
            await until(pilot, partial(_as_wide_as, pilot, size[0] - 2))
            assert last in shown(pilot)


def _as_wide_as(pilot: Pilot[int], width: int) -> bool:
    return records(pilot).virtual_size.width == width


async def test_what_is_told_from_now_is_told_anew_while_nothing_is_written(fake_online: FakeWorkspace) -> None:
    moment = [NOW]
    fake_online.outbox.records = [
        msgspec.structs.replace(each, payload=msgspec.Raw(msgspec.json.encode({f"line{n}": n for n in range(60)})))
        for each in fake_online.outbox.records
    ]
    async with over(fake_online, wall=lambda: moment[0]).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("r")
        await until(pilot, lambda: "00:38" in shown(pilot))
        await pilot.press("j", "tab", "G")
        panel = pilot.app.screen.query_one("#detail")
        await until(pilot, lambda: panel.scroll_y > 0)
        moment[0] += timedelta(seconds=8)
        await until(pilot, lambda: "00:30" in shown(pilot))
        assert panel.scroll_y == panel.max_scroll_y


async def test_a_long_reason_is_told_whole_where_the_pane_leads(fake: FakeWorkspace) -> None:
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


async def test_nothing_is_said_to_be_sent_before_the_server_is_reached(fake: FakeWorkspace) -> None:
    fake.sync.figures = SyncStatus(state=SyncState.CONNECTING, target="db.example.org:5432/runs")
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "to db.example.org" in shown(pilot))
        assert "everything is sent" not in shown(pilot)


async def test_what_is_due_is_due_now_and_not_in_now(fake_online: FakeWorkspace) -> None:
    async with over(fake_online, wall=lambda: NOW + timedelta(minutes=1)).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "due now" in shown(pilot))
        await pilot.press("r", "j")
        await until(pilot, lambda: ", due now" in shown(pilot))
        assert "in now" not in shown(pilot)


def records(pilot: Pilot[int]) -> KeyedTable:
    return pilot.app.screen.query_one("#records", KeyedTable)


def syncing() -> Settings:
    return Settings(persistence=PersistenceSettings(postgres=PostgresSettings(enabled=True)))
