"""The retries and conflicts screens."""

from datetime import timedelta
from functools import partial

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets._toast import Toast

from acode_tui.storage.ports import OutboxStats
from acode_tui.tui.records.conflicts import ConflictsScreen
from acode_tui.tui.records.retries import RetriesScreen
from acode_tui.tui.run.screen import SessionScreen
from acode_tui.tui.state import RunAs
from acode_tui.tui.widgets.keyed_table import KeyedTable
from tests.tui.driving import is_enabled, over, shown, toasts, until, until_listed
from tests.tui.fake import NOW, FakeWorkspace, conflict, fake_id, record


async def test_refused_records_are_listed_with_the_error_of_the_server(fake_online: FakeWorkspace) -> None:
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
async def test_conflicts_show_both_versions_and_the_fields_that_differ(fake_online: FakeWorkspace) -> None:
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


async def test_versions_of_the_same_second_show_milliseconds(fake_online: FakeWorkspace) -> None:
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


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_a_toast_covers_neither_the_list_nor_the_versions(
    fake_online: FakeWorkspace, size: tuple[int, int]
) -> None:
    fake_online.conflicts.conflicts = [conflict(number) for number in range(40)]
    async with over(fake_online).run_test(size=size, notifications=True) as pilot:
        await until_listed(pilot)
        await pilot.press("c")
        await until(pilot, lambda: records(pilot).row_count == 40)
        table, screen = records(pilot), pilot.app.screen
        # The last row that is shown: the list gets smaller, and it must stay in it.
        for row in range(table.content_size.height - 1):
            table.move_cursor(row=row)
        await until(pilot, lambda: table.cursor_y == table.content_size.height - 1)
        pilot.app.notify("the local version wins now. " * 8, title="conflicts", markup=False)
        await until(pilot, lambda: [each for each in screen.query(Toast) if each.region])
        for toast in screen.query(Toast):
            for widget in (screen.query_one("#list"), screen.query_one("#detail")):
                assert not toast.region.overlaps(widget.region)
        await until(pilot, lambda: 0 < table.cursor_y < table.content_size.height)
        assert screen.query(Toast), "the row was in sight beside the toast"


async def test_empty_lists_say_why_they_are_empty(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        await pilot.press("r")
        await until(pilot, lambda: "Nothing was refused" in shown(pilot))
        await pilot.press("escape", "c")
        await until(pilot, lambda: "No two versions have met" in shown(pilot))


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
async def test_the_columns_of_a_list_follow_the_width_of_the_terminal(
    fake_online: FakeWorkspace, opens: str, last: str
) -> None:
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


async def test_relative_times_are_updated_without_a_read_and_the_scroll_stays(fake_online: FakeWorkspace) -> None:
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


def records(pilot: Pilot[int]) -> KeyedTable:
    return pilot.app.screen.query_one("#records", KeyedTable)


async def test_details_of_a_record_and_of_a_conflict_are_shown_and_copied(fake_online: FakeWorkspace) -> None:
    async with over(fake_online).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("r")
        await until(pilot, lambda: "refused  10 times" in shown(pilot))
        assert "never; given up 2026-03-14 12:03:31" in shown(pilot)
        await pilot.press("y")
        assert '"name": "Run the tests"' in pilot.app.clipboard
        await pilot.press("Y")
        assert pilot.app.clipboard == fake_id(3, 3)
        await pilot.press("j")
        await until(pilot, lambda: "next try 2026-03-14 12:05:09, in 00:38" in shown(pilot))
        await pilot.press("escape", "c")
        await until(pilot, lambda: "db.example.org:5432/runs  ✓ won" in shown(pilot))
        assert ", not reviewed" in shown(pilot)
        await pilot.press("Y")
        assert pilot.app.clipboard == fake_id(0, 3)
        await pilot.press("y")
        assert "Run all the tests" in pilot.app.clipboard


async def test_keys_that_need_a_row_are_dim_in_an_empty_list(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        await pilot.press("r")
        await until(pilot, lambda: "Nothing was refused" in shown(pilot))
        assert [is_enabled(pilot, key) for key in "rRdy"] == [False] * 4
        await pilot.press("r", "R", "d", "y", "escape", "c")
        await until(pilot, lambda: "No two versions have met" in shown(pilot))
        assert [is_enabled(pilot, key) for key in "voy"] == [False] * 3


@pytest.mark.parametrize("run_as", ["conversation", "tree"])
@pytest.mark.parametrize("opens", ["r", "c"])
async def test_enter_opens_the_run_that_a_record_is_about_at_the_place(
    fake_online: FakeWorkspace, opens: str, run_as: RunAs
) -> None:
    """The place is a step, which has no line of its own in a conversation: its first call is shown."""
    step, call = fake_id(1, 3), fake_id(1, 4)
    refused = msgspec.structs.replace(record(1), session_id=fake_id(0), entity_id=step)
    fake_online.outbox.records = [refused]
    fake_online.conflicts.conflicts = [msgspec.structs.replace(conflict(0), entity_id=step)]
    app = over(fake_online)
    app.state.run_as = run_as
    async with app.run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press(opens)
        await until(pilot, lambda: records(pilot).row_count)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, SessionScreen))
        wanted = call if run_as == "conversation" else step
        await until(pilot, lambda: (node := session(pilot).node) is not None and node.id == wanted)
        await pilot.press("escape")
        await until(pilot, lambda: records(pilot).row_count)


async def test_a_record_is_not_looked_for_among_the_teams_runs(fake_online: FakeWorkspace) -> None:
    fake_online.team = fake_online.store
    async with over(fake_online).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("T")
        await until(pilot, lambda: "source: team" in shown(pilot))
        await pilot.press("c")
        await until(pilot, lambda: records(pilot).row_count)
        await pilot.press("enter")
        await until(pilot, lambda: toasts(pilot))
        assert isinstance(pilot.app.screen, ConflictsScreen)


def session(pilot: Pilot[int]) -> SessionScreen:
    screen = pilot.app.screen
    assert isinstance(screen, SessionScreen)
    return screen
