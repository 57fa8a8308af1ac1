"""Two runs side by side."""

from itertools import pairwise
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.pilot import Pilot

from acode_tui.domain.display import cell_width
from acode_tui.domain.entities import SessionGraph
from acode_tui.tui.run.comparison import Action, compare_runs, compared_run, first_divergence
from acode_tui.tui.run.comparison_screen import ComparisonScreen
from acode_tui.tui.run.comparison_text import comparison_text
from acode_tui.tui.run.screen import SessionScreen
from tests.tui.driving import browser, over, sessions, shown, toasts, until, until_listed
from tests.tui.fake import NOW, FakeWorkspace, fake_id, graph
from tests.tui.hostile import hostile

actions = st.lists(st.builds(Action, st.sampled_from("ab"), st.sampled_from("xy"), st.just("id")), max_size=5)


@settings(max_examples=50)
@given(actions, actions)
def test_all_calls_before_the_first_divergence_are_the_same_and_the_one_at_it_is_not(
    one: list[Action], two: list[Action]
) -> None:
    at = first_divergence(one, two)
    assert at == first_divergence(two, one)
    same = one if at is None else one[:at]
    assert [each.what for each in same] == [each.what for each in two[: len(same)]]
    assert (at is None) == (one == two)
    if at is not None:
        assert [each.what for each in one[at : at + 1]] != [each.what for each in two[at : at + 1]]


def test_the_folder_of_a_run_is_no_difference() -> None:
    one = in_folder(graph(0), "/src/shop", "/src/shop/a.py")
    assert compare_runs(compared_run(one), compared_run(in_folder(one, "/tmp/wt", "/tmp/wt/a.py"))).divergence is None
    assert compare_runs(compared_run(one), compared_run(in_folder(one, "/tmp/wt", "/tmp/wt/b.py"))).divergence == 0


def in_folder(run: SessionGraph, folder: str, path: str) -> SessionGraph:
    """The run, begun in a folder, with another file read by its first call."""
    (task, *tasks), metadata = run.tasks, {"cwd": folder}
    step = task.steps[0]
    call = msgspec.structs.replace(step.tool_calls[0], parameters={"file_path": path})
    step = msgspec.structs.replace(step, tool_calls=(call, *step.tool_calls[1:]))
    task = msgspec.structs.replace(task, steps=(step, *task.steps[1:]))
    return msgspec.structs.replace(run, tasks=(task, *tasks), metadata=metadata)


@pytest.mark.parametrize("width", [40, 76, 196])
def test_hostile_runs_take_two_columns_of_the_width(width: int, tmp_path: object) -> None:
    store = hostile(FakeWorkspace().root, Random(7)).store
    runs = [compared_run(store.graphs[fake_id(number)]) for number in range(8)]
    for one, two in pairwise(runs):
        text = comparison_text(compare_runs(one, two), 1, NOW, width).plain
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert max(map(cell_width, text.split("\n"))) <= width


async def test_marked_runs_are_compared_and_enter_opens_the_chosen_one_where_they_differ(fake: FakeWorkspace) -> None:
    fake.prices = {fake_id(0): 1.5, fake_id(2): None}
    second = graph(2)
    fake.store.graphs[fake_id(2)] = in_folder(second, "/x", "/x/other.ts")
    async with over(fake).run_test(size=(80, 24)) as pilot:
        table = await until_listed(pilot)
        await pilot.press("equals_sign")
        assert toasts(pilot)[-1] == ("compare", "space marks a run; mark two of them")
        for key in ("j", "space", "k", "space"):
            await pilot.press(key)
        assert marked(pilot) == (fake_id(1), fake_id(0))
        await pilot.press("j", "j", "space")
        assert marked(pilot) == (fake_id(0), fake_id(2)), "the third takes the place of the first"
        await until(pilot, lambda: "[2] " in shown(pilot) and "2 marked" in shown(pilot))
        await pilot.press("equals_sign")
        await until(pilot, lambda: "$1.50" in shown(pilot))
        assert isinstance(pilot.app.screen, ComparisonScreen)
        assert "▸ [1]" in shown(pilot)
        await pilot.press("tab", "y")
        await until(pilot, lambda: "Read other.ts" in pilot.app.clipboard)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, SessionScreen))
        opened = pilot.app.screen
        assert isinstance(opened, SessionScreen)
        await until(
            pilot, lambda: opened.node is not None and opened.node.id == second.tasks[0].steps[0].tool_calls[0].id
        )
        await pilot.press("escape", "escape")
        await until(pilot, lambda: table.has_focus)
        await pilot.press("space")
        assert marked(pilot) == (fake_id(0),)


def marked(pilot: Pilot[int]) -> tuple[str, ...]:
    assert sessions(pilot)
    return browser(pilot)._browser.marked
