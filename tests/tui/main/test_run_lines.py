"""Runs below the run that started them, in the list."""

from itertools import pairwise
from pathlib import Path

import msgspec

from acode_tui.tui.run_lines import MAX_DEPTH, run_lines
from acode_tui.workspace import Workspace
from tests.clocks import TurnedClock
from tests.tui.driving import dashboard, opened_with, shown, until, until_listed
from tests.tui.fake import fake_id, summary


def test_each_run_stands_once_whatever_the_parents_say() -> None:
    first, second = (msgspec.structs.replace(summary(number), child_count=1) for number in (0, 1))
    children = {first.id: [second], second.id: [first, second]}
    unfolded = frozenset((first.id, second.id))
    lines = run_lines([first], children, unfolded, folds=True)
    assert [(line.session.id, line.depth, line.unfolded) for line in lines] == [
        *((first.id, 0, True), (second.id, 1, True))
    ]
    assert [line.mark for line in lines] == ["▾ 1  ", "└ ▾ 1  "]
    assert [line.mark for line in run_lines([first], {}, frozenset(), folds=True)] == ["▸ 1  "]
    alone = msgspec.structs.replace(first, metadata={"parentSessionId": fake_id(9)})
    assert [line.mark for line in run_lines([alone], {}, frozenset(), folds=False)] == ["↳ "]
    chain = [msgspec.structs.replace(summary(number), child_count=1) for number in range(12)]
    below = {above.id: [child] for above, child in pairwise(chain)}
    deep = run_lines(chain[:1], below, frozenset(each.id for each in chain), folds=True)
    assert [line.depth for line in deep] == list(range(MAX_DEPTH + 1))


async def test_children_are_folded_until_they_are_asked_for_and_a_search_or_a_jump_finds_them(
    workspace: Workspace, tmp_path: Path, clock: TurnedClock
) -> None:
    store = workspace.store
    other = await store.create_session("another run")
    parent = await store.create_session("the thread [/x]")
    metadata = {"parentSessionId": parent.id}
    children = [(await store.create_session(f"subagent {number}", metadata=metadata)).id for number in range(3)]
    await workspace.index.catch_up()
    async with dashboard(tmp_path, opened_with(clock, tmp_path), wall=clock).run_test(size=(120, 36)) as pilot:
        table = await until_listed(pilot)
        await until(pilot, lambda: table.row_keys == [parent.id, other.id])
        assert "▸ 3  the thread [/x]" in shown(pilot)
        assert "2 sessions · page 1 of 1" in shown(pilot)
        await pilot.press("right")
        await until(pilot, lambda: table.row_keys == [parent.id, *children[::-1], other.id])
        assert "▾ 3  the thread [/x]" in shown(pilot)
        assert table.cursor_key == parent.id
        await pilot.press("down", "down", "left")
        assert table.cursor_key == parent.id
        await pilot.press("left")
        assert table.row_keys == [parent.id, other.id]
        await pilot.press("slash", *"subagent", "enter")
        await until(pilot, lambda: {key for key in table.row_keys if "#" not in key} == set(children))
        assert "↳ subagent 2" in shown(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: table.row_keys == [parent.id, other.id])
        await pilot.press("number_sign", *children[1], "enter")
        await until(pilot, lambda: table.cursor_key == children[1] and table.row_count == 5)
