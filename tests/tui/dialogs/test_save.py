"""The dialogs that write a file: exporting a session, saving an artifact."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event

import pytest

from acode_tui.domain.entities import Artifact, Entity
from acode_tui.ops.export.report import ReportFile
from acode_tui.tui.dialogs.save import file_name
from acode_tui.workspace import Workspace
from tests.clocks import GUARD_SECONDS
from tests.storage.runs import make_run
from tests.tui.driving import dashboard, over, shown, toasts, until, until_listed
from tests.tui.fake import FakeWorkspace, exporting_slowly, fake_id


async def test_a_session_is_exported_to_a_path_that_can_be_corrected_if_the_file_exists(
    fake: FakeWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        await pilot.press("j", "e")
        await until(pilot, lambda: "Known shapes of secrets are hidden." in shown(pilot))
        await pilot.press("down", *"taken", "enter")
        await until(pilot, lambda: "exists already" in shown(pilot))
        await pilot.press("end", "2", "up", "enter")
        await until(pilot, lambda: "✓ Exported." in shown(pilot) and "2 secrets hidden" in shown(pilot))
        await pilot.press("y")
        assert pilot.app.clipboard == "taken2"
        assert fake.exported == [(fake_id(1), "html", Path("taken")), (fake_id(1), "markdown", Path("taken2"))]
        await pilot.press("escape", "enter")
        await until(pilot, lambda: "Executing" in shown(pilot).splitlines()[0])
        await pilot.press("x", "enter")
        await until(pilot, lambda: "acode_session_0190d6a1" in shown(pilot))
        assert fake.exported[-1] == (fake_id(1), "markdown", None)


async def test_an_export_shows_its_progress_and_a_key_stops_it(
    fake: FakeWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        for key in ("escape", "ctrl+c"):
            async with exporting_slowly(fake):
                await pilot.press("e")
                await until(pilot, lambda: "Known shapes of secrets" in shown(pilot))
                await pilot.press("enter")
                await until(pilot, lambda: "26%" in shown(pilot) and "3,120 of 12,000 rows" in shown(pilot))
                assert "esc stop" in shown(pilot).splitlines()[-1]
                await pilot.press(key)
                await until(pilot, lambda: "‖ Stopped. Nothing of it was kept." in shown(pilot))
                assert not pilot.app.jobs.is_running("export")  # type: ignore[attr-defined]
            await pilot.press("enter")
            await until(pilot, lambda: "✓ Exported." in shown(pilot))
            await pilot.press("escape")
        assert toasts(pilot) == []


async def test_a_long_export_that_is_stopped_leaves_no_file(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await workspace.store.save(make_run(workspace.workspace_id, calls=400, description="Long"))
    reached, go_on = Event(), Event()
    add = ReportFile.add

    def slow(self: ReportFile, entity: Entity) -> None:
        add(self, entity)
        if isinstance(entity, Artifact) and entity.name and not reached.is_set():
            reached.set()
            go_on.wait(GUARD_SECONDS)

    monkeypatch.setattr(ReportFile, "add", slow)

    @asynccontextmanager
    async def opening() -> AsyncIterator[Workspace]:
        yield workspace

    async with dashboard(tmp_path, opening).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("e")
        await until(pilot, lambda: "Known shapes of secrets" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, reached.is_set)
        await pilot.press("escape")
        await until(pilot, lambda: "Stopping…" in shown(pilot))
        go_on.set()
        await until(pilot, lambda: "‖ Stopped." in shown(pilot))
        folder = workspace.agent_dir / "exports"
        assert not folder.exists() or list(folder.iterdir()) == []
        await pilot.press("enter")
        await until(pilot, lambda: "✓ Exported." in shown(pilot))
        assert len(list(folder.glob("*.md"))) == 1


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
def test_a_recorded_name_becomes_a_safe_file_name(name: str, file: str) -> None:
    assert file_name(name) == file
