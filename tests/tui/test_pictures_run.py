"""Pictures of a session and its artifacts, and of the dialogs that write them to files."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from syrupy.assertion import SnapshotAssertion

from acode_tui.tui.run.artifact import ArtifactScreen
from tests.tui.driving import over, until_listed
from tests.tui.fake import FakeWorkspace, exporting_slowly, fake_id, graph, online
from tests.tui.pictures import RESTING, picturing


async def test_a_conversation(snapshot: SnapshotAssertion) -> None:
    fake = online(FakeWorkspace(8))
    async with picturing(over(fake, settings=RESTING), snapshot) as pictures:
        await until_listed(pictures.pilot)
        await pictures.see("validate() && submit()", "enter", "g")
        await pictures.take("read")
        await pictures.see("FAIL login.test.ts", "e", "enter")
        await pictures.take("call unfolded")
        await pictures.see("1 change in 1 run", "F")
        await pictures.take("files changed")
        await pictures.see("FAIL login.test.ts", "escape")
        fake.store.graphs[fake_id(0)] = replace(await fake.store.get_with_hierarchy(fake_id(0)), tasks=())
        await pictures.see("No task was recorded", "escape", "enter", "v")
        await pictures.take("empty")


async def test_resuming_a_run(snapshot: SnapshotAssertion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "claude"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    fake = online(FakeWorkspace(8))
    facts = {"source": "claude-code", "nativeId": "0190d6a1-7b2c"}
    fake.store.graphs[fake_id(0)] = replace(await fake.store.get_with_hierarchy(fake_id(0)), metadata=facts)
    async with picturing(over(fake, settings=RESTING), snapshot) as pictures:
        await until_listed(pictures.pilot)
        await pictures.see("validate() && submit()", "enter", "g")
        await pictures.see("claude --resume 0190d6a1-7b2c", "c")
        await pictures.take("asked")


async def test_a_run(snapshot: SnapshotAssertion) -> None:
    async with picturing(over(online(FakeWorkspace(8)), settings=RESTING), snapshot) as pictures:
        pictures.app.state.run_as = "tree"
        await until_listed(pictures.pilot)
        await pictures.see("f follows", "enter")
        await pictures.take("opened")
        await pictures.see("took", "plus", "j", "j")
        await pictures.take("unfolded")
        await pictures.see("66.4 kB of content", "2")
        await pictures.take("about")
        await pictures.see("validate()", "3", "j", "j")
        await pictures.take("artifacts")
        await pictures.see("Unfold every", "question_mark")
        await pictures.take("help")


async def test_artifacts(snapshot: SnapshotAssertion) -> None:
    fake = online(FakeWorkspace(8))
    fake.store.contents[fake_id(2, 5)] = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
    calls = (await fake.store.get_with_hierarchy(fake_id(0))).tasks[0].steps[0].tool_calls
    text, *_ = (each for call in calls for each in call.artifacts)
    async with picturing(over(fake, settings=RESTING), snapshot) as pictures:
        await until_listed(pictures.pilot)
        await pictures.see("validate()", "enter", "3", "j", "j", "enter")
        await pictures.take("diff")
        await pictures.see("1 of 1 ×", "slash", *"valid", "enter")
        await pictures.take("found")
        await pictures.see("Artifacts", "escape", "escape")
        await pictures.see("89 50 4e 47", "j", "j", "j", "enter")
        await pictures.take("bytes")
        await pictures.see("Artifacts", "escape")
        pictures.app.push_screen(ArtifactScreen(text))
        await pictures.see("login.ts")
        await pictures.take("text")
        fake.store.contents[text.id] = b""
        pictures.app.pop_screen()
        pictures.app.push_screen(ArtifactScreen(text))
        await pictures.see("typescript")
        await pictures.take("no content")


async def test_writing_to_files(snapshot: SnapshotAssertion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    fake = FakeWorkspace(8)
    async with picturing(over(fake, settings=RESTING), snapshot) as pictures:
        await until_listed(pictures.pilot)
        await pictures.see("Known shapes of secrets", "e")
        await pictures.take("export")
        await pictures.see("exists already", *"taken", "enter")
        await pictures.take("export refused")
        async with exporting_slowly(fake):
            await pictures.see("3,120 of 12,000 rows", *"2", "enter")
            await pictures.take("exporting")
        await pictures.see("Exported.")
        await pictures.take("exported")
        await pictures.see("byte for byte", "escape", "enter", "3", "j", "enter", "s")
        await pictures.take("save")


async def test_two_runs_compared(snapshot: SnapshotAssertion) -> None:
    workspace = FakeWorkspace(12)
    workspace.prices = {fake_id(number): 1.25 * number for number in range(12)}
    run = graph(1)
    metadata = {**(run.metadata or {}), "model": "[/red] a model", "tokens": 4_200}
    name = "Add input validation to the login form, and tests for each of the fields that it has [/red]"
    workspace.store.graphs[fake_id(1)] = replace(run, tasks=run.tasks[1:], metadata=metadata, task_description=name)
    async with picturing(over(workspace, settings=RESTING), snapshot) as pictures:
        await until_listed(pictures.pilot)
        await pictures.see("2 marked, = compares", "space", "j", "space")
        await pictures.take("marked")
        await pictures.see("$1.25", "equals_sign")
        await pictures.take("compare")
