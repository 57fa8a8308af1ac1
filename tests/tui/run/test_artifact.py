"""The viewer of an artifact."""

import hashlib
from pathlib import Path

import msgspec
import pytest

from acode_tui.tui.run.artifact import ArtifactScreen
from acode_tui.tui.run.screen import SessionScreen
from acode_tui.tui.widgets.text_view import TextView
from acode_tui.workspace import Workspace
from tests.clocks import TurnedClock
from tests.tui.driving import dashboard, opened_with, over, shown, toasts, until, until_listed
from tests.tui.fake import FakeWorkspace
from tests.tui.run.test_screen import add_call, open_session, tool_calls


@pytest.mark.parametrize(
    ("index", "expected", "language"),
    [(0, "export function submit(form: Form)", "typescript"), (1, "+  validate() && submit()", "diff")],
)
async def test_an_artifact_opens_in_a_viewer_for_its_kind(
    fake: FakeWorkspace, index: int, expected: str, language: str
) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_session(pilot)
        artifacts = [artifact for call in tool_calls(pilot) for artifact in call.artifacts]
        pilot.app.push_screen(ArtifactScreen(artifacts[index]))
        await until(pilot, lambda: expected in shown(pilot))
        assert str(pilot.app.screen.query_one(TextView).border_title) == language
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, SessionScreen)


@pytest.mark.ac("AC-059")
async def test_control_characters_of_content_are_shown_by_name(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await open_session(pilot)
        artifacts = [artifact for call in tool_calls(pilot) for artifact in call.artifacts]
        pilot.app.push_screen(ArtifactScreen(artifacts[2]))
        await until(pilot, lambda: "2 of 14 failed" in shown(pilot))
        text = shown(pilot)
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "[/red] <U+202E>txt.exe" in text


async def test_find_in_an_artifact_wraps_around(fake: FakeWorkspace) -> None:
    artifact_lines = "\n".join(f"line {number}" + (" needle" if number % 100 == 50 else "") for number in range(400))
    async with over(fake).run_test(size=(100, 24)) as pilot:
        await open_session(pilot)
        artifact = tool_calls(pilot)[2].artifacts[0]
        fake.store.contents[artifact.id] = artifact_lines.encode()
        pilot.app.push_screen(ArtifactScreen(artifact))
        await until(pilot, lambda: "line 5" in shown(pilot))
        await pilot.press("slash", *"needle", "enter")
        await until(pilot, lambda: "line 50 needle" in shown(pilot))
        await pilot.press("n")
        assert "line 150 needle" in shown(pilot)
        await pilot.press("N", "N")
        assert "line 350 needle" in shown(pilot)


async def test_a_long_artifact_is_cut_into_parts(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(100, 24)) as pilot:
        await open_session(pilot)
        artifact = tool_calls(pilot)[2].artifacts[0]
        fake.store.contents[artifact.id] = "\n".join(f"line {number}" for number in range(5_000)).encode()
        pilot.app.push_screen(ArtifactScreen(artifact))
        await until(pilot, lambda: "part 1 of 3" in shown(pilot))
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "line 2000" in shown(pilot))
        assert "part 2 of 3" in shown(pilot)


async def test_binary_content_is_shown_as_a_hex_dump(fake: FakeWorkspace) -> None:
    data = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
    async with over(fake).run_test(size=(120, 50)) as pilot:
        await open_session(pilot)
        artifact = tool_calls(pilot)[0].artifacts[0]
        fake.store.contents[artifact.id] = data
        pilot.app.push_screen(ArtifactScreen(artifact))
        await until(pilot, lambda: "89 50 4e 47 0d 0a 1a 0a" in shown(pilot))
        assert "·PNG····" in shown(pilot)
        assert f"{len(data) - 512:,} more bytes" in shown(pilot)


async def test_content_that_cannot_be_read_shows_the_error(
    workspace: Workspace, tmp_path: Path, clock: TurnedClock
) -> None:
    store = workspace.store
    session = await store.create_session("Damaged")
    task = await store.add_task(session.id, "Task")
    step = await store.add_step(task.id, "Step")
    call = await add_call(workspace, step.id, "fine.txt")
    graph = await store.get_with_hierarchy(session.id)
    artifact = graph.tasks[0].steps[0].tool_calls[0].artifacts[0]
    assert artifact.tool_call_id == call.id
    assert artifact.content_hash == "sha256:" + hashlib.sha256(b"content").hexdigest()

    async with dashboard(tmp_path, opened_with(clock, tmp_path), wall=clock).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        missing = msgspec.structs.replace(artifact, id="0190d6a1-7b2c-7def-8a3e-b4c5d6e7f890")
        pilot.app.push_screen(ArtifactScreen(missing))
        await until(pilot, lambda: [title for title, _ in toasts(pilot)] == ["ACODE-NOTFOUND-001"])
        await until(pilot, lambda: "could not be read" in shown(pilot) and "✗ there is no artifact" in shown(pilot))
        assert pilot.app.is_running


async def test_find_searches_all_parts_and_counts_the_matches(fake: FakeWorkspace) -> None:
    lines = "\n".join(f"line {number}" + (" NEEDLE" if number in (7, 2_500, 4_999) else "") for number in range(5_000))
    async with over(fake).run_test(size=(100, 24)) as pilot:
        await open_session(pilot)
        artifact = tool_calls(pilot)[2].artifacts[0]
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


async def test_an_artifact_is_saved_byte_for_byte_and_copied_as_shown(
    fake: FakeWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stdout").write_text("an earlier file")
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await open_session(pilot)
        artifact = tool_calls(pilot)[2].artifacts[0]
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
        assert (tmp_path / "stdout").read_text() == "an earlier file"
        await pilot.press("end", *".txt", "enter")
        await until(pilot, lambda: "✓ Saved." in shown(pilot))
        saved = tmp_path / "stdout.txt"
        assert saved.read_bytes() == fake.store.contents[artifact.id]
        assert saved.stat().st_mode & 0o777 == 0o600
