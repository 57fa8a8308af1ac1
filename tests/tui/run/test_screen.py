"""A session's tree, timeline and detail, and the viewer of artifacts."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from textual.pilot import Pilot

from acode_tui.domain.entities import ToolCall, ToolCallGraph
from acode_tui.domain.states import ArtifactType, SessionState
from acode_tui.tui.dialogs.save import file_name
from acode_tui.tui.run.artifact import ArtifactScreen
from acode_tui.tui.run.artifact_table import ArtifactTable
from acode_tui.tui.run.screen import SessionScreen
from acode_tui.tui.run.tree import RunTree
from acode_tui.tui.widgets.text_view import TextView
from acode_tui.workspace import Workspace, open_workspace
from tests.clocks import TurnedClock
from tests.conftest import PLAIN_SETTINGS
from tests.tui.driving import dashboard, over, shown, toasts, until, until_listed, with_page_size
from tests.tui.fake import NOW, FakeWorkspace, fake_id, graph


async def open_session(pilot: Pilot[int]) -> RunTree:
    """Open the first session and wait for its tree."""
    await until_listed(pilot)
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


async def test_a_carrier_is_shown_as_the_text_it_carries(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_session(pilot)
        await pilot.press("plus", "G")
        await until(pilot, lambda: "the mock has no" in shown(pilot))
        assert "assistant" not in shown(pilot)


async def test_the_detail_shows_parameters_error_and_duration(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_session(pilot)
        await pilot.press("plus", "G", "k", "k")
        await until(pilot, lambda: "parameters" in shown(pilot))
        assert '"command": "npm test -- login"' in shown(pilot)
        assert "exit code 1: 2 of 14 tests failed" in shown(pilot)
        assert "31.3 s" in shown(pilot)


async def test_folding_keeps_to_vim_keys(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_session(pilot)
        assert "Read the login form" in shown(pilot)
        await pilot.press("h")
        await pilot.pause()
        assert "Read the login form" not in shown(pilot)
        await pilot.press("l", "l")
        assert "Read the login form" in below_cursor(pilot)
        await pilot.press("h", "h")
        assert "Add input validation" in below_cursor(pilot)


@pytest.mark.parametrize(
    ("index", "expected", "language"),
    [(0, "export function submit(form: Form)", "typescript"), (1, "+  validate() && submit()", "diff")],
)
async def test_an_artifact_opens_in_a_viewer_for_its_kind(
    fake: FakeWorkspace, index: int, expected: str, language: str
) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_session(pilot)
        artifacts = [artifact for call in _calls(pilot) for artifact in call.artifacts]
        pilot.app.push_screen(ArtifactScreen(artifacts[index]))
        await until(pilot, lambda: expected in shown(pilot))
        assert str(pilot.app.screen.query_one(TextView).border_title) == language
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, SessionScreen)


@pytest.mark.ac("AC-059")
async def test_hostile_content_is_shown_by_name(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_session(pilot)
        artifacts = [artifact for call in _calls(pilot) for artifact in call.artifacts]
        pilot.app.push_screen(ArtifactScreen(artifacts[2]))
        await until(pilot, lambda: "2 of 14 failed" in shown(pilot))
        text = shown(pilot)
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "[/red] <U+202E>txt.exe" in text


async def test_search_in_an_artifact_goes_around(fake: FakeWorkspace) -> None:
    artifact_lines = "\n".join(f"line {number}" + (" needle" if number % 100 == 50 else "") for number in range(400))
    async with over(fake).run_test(size=(100, 24)) as pilot:
        await open_session(pilot)
        artifact = _calls(pilot)[2].artifacts[0]
        fake.store.contents[artifact.id] = artifact_lines.encode()
        pilot.app.push_screen(ArtifactScreen(artifact))
        await until(pilot, lambda: "line 5" in shown(pilot))
        await pilot.press("slash", *"needle", "enter")
        await until(pilot, lambda: "line 50 needle" in shown(pilot))
        await pilot.press("n")
        assert "line 150 needle" in shown(pilot)
        await pilot.press("N", "N")
        assert "line 350 needle" in shown(pilot)


async def test_a_long_artifact_comes_in_parts(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(100, 24)) as pilot:
        await open_session(pilot)
        artifact = _calls(pilot)[2].artifacts[0]
        fake.store.contents[artifact.id] = "\n".join(f"line {number}" for number in range(5_000)).encode()
        pilot.app.push_screen(ArtifactScreen(artifact))
        await until(pilot, lambda: "part 1 of 3" in shown(pilot))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "line 2000" in shown(pilot))
        assert "part 2 of 3" in shown(pilot)


async def test_bytes_that_are_no_text_are_summed_up_in_hex(fake: FakeWorkspace) -> None:
    data = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
    async with over(fake).run_test(size=(120, 50)) as pilot:
        await open_session(pilot)
        artifact = _calls(pilot)[0].artifacts[0]
        fake.store.contents[artifact.id] = data
        pilot.app.push_screen(ArtifactScreen(artifact))
        await until(pilot, lambda: "89 50 4e 47 0d 0a 1a 0a" in shown(pilot))
        assert "·PNG····" in shown(pilot)
        assert f"{len(data) - 512:,} more bytes" in shown(pilot)


async def test_a_session_that_grows_keeps_the_cursor_and_the_folds(
    workspace: Workspace, tmp_path: Path, clock: TurnedClock
) -> None:
    store = workspace.store
    session = await store.create_session("Growing")
    task = await store.add_task(session.id, "First task")
    step = await store.add_step(task.id, "First step")
    await _call(workspace, step.id, "first.txt")

    @asynccontextmanager
    async def opening() -> AsyncIterator[Workspace]:
        async with open_workspace(tmp_path, wall=clock, settings=PLAIN_SETTINGS) as opened:
            yield opened

    async with dashboard(tmp_path, opening, wall=clock).run_test(size=(120, 36)) as pilot:
        await open_session(pilot)
        await pilot.press("plus", "j", "j")
        under = below_cursor(pilot)
        assert "read_file" in under
        await _call(workspace, step.id, "second.txt")
        await store.add_task(session.id, "Second task")
        await until(pilot, lambda: "Second task" in shown(pilot) and "second.txt" in shown(pilot))
        assert below_cursor(pilot) == under


async def test_content_that_cannot_be_read_is_a_toast_and_not_a_crash(
    workspace: Workspace, tmp_path: Path, clock: TurnedClock
) -> None:
    store = workspace.store
    session = await store.create_session("Damaged")
    task = await store.add_task(session.id, "Task")
    step = await store.add_step(task.id, "Step")
    call = await _call(workspace, step.id, "fine.txt")
    graph = await store.get_with_hierarchy(session.id)
    artifact = graph.tasks[0].steps[0].tool_calls[0].artifacts[0]
    assert artifact.tool_call_id == call.id
    assert artifact.content_hash == "sha256:" + hashlib.sha256(b"content").hexdigest()

    @asynccontextmanager
    async def opening() -> AsyncIterator[Workspace]:
        async with open_workspace(tmp_path, wall=clock, settings=PLAIN_SETTINGS) as opened:
            yield opened

    async with dashboard(tmp_path, opening, wall=clock).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        missing = msgspec.structs.replace(artifact, id="0190d6a1-7b2c-7def-8a3e-b4c5d6e7f890")
        pilot.app.push_screen(ArtifactScreen(missing))
        await until(pilot, lambda: [title for title, _ in toasts(pilot)] == ["ACODE-NOTFOUND-001"])
        await until(pilot, lambda: "could not be read" in shown(pilot) and "✗ there is no artifact" in shown(pilot))
        assert pilot.app.is_running


async def _call(workspace: Workspace, step_id: str, name: str) -> ToolCall:
    call = await workspace.store.add_tool_call(step_id, "read_file", {"path": name})
    await workspace.store.add_artifact(call.id, ArtifactType.FILE_CONTENT, name, b"content", "text/plain")
    return call


def _calls(pilot: Pilot[int]) -> list[ToolCallGraph]:
    screen = pilot.app.screen
    assert isinstance(screen, SessionScreen)
    graph = screen.run_view.graph
    assert graph is not None
    return [call for task in graph.tasks for step in task.steps for call in step.tool_calls]


async def test_the_sides_show_metadata_and_every_artifact_and_each_can_be_copied(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 60)) as pilot:
        await open_session(pilot)
        await pilot.press("2")
        await until(pilot, lambda: '"gitBranch": "feature/login"' in shown(pilot))
        assert "52.1 kB of content" in shown(pilot)
        await pilot.press("y")
        assert '"model": "opus"' in pilot.app.clipboard
        await pilot.press("3", "down", "Y")
        assert "File diff, text/x-diff" in shown(pilot)
        assert pilot.app.clipboard == fake_id(1, 5)
        await pilot.press("G", "g", "ctrl+d", "ctrl+u", "j", "k", "enter")
        await until(pilot, lambda: "export function submit(form: Form)" in shown(pilot))
        await pilot.press("escape", "1", "y")
        assert "Created → Planning" in pilot.app.clipboard


async def test_the_next_session_is_the_next_of_the_list_over_its_pages_and_the_list_stands_on_it(
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


async def test_a_run_that_goes_on_is_followed_or_held(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_session(pilot)
        assert "◉ following" in shown(pilot)
        await pilot.press("j", "f")
        await until(pilot, lambda: "‖ held" in shown(pilot))
        under = below_cursor(pilot)
        _go_on(fake)
        await until(pilot, lambda: "‖ held, there is more" in shown(pilot))
        assert "And then deploy" not in shown(pilot)
        await pilot.press("f")
        await until(pilot, lambda: "And then deploy" in shown(pilot))
        assert below_cursor(pilot) == under
        _go_on(fake, state=SessionState.COMPLETED)
        await until(pilot, lambda: "✓ Completed" in shown(pilot) and "following" not in shown(pilot))
        assert "f" not in pilot.app.screen.active_bindings


async def test_a_run_of_thousands_opens_and_unfolds_without_drawing_what_is_not_seen(fake: FakeWorkspace) -> None:
    one = graph(0)
    step = one.tasks[1].steps[0]
    calls = tuple(replace(step.tool_calls[0], id=fake_id(number, 7), artifacts=()) for number in range(3_000))
    task = replace(one.tasks[1], steps=(replace(step, tool_calls=calls),))
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


def _go_on(fake: FakeWorkspace, state: SessionState = SessionState.EXECUTING) -> None:
    """Another task, as if the agent had gone on."""
    moment = NOW + timedelta(seconds=len(fake.store.graphs))
    before = fake.store.graphs.get(fake_id(0)) or graph(0)
    task = replace(before.tasks[1], id=fake_id(77, 2), title="And then deploy", steps=(), order=2)
    tasks = before.tasks if len(before.tasks) > 2 else (*before.tasks, task)
    fake.store.graphs[before.id] = replace(before, tasks=tasks, updated_at=moment, state=state)
    fake.store.sessions[0] = replace(fake.store.sessions[0], updated_at=moment, state=state)
    fake.version += 1


async def test_find_goes_over_all_parts_and_says_how_many_places_there_are(fake: FakeWorkspace) -> None:
    lines = "\n".join(f"line {number}" + (" NEEDLE" if number in (7, 2_500, 4_999) else "") for number in range(5_000))
    async with over(fake).run_test(size=(100, 24)) as pilot:
        await open_session(pilot)
        artifact = _calls(pilot)[2].artifacts[0]
        fake.store.contents[artifact.id] = lines.encode()
        pilot.app.push_screen(ArtifactScreen(artifact))
        await until(pilot, lambda: "part 1 of 3" in shown(pilot))
        await pilot.press("slash", *"needle", "enter")
        await until(pilot, lambda: "1 of 3 × “needle”" in shown(pilot))
        await pilot.press("n")
        await until(pilot, lambda: "line 2500 NEEDLE" in shown(pilot) and "part 2 of 3" in shown(pilot))
        await pilot.press("n", "n")
        await until(pilot, lambda: "line 7 NEEDLE" in shown(pilot) and "1 of 3 ×" in shown(pilot))
        await pilot.press("N")
        await until(pilot, lambda: "line 4999 NEEDLE" in shown(pilot))
        await pilot.press("slash", *"zebra", "enter")
        await until(pilot, lambda: ("", "“zebra” is not in this text") in toasts(pilot))
        await pilot.press("w", "escape")


async def test_an_artifact_is_saved_byte_for_byte_and_copied_as_it_is_shown(
    fake: FakeWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stdout").write_text("somebody's own")
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await open_session(pilot)
        artifact = _calls(pilot)[2].artifacts[0]
        pilot.app.push_screen(ArtifactScreen(artifact))
        await until(pilot, lambda: "2 of 14 failed" in shown(pilot))
        await pilot.press("y")
        assert "[/red] <U+202E>txt.exe" in pilot.app.clipboard
        assert "\x1b" not in pilot.app.clipboard
        await pilot.press("Y")
        assert pilot.app.clipboard == artifact.id
        await pilot.press("s")
        await until(pilot, lambda: "byte for byte" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: "exists already" in shown(pilot) and "choose another name" in shown(pilot))
        assert (tmp_path / "stdout").read_text() == "somebody's own"
        await pilot.press("end", *".txt", "enter")
        await until(pilot, lambda: "✓ Saved." in shown(pilot))
        saved = tmp_path / "stdout.txt"
        assert saved.read_bytes() == fake.store.contents[artifact.id]
        assert saved.stat().st_mode & 0o777 == 0o600


def test_too_much_for_a_clipboard_is_refused_and_says_what_to_do(fake: FakeWorkspace) -> None:
    app = over(fake)
    said: list[str] = []
    app.notify = lambda message, **_: said.append(message)  # type: ignore[method-assign]
    assert not app.copy("x" * 80_000, "text", otherwise="s saves it to a file")
    assert said == ["80.0 kB are more than a terminal's clipboard takes (74.0 kB); s saves it to a file"]
    assert not app.copy("", "id")
    assert app.clipboard == ""


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("src/login.ts", "login.ts"),
        ("../../.ssh/authorized_keys", "authorized_keys"),
        (".bashrc", "bashrc"),
        ("a\x1b[2Jb", "a␛[2Jb"),
        ("..", "artifact"),
        ("C:\\x\\y.txt", "y.txt"),
        ("/", "artifact"),
    ],
)
def test_a_recorded_name_offers_a_file_here_and_nowhere_else(name: str, file: str) -> None:
    assert file_name(name) == file


async def test_files_of_one_folder_are_told_apart_in_the_list_of_artifacts(fake: FakeWorkspace) -> None:
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
