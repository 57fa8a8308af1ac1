"""The conversation of a run: blocks, folding, failures, copying, what is read, and that the place is kept."""

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.segment import Segment
from rich.style import Style
from textual.pilot import Pilot
from textual.strip import Strip

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.errors import TransactionError
from acode_tui.domain.states import ArtifactType, SessionState
from acode_tui.storage.ports import SessionPart
from acode_tui.tui.run.artifact import ArtifactScreen
from acode_tui.tui.run.blocks import conversation_of
from acode_tui.tui.run.conversation import ConversationView
from acode_tui.tui.run.growing import continued, joined
from acode_tui.tui.run.marked_strip import highlighted
from acode_tui.tui.run.row_index import RowIndex
from acode_tui.tui.run.screen import SessionScreen
from acode_tui.tui.run.tree import RunTree
from tests.domain.graphs import part_of
from tests.storage.runs import run_of_tasks
from tests.tui.driving import over, shown, toasts, until, until_listed
from tests.tui.fake import NOW, FakeWorkspace, fake_id, graph
from tests.tui.recorded import WORKSPACE

CALL = "Bash  npm test -- login"


async def open_conversation(pilot: Pilot[int]) -> ConversationView:
    await until_listed(pilot)
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, SessionScreen) and page(pilot).page_layout.blocks)
    return page(pilot)


def page(pilot: Pilot[int]) -> ConversationView:
    return pilot.app.screen.query_one(ConversationView)


def lines(pilot: Pilot[int]) -> list[str]:
    """The lines of the page, without the scrollbar."""
    return [each[:-6] for each in shown(pilot).splitlines()[2:34]]


def long_run(steps: int, words: bytes, fake: FakeWorkspace) -> SessionGraph:
    """A completed run of many steps, each with an answer and a failed call."""
    one = graph(0)
    task = one.tasks[1]
    step = task.steps[0]
    answer = next(each for each in step.artifacts if each.type is ArtifactType.MODEL_RESPONSE)
    made = []
    for number in range(steps):
        step_id = fake_id(number, 73)
        said = replace(answer, id=fake_id(number, 71), step_id=step_id, size=len(words))
        fake.store.contents[said.id] = b"%d %s" % (number, words)
        call = replace(step.tool_calls[0], id=fake_id(number, 72), step_id=step_id, artifacts=())
        made.append(replace(step, id=step_id, artifacts=(said,), tool_calls=(call,)))
    run = replace(one, state=SessionState.COMPLETED, tasks=(one.tasks[0], replace(task, steps=tuple(made))))
    fake.store.graphs[one.id] = run
    return run


async def test_a_run_is_read_like_a_conversation(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_conversation(pilot)
        await until(pilot, lambda: "validate() && submit()" in shown(pilot) and "What I know so far" in shown(pilot))
        text = shown(pilot)
        order = (
            "» Add input",
            "✓ Read",
            "✓ Edit",
            "login.ts.diff  +1 -1",
            "» Now run",
            "∴ The mock",
            "Two tests fail",
            CALL,
        )
        places = [text.index(each) for each in (*order, "exit code 1: 2 of 14 tests failed")]
        assert places == sorted(places)
        assert "failed  31.3 s" in text
        assert "▣ failure.png  image/png  12.3 kB" in text
        assert "FAIL login.test.ts" not in text


async def test_enter_unfolds_reasoning_and_calls_and_opens_the_rest(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_conversation(pilot)
        await pilot.press("g", "e", "enter")
        await until(pilot, lambda: "FAIL login.test.ts" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: "FAIL login.test.ts" not in shown(pilot))
        await pilot.press("g", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ArtifactScreen))


async def test_the_next_failure_is_found_in_both_views(fake: FakeWorkspace) -> None:
    long_run(2_000, b"words", fake)
    async with over(fake).run_test(size=(120, 36)) as pilot:
        view = await open_conversation(pilot)
        await pilot.press("e", "e")
        assert view.block is not None
        assert view.block.key == fake_id(1, 72)
        await pilot.press("v")
        tree = pilot.app.screen.query_one(RunTree)
        await until(
            pilot, lambda: tree.cursor_node and tree.cursor_node.data and tree.cursor_node.data.id == fake_id(1, 72)
        )
        await pilot.press("e")
        assert tree.cursor_node is not None
        assert tree.cursor_node.data is not None
        assert tree.cursor_node.data.id == fake_id(2, 72)
        await pilot.press("E", "E", "E")
        await until(pilot, lambda: ("", "That was the first failure.") in toasts(pilot))
        screen = pilot.app.screen
        assert isinstance(screen, SessionScreen)
        screen.action_turn_view()
        view.action_bottom()  # before the page is laid out, as a fast typist's key
        await pilot.pause()
        assert view.cursor == len(view.page_layout.blocks) - 1
        await pilot.press("e")
        await until(pilot, lambda: ("", "That was the last failure.") in toasts(pilot))


async def test_only_the_text_under_the_cursor_is_copied(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_conversation(pilot)
        await pilot.press("g", "e", "y")
        await until(pilot, lambda: pilot.app.clipboard == "exit code 1: 2 of 14 tests failed")
        await pilot.press("k", "y")
        answer = fake.store.contents[fake_id(3, 5)].decode()
        await until(pilot, lambda: pilot.app.clipboard == answer)
        await pilot.press("v", "y")
        await pilot.press("g", "j", "y")
        prompt = fake.store.contents[graph(0).tasks[0].artifacts[0].id].decode()
        await until(pilot, lambda: pilot.app.clipboard == prompt)


async def test_only_what_is_near_the_screen_is_read(fake: FakeWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    long_run(5_000, b"An *answer* of some words.", fake)
    read: list[str] = []
    get = fake.store.get_artifact_content

    async def counting(artifact_id: str) -> bytes:
        read.append(artifact_id)
        return await get(artifact_id)

    monkeypatch.setattr(fake.store, "get_artifact_content", counting)
    async with over(fake).run_test(size=(120, 36)) as pilot:
        view = await open_conversation(pilot)
        await until(pilot, lambda: "0 An answer of some words." in shown(pilot))
        await pilot.press("G")
        await until(pilot, lambda: "4999 An answer of some words." in shown(pilot))
        assert len(read) < 120
        assert view.page_layout.laid_count < 300


async def test_what_is_recorded_moves_neither_the_cursor_nor_what_is_on_screen(fake: FakeWorkspace) -> None:
    run = long_run(300, b"words\n\n" * 9, fake)
    async with over(fake).run_test(size=(120, 36)) as pilot:
        view = await open_conversation(pilot)
        await pilot.press(*["e"] * 40)
        await until(pilot, lambda: view.is_complete)
        before, under = lines(pilot), view.block
        task = replace(run.tasks[1], id=fake_id(9, 79), title="And then deploy", steps=())
        later = replace(run, tasks=(*run.tasks, task), updated_at=NOW + timedelta(seconds=9))
        fake.store.graphs[run.id] = later
        fake.store.sessions[0] = replace(fake.store.sessions[0], updated_at=later.updated_at)
        fake.version += 1
        await until(pilot, lambda: len(view.page_layout.blocks) == len(conversation_of(later, 100).blocks))
        assert lines(pilot) == before
        assert view.block == under
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: view.is_complete)
        assert view.block == under


async def test_a_run_being_recorded_is_shown_at_its_end_until_the_user_scrolls(fake: FakeWorkspace) -> None:
    run = replace(long_run(300, b"words", fake), state=SessionState.EXECUTING)
    fake.store.graphs[run.id] = run

    def go_on(title: str, seconds: int) -> None:
        before = fake.store.graphs[run.id]
        task = replace(run.tasks[1], id=fake_id(seconds, 79), title=title, steps=())
        moment = NOW + timedelta(seconds=seconds)
        fake.store.graphs[run.id] = replace(before, tasks=(*before.tasks, task), updated_at=moment)
        fake.store.sessions[0] = replace(fake.store.sessions[0], updated_at=moment)
        fake.version += 1

    async with over(fake).run_test(size=(120, 36)) as pilot:
        view = await open_conversation(pilot)
        await until(pilot, lambda: "299 words" in shown(pilot))
        go_on("And then deploy", 1)
        await until(pilot, lambda: "And then deploy" in shown(pilot))
        await pilot.press("pageup")
        count = len(view.page_layout.blocks)
        go_on("And tell them", 2)
        await until(pilot, lambda: len(view.page_layout.blocks) > count)
        assert "And tell them" not in shown(pilot)
        await pilot.press("G")
        await until(pilot, lambda: "And tell them" in shown(pilot))


async def test_the_first_steps_are_shown_before_the_rest_is_read_and_later_only_the_end_is(
    fake: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = replace(long_run(300, b"words", fake), state=SessionState.EXECUTING)
    fake.store.graphs[run.id] = run
    whole, let_go = fake.store.get_with_hierarchy, asyncio.Event()
    reads = 0

    async def waiting(session_id: str) -> SessionGraph:
        nonlocal reads
        reads += 1
        await let_go.wait()
        return await whole(session_id)

    async def part(session_id: str, *, steps: int, from_end: bool = False) -> SessionPart:
        return part_of(await whole(session_id), steps, from_end=from_end)

    monkeypatch.setattr(fake.store, "get_with_hierarchy", waiting)
    monkeypatch.setattr(fake.store, "get_part", part)
    async with over(fake).run_test(size=(120, 36)) as pilot:
        view = await open_conversation(pilot)
        await until(pilot, lambda: "299 words" in shown(pilot) and "reading the rest…" in shown(pilot))
        assert len(view.page_layout.blocks) < 200
        let_go.set()
        await until(pilot, lambda: "reading the rest" not in shown(pilot) and "299 words" in shown(pilot))
        assert len(view.page_layout.blocks) == len(conversation_of(run, 100).blocks)

        task = run.tasks[1]
        step = replace(task.steps[-1], id=fake_id(1, 81), name="One more step", artifacts=(), tool_calls=())
        grown = replace(run, tasks=(run.tasks[0], replace(task, steps=(*task.steps, step))))
        fake.store.graphs[run.id] = grown = replace(grown, updated_at=NOW + timedelta(seconds=9))
        fake.store.sessions[0] = replace(fake.store.sessions[0], updated_at=grown.updated_at)
        fake.version += 1
        await until(pilot, lambda: "One more step" in shown(pilot))
        assert reads == 1
        wanted = conversation_of(grown, view.columns)
        assert [*view.page_layout.blocks] == wanted.blocks


@given(steps=st.lists(st.integers(0, 3), min_size=1, max_size=4), more=st.integers(0, 3), last=st.integers(1, 6))
@settings(max_examples=25)
def test_a_joined_run_is_the_run_that_was_read_whole(steps: list[int], more: int, last: int) -> None:
    later = run_of_tasks(WORKSPACE, [*steps[:-1], steps[-1] + more, more])
    cut = replace(later.tasks[-2], steps=later.tasks[-2].steps[: steps[-1]])
    before = replace(later, tasks=(*later.tasks[:-2], cut))
    end = part_of(later, last, from_end=True).graph
    grown = joined(before, end)
    if grown is None:
        return
    assert [*grown.entities()] == [*later.entities()]
    page = continued(conversation_of(before, 80), grown, end, 80)
    wanted = conversation_of(later, 80)
    assert (page.blocks, page.index, page.failures) == (wanted.blocks, wanted.index, wanted.failures)
    assert (page.calls, page.has_words) == (wanted.calls, wanted.has_words)
    assert page.estimated(80).sizes == wanted.estimated(80).sizes


async def test_a_text_is_found_in_whatever_was_recorded_and_unfolded_where_it_is_folded(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        view = await open_conversation(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, SessionScreen)
        screen.action_search()
        assert screen.focused is screen.search, "the next letters may already be typed"
        await pilot.press("escape")
        await pilot.press("g", "slash", *"FAIL login.TEST", "enter")
        await until(pilot, lambda: view.block and view.block.kind == "output" and "FAIL login.test.ts" in shown(pilot))
        assert view.block is not None
        output = view.block.key
        await pilot.press("n")
        await until(pilot, lambda: "searched on from the beginning" in shown(pilot))
        assert view.block.key == output
        await pilot.press("slash", *["backspace"] * 20, *"smaller than changing", "enter")
        await until(pilot, lambda: view.block and view.block.kind == "reasoning" and view.block.key in unfolded(view))
        await pilot.press("v")
        tree = pilot.app.screen.query_one(RunTree)
        await pilot.press("N")
        await until(pilot, lambda: tree.cursor_node and tree.cursor_node.data and tree.cursor_node.data.id != output)
        await pilot.press("slash", *["backspace"] * 20, *"no such word", "enter")
        await until(pilot, lambda: "“no such word” is not in this run" in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: "not in this run" not in shown(pilot))
        assert isinstance(pilot.app.screen, SessionScreen)


def unfolded(view: ConversationView) -> set[str]:
    return view.page_layout.unfolded


def test_every_occurrence_in_a_drawn_row_is_marked_however_wide_its_letters_are() -> None:
    row = Strip([Segment("漢字 Log, "), Segment("lo", Style(bold=True)), Segment("g İ")])
    style = Style(reverse=True)
    marked = highlighted(Strip([Segment("漢字 Log, "), Segment("lo"), Segment("g")]), "log", style)
    assert "".join(each.text for each in marked if each.style and each.style.reverse) == "Loglog"
    assert marked.text == "漢字 Log, log"
    assert all(each.style and each.style.reverse for each in highlighted(row, "log", style))
    assert highlighted(row, "dialog", style) is row


async def test_content_that_cannot_be_read_says_so_in_its_place_and_is_read_again(
    fake: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = fake.store.get_artifact_content
    broken = True

    async def failing(artifact_id: str) -> bytes:
        if broken:
            raise TransactionError("the disk has gone")
        return await get(artifact_id)

    monkeypatch.setattr(fake.store, "get_artifact_content", failing)
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_conversation(pilot)
        await until(pilot, lambda: "could not be read: the disk has gone" in shown(pilot))
        assert CALL in shown(pilot)
        broken = False
        await pilot.press("R")
        await until(pilot, lambda: "Two tests fail" in shown(pilot) and "the disk has gone" not in shown(pilot))


async def test_a_run_without_words_opens_as_a_tree_and_an_empty_one_says_so(fake: FakeWorkspace) -> None:
    fake.store.graphs[fake_id(0)] = replace(graph(0), tasks=())
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("enter")
        await until(
            pilot, lambda: isinstance(pilot.app.screen, SessionScreen) and "No task was recorded" in shown(pilot)
        )
        assert pilot.app.screen.query_one(RunTree).has_focus
        await pilot.press("v")
        await until(pilot, lambda: page(pilot).has_focus and "No task was recorded" in shown(pilot))
        assert "e" not in {key for key, each in pilot.app.screen.active_bindings.items() if each.enabled}


def test_rows_and_blocks_agree_with_plain_sums() -> None:
    sizes = [3, 0, 1, 0, 0, 7, 2]
    rows = RowIndex(sizes)
    rows.resize(2, 4)
    rows.resize(5, 0)
    sizes[2], sizes[5] = 4, 0
    assert rows.total == sum(sizes)
    assert [rows.start(at) for at in range(8)] == [sum(sizes[:at]) for at in range(8)]
    owners = [at for at, size in enumerate(sizes) for _ in range(size)]
    assert [rows.block_at(row) for row in range(rows.total)] == owners
