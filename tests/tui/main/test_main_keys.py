"""The main screen by keyboard and mouse: pages, jump, chips, order, headings, panes, mouse."""

from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from acode_tui.config import TuiSettings
from acode_tui.domain.errors import DatabaseConnectionError, DiskFullError
from acode_tui.domain.states import STATE_ORDER, SessionState
from acode_tui.storage.ports import OutboxStats, SchemaStatus
from acode_tui.sync.ports import SyncState, SyncStatus
from acode_tui.tui.layout import Layout
from acode_tui.tui.main import overview
from acode_tui.tui.main.pane import Pane
from acode_tui.tui.main.screen import MainScreen
from acode_tui.tui.main.sessions_chips import StateChips
from acode_tui.tui.state import DiskSpace
from acode_tui.tui.widgets.keyed_table import KeyedTable
from tests.tui.driving import (
    SETTINGS,
    browser,
    main_screen,
    over,
    sessions,
    shown,
    toasts,
    until,
    until_listed,
    with_page_size,
)
from tests.tui.fake import NOW, FakeWorkspace, conflict, fake_id

USUAL = (120, 36)


async def test_home_and_end_go_to_the_first_and_last_page_then_to_its_first_and_last_row(fake: FakeWorkspace) -> None:
    async with over(fake, settings=with_page_size(50)).run_test(size=USUAL) as pilot:
        table = await until_listed(pilot)
        await pilot.press("end")
        await until(pilot, lambda: table.row_keys[-1] == fake_id(119))
        assert table.row_count == 20
        assert table.cursor_row == 19
        assert "page 3 of 3" in shown(pilot)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: table.row_keys[0] == fake_id(50))
        assert "page 2 of 3" in shown(pilot)
        await pilot.press("right_curly_bracket")
        await until(pilot, lambda: table.row_count == 20)
        await pilot.press("g", "end")
        assert table.cursor_row == 19
        await pilot.press("home")
        await until(pilot, lambda: table.row_keys[0] == fake_id(0))
        await pilot.press("G", "home")
        assert (table.cursor_row, table.row_count) == (0, 50)
        assert "page 1 of 3" in shown(pilot)


async def test_a_jump_finds_a_session_by_the_beginning_of_its_id_and_clears_a_filter_that_hides_it(
    fake: FakeWorkspace,
) -> None:
    async with over(fake, settings=with_page_size(10)).run_test(size=USUAL) as pilot:
        table = await until_listed(pilot)
        await pilot.press("number_sign", *fake_id(4)[:13], "enter")
        await until(pilot, lambda: table.cursor_key == fake_id(4))
        assert table.row_keys[0] == fake_id(0)
        await pilot.press("slash", *"memory", "enter")
        await until(pilot, lambda: table.row_keys[0] == fake_id(8))
        await pilot.press("number_sign", *fake_id(77)[:13], "enter")
        await until(pilot, lambda: table.cursor_key == fake_id(77))
        assert table.has_focus
        assert ("jump", "search and filter were cleared to show it") in toasts(pilot)
        await until(pilot, lambda: "120 sessions · page 8 of 12" in shown(pilot))
        assert table.row_keys == [fake_id(number) for number in range(70, 80)], "the page that paging would show"
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: table.row_keys[-1] == fake_id(69) and "page 7 of 12" in shown(pilot))
        await pilot.press("number_sign", *fake_id(3)[:13], "enter")
        await until(pilot, lambda: table.cursor_key == fake_id(3) and "page 1 of 12" in shown(pilot))


async def test_a_page_whose_number_is_expensive_to_count_has_none(fake: FakeWorkspace) -> None:
    fake.store.counting_is_expensive = True
    async with over(fake, settings=with_page_size(10)).run_test(size=USUAL) as pilot:
        table = await until_listed(pilot)
        await pilot.press("number_sign", *fake_id(77)[:13], "enter")
        await until(pilot, lambda: table.row_keys[0] == table.cursor_key == fake_id(77))
        await until(pilot, lambda: "120 sessions · from here on" in shown(pilot))
        await pilot.press("home")
        await until(pilot, lambda: "page 1 of 12" in shown(pilot))


async def test_an_unknown_or_ambiguous_id_is_reported_and_moves_nothing(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=USUAL) as pilot:
        table = await until_listed(pilot)
        before = table.row_keys
        await pilot.press("number_sign", *"ffff", "enter")
        await until(pilot, lambda: len(toasts(pilot)) == 1)
        await pilot.press("escape", "number_sign", *"0190", "enter")
        await until(pilot, lambda: len(toasts(pilot)) == 2)
        assert "120 ids begin with 0190\ntype more of it" in toasts(pilot)[1][1]
        await pilot.press("escape")
        assert table.has_focus
        assert table.row_keys == before


async def test_chips_switch_states_by_key_and_by_click(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=USUAL) as pilot:
        table = await until_listed(pilot)
        model = main_screen(pilot).browser
        await pilot.press("f", "space", "right", "right", "space")
        await until(pilot, lambda: model.states == {SessionState.CREATED, SessionState.AWAITING_APPROVAL})
        await until(pilot, lambda: "[○ Created 13]" in shown(pilot) and "[◆ Approval 14]" in shown(pilot))
        await pilot.press("h", "a")
        await until(pilot, lambda: not model.states and "[all 120]" in shown(pilot))
        await pilot.press("escape")
        assert table.has_focus
        line = next(text for text in shown(pilot).splitlines() if "✗ 13" in text)
        y = shown(pilot).splitlines().index(line)
        await pilot.click(offset=(line.index("✗ 13"), y))
        await until(pilot, lambda: model.states == {SessionState.FAILED} and "[✗ Failed 13]" in shown(pilot))
        await pilot.resize_terminal(160, 40)
        await until(pilot, lambda: "[✗ Failed 13]" in shown(pilot) and "○ Created 13" in shown(pilot))
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "[✗ Failed 13]" in shown(pilot) and "○ Created" not in shown(pilot))
        pilot.app.query_one(StateChips).focus()
        await pilot.press("escape", "escape")
        await until(pilot, lambda: not model.states)


async def test_order_and_headings_change_with_a_key_and_are_saved(fake: FakeWorkspace) -> None:
    kept: list[Layout] = []
    async with over(fake, save_layout=kept.append).run_test(size=USUAL) as pilot:
        table = await until_listed(pilot)
        await until(pilot, lambda: " Today ─" in shown(pilot))
        await pilot.press("d", "d", "O", "O")
        await until(pilot, lambda: " Approval ─" in shown(pilot) and "order: state" in shown(pilot))
        first = [fake_id(number) for number in range(120) if number % 9 == 1]
        assert table.row_keys[: len(first)] == first
        await pilot.press(*"OOOOOO", "d", "v", "M")
        await until(pilot, lambda: main_screen(pilot).query_one("#panes").size.height > 1)
        assert " Today ─" not in shown(pilot)
        assert kept[-1] == Layout(sort="updated", grouped=False, panes_open=True, mouse=False)
        assert [layout.sort for layout in kept[2:4]] == ["created", "state"]
    again = over(fake, layout=Layout(sort="state", grouped=True, panes_open=True))
    async with again.run_test(size=USUAL) as pilot:
        table = await until_listed(pilot)
        assert table.row_keys[0] == fake_id(1)
        assert SessionState.AWAITING_APPROVAL is STATE_ORDER[0]
        assert main_screen(pilot).query_one("#panes").size.height > 1


async def test_a_tiny_terminal_shows_the_list_alone_and_keys_go_to_it(fake_online: FakeWorkspace) -> None:
    async with over(fake_online).run_test(size=(80, 24)) as pilot:
        table = await until_listed(pilot)
        await pilot.press("shift+tab", "shift+tab")
        assert isinstance(pilot.app.focused, Pane)
        await pilot.resize_terminal(40, 10)
        await until(pilot, lambda: table.has_focus and table.size.height > 4)
        assert not main_screen(pilot).query_one("#panes").display
        await pilot.press("j", "v", "v")
        assert table.cursor_row == 1
        assert ("panes", "the panes need a terminal of at least 16 rows") in toasts(pilot)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: main_screen(pilot).query_one("#panes").display)
        await pilot.press("v")
        await until(pilot, lambda: main_screen(pilot).query_one("#panes").size.height == 1)


async def test_the_title_of_a_narrow_pane_keeps_its_sign(fake_online: FakeWorkspace) -> None:
    async with over(fake_online).run_test(size=(60, 20)) as pilot:
        await until(pilot, lambda: "✗ Retries" in shown(pilot))
        assert "◆ Confl" in shown(pilot)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "Retries  ✗" in shown(pilot))


async def test_the_cursor_is_never_on_a_heading_and_a_click_on_one_does_nothing(fake: FakeWorkspace) -> None:
    async with over(fake, layout=Layout(sort="state", grouped=True)).run_test(size=USUAL) as pilot:
        table = await until_listed(pilot)
        await until(pilot, lambda: " Executing ─" in shown(pilot))
        lines = shown(pilot).splitlines()
        heading = next(y for y, line in enumerate(lines) if " Executing ─" in line)
        await pilot.click(offset=(20, heading))
        assert table.cursor_row == 0
        assert pilot.app.screen is main_screen(pilot)
        await pilot.click(offset=(20, heading - 1))
        above = table.cursor_row
        await pilot.press("j")
        assert table.cursor_row == above + 1
        assert "● Executing" in _line(pilot, table)
        await pilot.press("G", "g")
        assert table.scroll_y == 0


def _line(pilot: Pilot[int], table: KeyedTable) -> str:
    """The text of the cursor's line."""
    at = table._line_of[table.cursor_row] - round(table.scroll_y) + 1
    return shown(pilot).splitlines()[table.region.y + at]


async def test_rows_keep_their_order_while_the_user_moves_the_cursor_or_the_mouse(
    fake: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KeyedTable, "HOLD_SECONDS", 3_600.0)
    async with over(fake).run_test(size=USUAL) as pilot:
        table = await until_listed(pilot)
        await pilot.press("j")
        before = table.row_keys
        moved = msgspec.structs.replace(fake.store.sessions[7], task_description="touched just now", updated_at=NOW)
        fake.store.sessions = [moved, *fake.store.sessions[:7], *fake.store.sessions[8:]]
        fake.version += 1
        await until(pilot, lambda: "touched just now" in shown(pilot))
        assert table.row_keys == before
        assert table.cursor_key == fake_id(1)
        table._release_rows()
        assert table.row_keys[0] == moved.id
        assert table.cursor_key == fake_id(1)


async def test_problems_of_the_keymap_are_reported(fake: FakeWorkspace) -> None:
    keymap = {"snyc": "f5", "filter": "f6", "group": "s"}
    settings = msgspec.structs.replace(SETTINGS, tui=TuiSettings(refresh_seconds=0.1, keymap=keymap))
    async with over(fake, settings=settings).run_test(size=USUAL) as pilot:
        await until_listed(pilot)
        messages = [message for title, message in toasts(pilot) if title == "keys"]
        assert "tui.keymap: no key has the id 'snyc'; did you mean 'sync'?" in messages
        assert "tui.keymap: 's' is 'group' now, and no longer 'sync'" in messages
        await pilot.press("f6")
        assert browser(pilot).choosing


@pytest.mark.parametrize(
    ("state", "look", "label"),
    [
        (SyncState.IDLE, "quiet", "✓ empty"),
        (SyncState.SYNCING, "busy", "↑ syncing"),
        (SyncState.AUTH_FAILED, "bad", "✗ auth failed"),
    ],
)
async def test_the_outbox_is_quiet_busy_or_bad(fake: FakeWorkspace, state: SyncState, look: str, label: str) -> None:
    fake.sync.figures = SyncStatus(state=state)
    async with over(fake).run_test(size=USUAL) as pilot:
        await until(pilot, lambda: label in shown(pilot))
        assert _looks(pilot)["outbox"] == look


async def test_a_worker_that_is_switched_off_is_not_shown_as_postgres_off(fake: FakeWorkspace) -> None:
    fake.sync.figures = SyncStatus(state=SyncState.DISABLED, target="db.example.org:5432/runs")
    async with over(fake).run_test(size=USUAL) as pilot:
        await until(pilot, lambda: "worker off" in shown(pilot))
        assert "persistence.sync.enabled" in shown(pilot)
        assert "persistence.postgres.enabled" not in shown(pilot)


async def test_every_pane_shows_a_bad_status_in_colour_and_text(
    fake: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.schema_status = SchemaStatus(tier="sqlite", version="1.2.0", target="1.2.0")
    fake.sync.figures = SyncStatus(
        state=SyncState.SCHEMA_MISMATCH,
        reason="the team's schema is 9.0.0",
        schema_version="9.0.0",
        target_schema_version="1.2.0",
        clock_offset_ms=-4_000,
        holder="laptop (headless)",
    )
    fake.outbox.figures = OutboxStats(pending=3, failed=2)
    fake.conflicts.conflicts = [conflict(0)]
    monkeypatch.setattr(overview, "_disk_space", lambda workspace: DiskSpace(free=12_000_000, total=10**12))
    async with over(fake).run_test(size=(160, 48)) as pilot:
        await until(pilot, lambda: "✗ newer" in shown(pilot))
        text = shown(pilot)
        for part in ("schema mismatch", "✗ dead", "✗ clocks", "clocks 4.0 s apart", "disk full: 12.0 MB left"):
            assert part in text, part
        assert "pg is newer: update acode-tui" in text
        assert "laptop (headless)" in text
        assert set(_looks(pilot).values()) == {"bad"}


def _looks(pilot: Pilot[int]) -> dict[str, str]:
    panes = main_screen(pilot).query(Pane)
    return {
        pane.id or "": next(look for look in ("quiet", "busy", "bad") if pane.has_class(f"-{look}")) for pane in panes
    }


async def test_the_schema_pane_shows_that_a_newer_program_has_migrated_the_file(fake: FakeWorkspace) -> None:
    async def newer() -> Any:
        raise DatabaseConnectionError("the database has schema 9.0.0; this program knows 1.2.0 at most")

    fake.schema = newer  # type: ignore[method-assign]
    async with over(fake).run_test(size=USUAL) as pilot:
        await until_listed(pilot)
        await until(pilot, lambda: "✗ unusable" in shown(pilot))


async def test_the_frame_shows_a_failing_store_until_it_can_be_read_again(fake: FakeWorkspace) -> None:
    working = fake.data_version

    async def failing() -> int:
        raise DatabaseConnectionError("cannot read the file: disk I/O error")

    async with over(fake).run_test(size=USUAL) as pilot:
        table = await until_listed(pilot)
        before = table.row_keys
        fake.data_version = failing  # type: ignore[method-assign]
        await until(pilot, lambda: "ACODE-DB-001 the store cannot be read" in shown(pilot))
        assert "✗ ACODE-DB-001: cannot read the file: disk I/O error" in shown(pilot)
        assert table.row_keys == before
        fake.data_version = working  # type: ignore[method-assign]
        await until(pilot, lambda: "the store cannot be read" not in shown(pilot) and "120 sessions" in shown(pilot))


async def test_the_outbox_pane_shows_a_worker_that_cannot_write(fake: FakeWorkspace) -> None:
    fake.sync.figures = SyncStatus(state=SyncState.IDLE, reason="the disk is full")
    async with over(fake).run_test(size=USUAL) as pilot:
        await until(pilot, lambda: "✗ cannot write" in shown(pilot) and "the disk is full" in shown(pilot))
        fake.sync.figures = SyncStatus(state=SyncState.IDLE)
        await until(pilot, lambda: "✓ empty" in shown(pilot))


async def test_the_frame_shows_a_full_disk_until_there_is_space(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=USUAL) as pilot:
        await until_listed(pilot)
        fake.failing_write = DiskFullError("the disk under /home/ada is full")
        await until(pilot, lambda: "nothing can be written" in shown(pilot).splitlines()[0])
        await until(pilot, lambda: "the disk under /home/ada is full  ·  tried again by itself" in shown(pilot))
        assert "✗ cannot write" in shown(pilot)
        fake.failing_write = None
        await until(pilot, lambda: "cannot write" not in shown(pilot) and "120 sessions" in shown(pilot))


async def test_a_store_that_was_never_read_has_a_notice_in_place_of_the_list(fake: FakeWorkspace) -> None:
    async def failing() -> int:
        raise DatabaseConnectionError("cannot read the file", hint="free some space")

    working, fake.data_version = fake.data_version, failing  # type: ignore[method-assign]
    async with over(fake).run_test(size=USUAL) as pilot:
        await until(pilot, lambda: "The workspace cannot be read" in shown(pilot) and "free some space" in shown(pilot))
        fake.data_version = working  # type: ignore[method-assign]
        await until_listed(pilot)


async def test_every_key_of_the_main_screen_opens_its_screen(fake_online: FakeWorkspace) -> None:
    async with over(fake_online).run_test(size=USUAL) as pilot:
        await until_listed(pilot)
        for key in ("r", "c", "l", "m", "o", "h", "b", "i", "question_mark"):
            await pilot.press(key)
            await until(pilot, lambda: not isinstance(pilot.app.screen, MainScreen))
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
        await pilot.press("s")
        await until(pilot, lambda: fake_online.sync.syncs == 1)
        await pilot.press("p")
        await until(pilot, lambda: fake_online.sync.paused == 1)
        await until(pilot, lambda: "paused" in shown(pilot).splitlines()[0])
        await pilot.press("p")
        await until(pilot, lambda: fake_online.sync.resumed == 1)
        table = sessions(pilot)
        table.focus()
        for key, row in (("j", 1), ("down", 2), ("k", 1), ("up", 0), ("G", 49), ("g", 0)):
            await pilot.press(key)
            assert table.cursor_row == row, key
        for key, back in (("ctrl+d", "ctrl+u"), ("pagedown", "pageup")):
            await pilot.press(key)
            assert table.cursor_row > 5, key
            await pilot.press(back)
            assert table.cursor_row == 0, back
