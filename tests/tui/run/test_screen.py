"""The session screen: tree, panes beside it, detail, following, the next session."""

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot
from textual.widgets.tree import TreeNode

from acode_tui.domain.entities import ToolCall, ToolCallGraph
from acode_tui.domain.states import ArtifactType, SessionState
from acode_tui.tui.app import Dashboard
from acode_tui.tui.dialogs.resume import ResumeDialog
from acode_tui.tui.run import node_actions
from acode_tui.tui.run.artifact import ArtifactScreen
from acode_tui.tui.run.artifact_table import ArtifactTable
from acode_tui.tui.run.nodes import Node
from acode_tui.tui.run.screen import SessionScreen
from acode_tui.tui.run.tree import RunTree
from acode_tui.workspace import Workspace
from tests.clocks import TurnedClock
from tests.tui.driving import dashboard, opened_with, over, shown, toasts, until, until_listed, with_page_size
from tests.tui.fake import NOW, FakeWorkspace, fake_id, graph


async def open_session(pilot: Pilot[int]) -> RunTree:
    """Open the session under the cursor as a tree, and wait for its nodes."""
    await until_listed(pilot)
    assert isinstance(pilot.app, Dashboard)
    pilot.app.state.run_as = "tree"
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, SessionScreen) and tree(pilot).root.children)
    return tree(pilot)


def tree(pilot: Pilot[int]) -> RunTree:
    return pilot.app.screen.query_one(RunTree)


def below_cursor(pilot: Pilot[int]) -> str:
    node = tree(pilot).cursor_node
    return str(node.label) if node is not None else ""


async def test_the_tree_goes_from_tasks_to_artifacts(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_session(pilot)
        await pilot.press("plus")
        await pilot.pause()
        text = shown(pilot)
        for label in ("Add input validation", "Read the login form", "Read src/login.ts", "login.ts.diff", "npm test"):
            assert label in text
        assert "Planning → Executing" in text
        assert "plan approved by" in text


async def test_a_prompt_stands_first_in_its_task_and_an_answer_first_in_its_step(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_session(pilot)
        await pilot.press("plus", "j")
        assert below_cursor(pilot) == "» prompt  1.9 kB"
        await until(pilot, lambda: "What I know so far:" in shown(pilot))
        assert "User prompt, text/markdown" in shown(pilot)
        await pilot.press("G", "k", "k", "k")
        assert below_cursor(pilot) == "¶ text  132 B"
        await until(pilot, lambda: "the mock has no" in shown(pilot))
        await pilot.press("Y")
        assert pilot.app.clipboard == fake_id(3, 5)
        await pilot.press("k")
        assert below_cursor(pilot) == "∴ reasoning  96 B"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ArtifactScreen))
        await until(pilot, lambda: "smaller than changing the form" in shown(pilot))
        await pilot.press("slash", *"mock", "enter")
        await until(pilot, lambda: "1 of 1 × “mock”" in shown(pilot))


async def test_an_image_is_named_in_the_tree_and_its_bytes_open(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_session(pilot)
        await pilot.press("plus", "G")
        assert below_cursor(pilot) == "▣ failure.png  12.3 kB"
        await pilot.press("enter")
        await until(pilot, lambda: "89 50 4e 47 0d 0a 1a 0a" in shown(pilot))


async def test_an_answer_that_comes_late_moves_neither_cursor_nor_folds_nor_scroll(
    workspace: Workspace, tmp_path: Path, clock: TurnedClock
) -> None:
    store = workspace.store
    session = await store.create_session("Growing")
    task = await store.add_task(session.id, "First task")
    step = await store.add_step(task.id, "First step")
    for number in range(60):
        await add_call(workspace, step.id, f"{number}.txt")

    async with dashboard(tmp_path, opened_with(clock, tmp_path), wall=clock).run_test(size=(120, 36)) as pilot:
        found = await open_session(pilot)
        await pilot.press("plus", "G", "k", "h", "k", "k", "h")
        await pilot.pause()
        under, row = below_cursor(pilot), found.cursor_line - found.scroll_offset.y
        assert "58.txt" in under
        unfolded = {id_ for id_, node in found._created.items() if node.is_expanded}
        for name in ("answer", "reasoning"):
            type_ = ArtifactType.MODEL_RESPONSE if name == "answer" else ArtifactType.REASONING
            await store.add_artifact(step.id, type_, name, b"Done.", "text/markdown")
        await store.add_artifact(task.id, ArtifactType.USER_PROMPT, "prompt", b"Read them.", "text/markdown")
        await until(pilot, lambda: "reasoning" in labels(found))
        assert (below_cursor(pilot), found.cursor_line - found.scroll_offset.y) == (under, row)
        assert unfolded == {id_ for id_, node in found._created.items() if node.is_expanded}
        assert [str(node.label).split()[1] for node in found.root.children[0].children] == ["prompt", "First"]
        in_step = [str(node.label).split()[1] for node in found.root.children[0].children[1].children]
        assert in_step == ["answer", "reasoning", *["read_file"] * 60]
        assert all(str(call.label).split()[2] == str(call.children[0].label).split()[1] for call in calls_of(found))


def labels(found: RunTree) -> str:
    return " ".join(str(node.label) for node in found._created.values())


def calls_of(found: RunTree) -> list[TreeNode[Node]]:
    return [node for node in found._created.values() if isinstance(node.data, ToolCallGraph)]


async def test_the_detail_shows_parameters_error_and_duration(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_session(pilot)
        await pilot.press("plus", "G", "k", "k")
        await until(pilot, lambda: "parameters" in shown(pilot))
        assert '"command": "npm test -- login"' in shown(pilot)
        assert "exit code 1: 2 of 14 tests failed" in shown(pilot)
        assert "31.3 s" in shown(pilot)


async def test_vim_keys_fold_and_unfold_the_tree(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_session(pilot)
        assert "Read the login form" in shown(pilot)
        await pilot.press("h")
        await pilot.pause()
        assert "Read the login form" not in shown(pilot)
        await pilot.press("l", "l", "j")
        assert "Read the login form" in below_cursor(pilot)
        await pilot.press("h", "h")
        assert "Add input validation" in below_cursor(pilot)


async def test_a_session_that_grows_keeps_the_cursor_and_the_folds(
    workspace: Workspace, tmp_path: Path, clock: TurnedClock
) -> None:
    store = workspace.store
    session = await store.create_session("Growing")
    task = await store.add_task(session.id, "First task")
    step = await store.add_step(task.id, "First step")
    await add_call(workspace, step.id, "first.txt")

    async with dashboard(tmp_path, opened_with(clock, tmp_path), wall=clock).run_test(size=(120, 36)) as pilot:
        await open_session(pilot)
        await pilot.press("plus", "j", "j")
        under = below_cursor(pilot)
        assert "read_file" in under
        await add_call(workspace, step.id, "second.txt")
        await store.add_task(session.id, "Second task")
        await until(pilot, lambda: "Second task" in shown(pilot) and "second.txt" in shown(pilot))
        assert below_cursor(pilot) == under


async def test_a_step_that_is_unfolded_shows_its_first_call_when_it_comes(
    workspace: Workspace, tmp_path: Path, clock: TurnedClock
) -> None:
    session = await workspace.store.create_session("Growing")
    task = await workspace.store.add_task(session.id, "First task")
    step = await workspace.store.add_step(task.id, "First step")

    async with dashboard(tmp_path, opened_with(clock, tmp_path), wall=clock).run_test(size=(120, 36)) as pilot:
        await open_session(pilot)
        await until(pilot, lambda: "└   ○ First step" in shown(pilot))
        await add_call(workspace, step.id, "first.txt")
        await until(pilot, lambda: "└ ▾ ○ First step" in shown(pilot) and "first.txt" in shown(pilot))


async def add_call(workspace: Workspace, step_id: str, name: str) -> ToolCall:
    call = await workspace.store.add_tool_call(step_id, "read_file", {"path": name})
    await workspace.store.add_artifact(call.id, ArtifactType.FILE_CONTENT, name, b"content", "text/plain")
    return call


def tool_calls(pilot: Pilot[int]) -> list[ToolCallGraph]:
    screen = pilot.app.screen
    assert isinstance(screen, SessionScreen)
    graph = screen.run_view.graph
    assert graph is not None
    return [call for task in graph.tasks for step in task.steps for call in step.tool_calls]


async def test_the_panes_beside_the_tree_show_metadata_and_artifacts_and_can_be_copied(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 60)) as pilot:
        await open_session(pilot)
        await pilot.press("2")
        await until(pilot, lambda: '"gitBranch": "feature/login"' in shown(pilot))
        assert "66.4 kB of content" in shown(pilot)
        await pilot.press("y")
        assert '"model": "opus"' in pilot.app.clipboard
        await pilot.press("3", "down", "down", "Y")
        assert "File diff, text/x-diff" in shown(pilot)
        assert pilot.app.clipboard == fake_id(1, 5)
        await pilot.press("G", "g", "ctrl+d", "ctrl+u", "j", "enter")
        await until(pilot, lambda: "export function submit(form: Form)" in shown(pilot))
        await pilot.press("escape", "1", "y")
        assert "Created → Planning" in pilot.app.clipboard


async def test_keys_open_the_next_session_of_the_list_across_pages(
    fake: FakeWorkspace,
) -> None:
    async with over(fake, settings=with_page_size(5)).run_test(size=(120, 36)) as pilot:
        table = await until_listed(pilot)
        await open_session(pilot)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: ("", "That was the first session of the list.") in toasts(pilot))
        await pilot.press("escape", "j", "j", "j")
        await open_session(pilot)
        for number in (4, 5, 6):
            await pilot.press("right_square_bracket")
            await until(pilot, partial(_is_open, pilot, number))
        await pilot.press("left_square_bracket", "left_square_bracket")
        await until(pilot, partial(_is_open, pilot, 4))
        await pilot.press("escape")
        await until(pilot, lambda: table.cursor_key == fake_id(4))
        fake.store.sessions = fake.store.sessions[:5]
        await open_session(pilot)
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "last session of the list" in toasts(pilot)[-1][1])
        assert _is_open(pilot, 4)


async def test_a_run_that_is_being_recorded_is_followed_until_the_user_moves(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_session(pilot)
        await pilot.press("j", "j")
        under = below_cursor(pilot)
        await until(pilot, lambda: "○ f follows" in shown(pilot))
        _go_on(fake)
        await until(pilot, lambda: "↓ more below, f follows" in shown(pilot) and "And then deploy" in shown(pilot))
        assert below_cursor(pilot) == under
        await pilot.press("f")
        await until(pilot, lambda: "And then deploy" in below_cursor(pilot) and "◉ following" in shown(pilot))
        _go_on(fake, title="And tell them")
        await until(pilot, lambda: "And tell them" in below_cursor(pilot))
        await pilot.press("k")
        await until(pilot, lambda: "○ f follows" in shown(pilot))
        _go_on(fake, state=SessionState.COMPLETED)
        await until(pilot, lambda: "✓ Completed" in shown(pilot) and "follow" not in shown(pilot))
        assert "f" not in pilot.app.screen.active_bindings


async def test_a_run_of_thousands_of_calls_creates_nodes_only_when_unfolded(fake: FakeWorkspace) -> None:
    one = graph(0)
    step = one.tasks[1].steps[0]
    calls = tuple(replace(step.tool_calls[0], id=fake_id(number, 7), artifacts=()) for number in range(3_000))
    task = replace(one.tasks[1], steps=(replace(step, artifacts=(), tool_calls=calls),))
    fake.store.graphs[one.id] = replace(one, tasks=(one.tasks[0], task))
    async with over(fake).run_test(size=(120, 36)) as pilot:
        found = await open_session(pilot)
        assert len(found._created) < 100
        await pilot.press("plus")
        await until(pilot, lambda: toasts(pilot))
        assert "unfold steps one by one" in toasts(pilot)[0][1]
        await pilot.press("G", "l", "G")
        await until(pilot, lambda: below_cursor(pilot) == "… 2,500 more, enter shows them")
        await pilot.press("enter")
        assert "npm test" in below_cursor(pilot)
        await pilot.press("G")
        assert below_cursor(pilot) == "… 2,000 more, enter shows them"
        _go_on(fake)
        await until(pilot, lambda: "3 tasks" in shown(pilot))
        assert below_cursor(pilot) == "… 2,000 more, enter shows them"


def _is_open(pilot: Pilot[int], number: int) -> bool:
    screen = pilot.app.screen
    return isinstance(screen, SessionScreen) and (screen.run_view.graph or graph(99)).id == fake_id(number)


def _go_on(
    fake: FakeWorkspace, state: SessionState = SessionState.EXECUTING, *, title: str = "And then deploy"
) -> None:
    """Another task, as if the agent had gone on."""
    before = fake.store.graphs.get(fake_id(0)) or graph(0)
    moment = max(before.updated_at, NOW) + timedelta(seconds=1)
    order = len(before.tasks)
    tasks = before.tasks
    if title not in [task.title for task in tasks]:
        tasks = (*tasks, replace(tasks[1], id=fake_id(77 + order, 2), title=title, steps=(), order=order))
    fake.store.graphs[before.id] = replace(before, tasks=tasks, updated_at=moment, state=state)
    fake.store.sessions[0] = replace(fake.store.sessions[0], updated_at=moment, state=state)
    fake.version += 1


def test_a_text_too_long_for_the_clipboard_is_refused_with_advice(fake: FakeWorkspace) -> None:
    app = over(fake)
    messages: list[str] = []
    app.notify = lambda message, **_: messages.append(message)  # type: ignore[method-assign]
    assert not app.copy("x" * 80_000, "text", otherwise="s saves it to a file")
    assert messages == ["80.0 kB are more than a terminal's clipboard takes (74.0 kB); s saves it to a file"]
    assert not app.copy("", "id")
    assert app.clipboard == ""


async def test_the_list_of_artifacts_shows_the_ends_of_long_paths(fake: FakeWorkspace) -> None:
    folder = "/home/ada/src/shop/packages/checkout/src/components"
    artifact = graph(0).tasks[0].steps[0].tool_calls[0].artifacts[0]
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_session(pilot)
        await pilot.press("3")
        table = pilot.app.screen.query_one(ArtifactTable)
        table.show_artifacts(
            [replace(artifact, id=name, name=f"{folder}/{name}") for name in ("basket.ts", "payment.ts")]
        )
        await until(pilot, lambda: "…/components/basket.ts" in shown(pilot))
        assert "…/components/payment.ts" in shown(pilot)


async def test_the_keys_lead_to_the_parent_run_to_a_child_and_back_to_the_same_place(fake: FakeWorkspace) -> None:
    child = replace(graph(1), metadata={"parentSessionId": fake_id(0)}, created_at=NOW + timedelta(hours=1))
    fake.store.graphs[child.id] = child
    fake.store.sessions[1] = replace(fake.store.sessions[1], metadata=child.metadata, created_at=child.created_at)
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: _is_open(pilot, 0) and "npm test" in shown(pilot))
        await pilot.press("g", "e")
        screen = pilot.app.screen
        assert isinstance(screen, SessionScreen)
        under = screen.node
        await pilot.press("u", "d")
        await until(pilot, lambda: _is_open(pilot, 1))
        await pilot.press("d")
        await until(pilot, lambda: ("", "This run started no other one.") in toasts(pilot))
        await pilot.press("u")
        await until(pilot, lambda: _is_open(pilot, 0) and screen.node == under)
        assert not screen.run_view.follows


async def test_a_file_is_opened_in_the_editor_and_a_run_is_resumed_on_enter_alone(
    fake: FakeWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    async def run_outside(app: object, arguments: list[str], folder: Path | None = None) -> str:
        started.append([*arguments, str(folder)])
        return ""

    monkeypatch.setattr(node_actions, "run_outside", run_outside)
    for name in ("vi", "claude"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    for name, value in (("PATH", str(tmp_path)), ("EDITOR", "vi"), ("VISUAL", "")):
        monkeypatch.setenv(name, value)
    facts = {"source": "claude-code", "nativeId": "abc-1", "cwd": str(tmp_path)}
    fake.store.graphs[fake_id(0)] = replace(graph(0), metadata=facts)
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: _is_open(pilot, 0) and "src/login.ts" in shown(pilot))
        await pilot.press("g", "o")
        await until(pilot, lambda: "no file under the cursor" in toasts(pilot)[-1][1])
        await pilot.press("j", "o")
        await until(pilot, lambda: "is not there" in toasts(pilot)[-1][1])
        (tmp_path / "src").mkdir()
        (tmp_path / "src" / "login.ts").write_text("x")
        await pilot.press("o")
        await until(pilot, lambda: started == [[str(tmp_path / "vi"), str(tmp_path / "src/login.ts"), "None"]])
        await pilot.press("c")
        await until(pilot, lambda: isinstance(pilot.app.screen, ResumeDialog))
        assert pilot.app.clipboard == f"cd {tmp_path} && claude --resume abc-1"
        await pilot.press("escape", "c", "enter")
        await until(pilot, lambda: started[1:] == [[str(tmp_path / "claude"), "--resume", "abc-1", str(tmp_path)]])
