"""The counts in the chips: up to date, exact or left out, and as short as the width requires."""

import msgspec
import pytest

from acode_tui.domain.states import SessionState
from acode_tui.tui.main.sessions_chips import StateChips
from acode_tui.tui.paging import SessionPager
from acode_tui.tui.state import BrowserState
from tests.tui.driving import over, shown, until, until_listed
from tests.tui.fake import FakeStore, FakeWorkspace, summary


def chips(**counts: int) -> StateChips:
    browser = BrowserState(SessionPager(50))
    known = dict.fromkeys(SessionState, 0)
    browser.counts = known | {SessionState(name): count for name, count in counts.items()} if counts else None
    return StateChips(browser)


def text_of(widget: StateChips, width: int) -> str:
    return "".join(widget._texts(width))


def test_counts_are_shortened_and_words_left_out_before_a_chip_is_cut() -> None:
    some = chips(Executing=3, Paused=12, Completed=81_204)
    assert text_of(some, 180) == (
        "[all 81,219] ○ Created 0  ◌ Planning 0  ◆ Approval 0  ● Executing 3  ‖ Paused 12  ✓ Completed 81,204"
        "  ✗ Failed 0  ⊘ Cancelled 0 "
    )
    assert text_of(some, 116) == (
        "[all 81,219] ○ 0  ◌ 0  ◆ 0  ● Executing 3  ‖ Paused 12  ✓ Completed 81,204  ✗ 0  ⊘ 0 "
    )
    assert text_of(some, 76) == "[all 81,219] ○ 0  ◌ 0  ◆ 0  ● 3  ‖ 12  ✓ 81,204  ✗ 0  ⊘ 0 "
    some._browser.states = frozenset({SessionState.COMPLETED})
    assert text_of(some, 76) == " all 81,219  ○ 0  ◌ 0  ◆ 0  ● 3  ‖ 12 [✓ Completed 81,204] ✗ 0  ⊘ 0 "


@pytest.mark.parametrize("width", [40, 60, 76, 96, 116, 196])
@pytest.mark.parametrize("count", [0, 7, 1_200, 1_400_000])
def test_every_chip_fits_with_any_counts(width: int, count: int) -> None:
    many = chips(**{state.value: count for state in SessionState})
    assert len(text_of(many, width)) <= width
    assert len(text_of(chips(), width)) <= width
    if width >= 76:
        assert any(char.isdigit() for char in text_of(many, width))


async def test_counts_follow_other_processes_and_a_search_hides_them(
    fake: FakeWorkspace,
) -> None:
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        await until(pilot, lambda: "[all 120] ○ 13  ◌ 13  ◆ 14  ● 14  ‖ 13  ✓ 27  ✗ 13  ⊘ 13 " in shown(pilot))
        fake.store.sessions[0] = msgspec.structs.replace(fake.store.sessions[0], state=SessionState.FAILED)
        fake.version += 1
        await until(pilot, lambda: "✗ 14" in shown(pilot))
        await pilot.press("slash", *"memory")
        await until(pilot, lambda: "[all]" in shown(pilot) and " 27 " not in shown(pilot).split("[all]")[1][:70])
        await pilot.press("escape")
        await until(pilot, lambda: "[all 120]" in shown(pilot))


async def test_the_teams_runs_have_their_own_counts(fake: FakeWorkspace) -> None:
    fake.team = FakeStore([summary(number) for number in range(8)])
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("T")
        await until(pilot, lambda: "source: team" in shown(pilot) and "[all 8]" in shown(pilot))
        await pilot.press("T")
        await until(pilot, lambda: "[all 120]" in shown(pilot))
