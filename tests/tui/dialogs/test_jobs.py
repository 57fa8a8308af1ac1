"""Actions with a dialog of their own: the plan, the progress, the end, and what has to wait meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from textual.pilot import Pilot

from acode_tui.domain.entities import Artifact, Entity
from acode_tui.domain.errors import TransactionError
from acode_tui.ops.export.report import ReportFile
from acode_tui.storage.ports import TierMigrations
from acode_tui.tui.dialogs.backup import BackupScreen
from acode_tui.tui.main.screen import MainScreen
from acode_tui.tui.tools.health import HealthScreen
from acode_tui.tui.tools.log import LogScreen
from acode_tui.workspace import Workspace
from tests.storage.runs import make_run
from tests.tui.driving import dashboard, over, shown, toasts, until, until_listed
from tests.tui.fake import FakeWorkspace, fake_id
from tests.tui.records.test_screens import syncing


@asynccontextmanager
async def holding(fake: FakeWorkspace) -> AsyncIterator[None]:
    """A backup stays under way until it is let go, at the latest at the end: leaving waits for it."""
    fake.backing_up.clear()
    try:
        yield
    finally:
        fake.backing_up.set()


@asynccontextmanager
async def exporting_slowly(fake: FakeWorkspace) -> AsyncIterator[None]:
    """The same of an export."""
    fake.exporting.clear()
    try:
        yield
    finally:
        fake.exporting.set()


async def test_a_backup_tells_its_place_its_progress_and_its_end(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(80, 24)) as pilot, holding(fake):
        await until_listed(pilot)
        await pilot.press("b")
        await until(pilot, lambda: "7 backups; older ones make room" in shown(pilot))
        assert ".agent/backups/" in shown(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "28%" in shown(pilot))
        assert not _enabled(pilot, "enter")
        fake.backing_up.set()
        await until(pilot, lambda: "acode-tui db restore acode_backup_20260314_120431" in shown(pilot))
        assert toasts(pilot) == []
        await pilot.press("y")
        assert pilot.app.clipboard == "acode-tui db restore acode_backup_20260314_120431"


async def test_a_dialog_that_is_left_does_not_end_its_job_and_others_wait_for_it(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot, holding(fake):
        await until_listed(pilot)
        assert _enabled(pilot, "b")
        await pilot.press("b")
        await until(pilot, lambda: isinstance(pilot.app.screen, BackupScreen) and _enabled(pilot, "enter"))
        await pilot.press("enter", "escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
        assert _enabled(pilot, "b") is False
        assert _enabled(pilot, "m") is False
        assert _enabled(pilot, "s")
        pilot.app.screen.action_backup()  # type: ignore[attr-defined]
        await until(pilot, lambda: "28%" in shown(pilot))
        await pilot.press("escape")
        fake.backing_up.set()
        await until(pilot, lambda: toasts(pilot) == [("backup", "acode_backup_20260314_120431\n4.2 MB copied")])
        assert _enabled(pilot, "b")


async def test_a_migration_takes_a_backup_first_and_one_that_fails_is_the_end_of_it(fake: FakeWorkspace) -> None:
    fake.settings = syncing()
    fake.remote_plan = TierMigrations(tier="postgres", from_version="1.1.0", to_version="1.2.0", pending=("1.2.0",))
    fake.refuses = TransactionError("there is no room [/red]", hint="free some space")
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("m")
        await until(pilot, lambda: "First a backup" in shown(pilot) and ".agent/backups/" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: "✗ there is no room [/red]" in shown(pilot) and "free some space" in shown(pilot))
        assert "ACODE-DB-002" in shown(pilot)
        assert fake.remote_plan.pending == ("1.2.0",)


async def test_health_names_each_check_and_what_would_help(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("y")
        assert pilot.app.clipboard == fake_id(0)
        await pilot.press("h")
        await until(pilot, lambda: "2 of 4 checks found something" in shown(pilot))
        assert "✗ unhealthy" in shown(pilot).splitlines()[0]
        # What is worst is looked at first, and stays so while nobody moves.
        await pilot.press("y")
        assert pilot.app.clipboard.startswith("acode-tui db backup prune")
        await pilot.press("k", "y")
        await until(pilot, lambda: "1 record was given up [/red]" in shown(pilot))
        assert pilot.app.clipboard == "acode-tui db outbox list --status failed, then retry or discard"
        looked = fake.examined
        fake.version += 1
        for _ in range(20):
            await pilot.pause(0.01)
        assert fake.examined == looked
        await pilot.press("R")
        await until(pilot, lambda: fake.examined > looked)
        await pilot.press("g", "y")
        assert pilot.app.clipboard == "database: answers in 0.4 ms; 4.2 MB are sound"
        assert isinstance(pilot.app.screen, HealthScreen)


def _enabled(pilot: Pilot[int], key: str) -> bool | None:
    """Whether a key does something now; None if it is not there at all."""
    active = pilot.app.screen.active_bindings.get(key)
    return active.enabled if active is not None else None


async def test_a_defect_in_a_job_is_told_and_does_not_end_the_dashboard(fake: FakeWorkspace) -> None:
    async def defect() -> None:
        await asyncio.sleep(0)
        raise RuntimeError("nobody foresaw [/this]")

    app = over(fake)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        assert app.start_job("import", defect)
        await until(pilot, lambda: ("RuntimeError", "nobody foresaw [/this]") in toasts(pilot))
        run = app.jobs.run_of("import")
        assert run is not None
        assert run.ended
        assert app.is_running


async def test_the_log_is_filtered_held_and_copied(fake: FakeWorkspace, tmp_path: Path) -> None:
    log = tmp_path / "acode.log"
    log.write_text(_entry("warning", "statement.slow", "outbox") + _entry("error", "sync.refused", "[/red]"))
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        pilot.app.push_screen(LogScreen(log))
        await until(pilot, lambda: "2 lines" in shown(pilot))
        await pilot.press("slash", *"refu", "enter")
        await until(pilot, lambda: "sync.refused" in shown(pilot) and "statement.slow" not in shown(pilot))
        await pilot.press("y")
        assert pilot.app.clipboard.endswith("sync.refused  table=[/red]")
        await pilot.press("f", "slash", "z", "enter")
        await until(pilot, lambda: "2 lines of the log" in shown(pilot) and "remove the filter" in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: "2 lines" in shown(pilot))
        await pilot.press("space")
        with log.open("a") as file:
            file.write(_entry("error", "came.later", "x"))
        await until(pilot, lambda: "holding still, 1 more" in shown(pilot))
        assert "came.later" not in shown(pilot)
        await pilot.press("space")
        await until(pilot, lambda: "came.later" in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))


async def test_a_record_and_a_conflict_tell_everything_and_are_copied(fake_online: FakeWorkspace) -> None:
    async with over(fake_online).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("r")
        await until(pilot, lambda: "refused  10 times" in shown(pilot))
        assert "never; given up 2026-03-14 12:03:31" in shown(pilot)
        await pilot.press("y")
        assert '"name": "Run the tests"' in pilot.app.clipboard
        await pilot.press("Y")
        assert pilot.app.clipboard == fake_id(3, 3)
        await pilot.press("j")
        await until(pilot, lambda: "next try 2026-03-14 12:05:09, in 00:38" in shown(pilot))
        await pilot.press("escape", "c")
        await until(pilot, lambda: "db.example.org:5432/runs  ✓ won" in shown(pilot))
        assert ", not reviewed" in shown(pilot)
        await pilot.press("Y")
        assert pilot.app.clipboard == fake_id(0, 3)
        await pilot.press("y")
        assert "Run all the tests" in pilot.app.clipboard


async def test_where_sync_is_off_there_is_nothing_to_pause_and_what_is_said_twice_stands_there_once(
    fake: FakeWorkspace,
) -> None:
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        await pilot.press("p", "p", "p")
        await until(pilot, lambda: toasts(pilot))
        assert [title for title, _ in toasts(pilot)] == ["pause"]
        assert "config set persistence.postgres.enabled true" in toasts(pilot)[0][1]
        assert (fake.sync.paused, fake.sync.resumed) == (0, 0)


async def test_keys_without_an_object_are_dim(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        await pilot.press("r")
        await until(pilot, lambda: "Nothing was refused" in shown(pilot))
        assert [_enabled(pilot, key) for key in "rRdy"] == [False] * 4
        await pilot.press("r", "R", "d", "y", "escape", "c")
        await until(pilot, lambda: "No two versions have met" in shown(pilot))
        assert [_enabled(pilot, key) for key in "voy"] == [False] * 3


async def test_no_two_commands_of_the_palette_are_called_the_same_and_each_tells_its_key(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        assert {"Previous page", "Next page", "First page", "Backup"} <= _commands(pilot).keys()
        await pilot.press("enter")
        await until(pilot, lambda: "Every artifact of the run" in _commands(pilot))
        assert _commands(pilot)["Export"] == "e  Export this session as a report or as JSON"


def _commands(pilot: Pilot[int]) -> dict[str, str]:
    """What each command of the palette is called, and what it says of itself."""
    commands = list(pilot.app.get_system_commands(pilot.app.screen))
    told = {command.title: command.help for command in commands}
    assert len(told) == len(commands)
    return told


async def test_the_palette_has_the_first_screens_actions_everywhere(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("h")
        await until(pilot, lambda: "checks found something" in shown(pilot))
        titles = [command.title for command in pilot.app.get_system_commands(pilot.app.screen)]
        assert {"Look again", "Copy", "Sync", "Migrate", "Backup", "Settings", "Retries", "Import", "Theme"} <= {
            *titles
        }
        assert len(titles) == len(set(titles))
        await pilot.press("ctrl+p")
        await pilot.pause()
        await pilot.press(*"backup")
        await until(pilot, lambda: "safe place" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, BackupScreen))


async def test_a_session_is_exported_in_a_form_to_a_path_and_a_name_that_is_taken_can_be_corrected(
    fake: FakeWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        await pilot.press("j", "e")
        await until(pilot, lambda: "What looks like a secret is hidden." in shown(pilot))
        await pilot.press("down", *"taken", "enter")
        await until(pilot, lambda: "exists already" in shown(pilot))
        await pilot.press("end", "2", "up", "enter")
        await until(pilot, lambda: "✓ Exported." in shown(pilot) and "2 secrets hidden" in shown(pilot))
        await pilot.press("y")
        assert pilot.app.clipboard == "taken2"
        assert fake.exported == [(fake_id(1), "html", Path("taken")), (fake_id(1), "markdown", Path("taken2"))]
        await pilot.press("escape", "enter")
        await until(pilot, lambda: "Executing" in shown(pilot).splitlines()[0])
        await pilot.press("e", "enter")
        await until(pilot, lambda: "acode_session_0190d6a1" in shown(pilot))
        assert fake.exported[-1] == (fake_id(1), "markdown", None)


async def test_an_export_tells_how_far_it_is_and_a_key_stops_it(
    fake: FakeWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        for key in ("escape", "ctrl+c"):
            async with exporting_slowly(fake):
                await pilot.press("e")
                await until(pilot, lambda: "What looks like a secret" in shown(pilot))
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
            go_on.wait(20)

    monkeypatch.setattr(ReportFile, "add", slow)

    @asynccontextmanager
    async def opening() -> AsyncIterator[Workspace]:
        yield workspace

    async with dashboard(tmp_path, opening).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("e")
        await until(pilot, lambda: "What looks like a secret" in shown(pilot))
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


def _entry(level: str, event: str, table: str) -> str:
    stamp = "2026-03-14T12:00:00.000000Z"
    return f'{{"level": "{level}", "timestamp": "{stamp}", "event": "{event}", "table": "{table}"}}\n'


async def test_a_screen_that_cannot_be_read_says_so_itself_and_tries_again(fake_online: FakeWorkspace) -> None:
    fake = fake_online
    working = {"graph": fake.store.get_with_hierarchy, "records": fake.outbox.list}

    async def locked(*_: object, **__: object) -> Any:
        raise TransactionError("the disk is gone [/red]", hint="plug it in")

    fake.store.get_with_hierarchy = locked  # type: ignore[method-assign]
    fake.outbox.list = locked  # type: ignore[method-assign]
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "could not be read" in shown(pilot) and "✗ the disk is gone [/red]" in shown(pilot))
        assert "plug it in" in shown(pilot)
        fake.store.get_with_hierarchy = working["graph"]  # type: ignore[method-assign, assignment]
        await until(pilot, lambda: "Add input validation" in shown(pilot))
        await pilot.press("escape", "r")
        await until(pilot, lambda: "could not be read" in shown(pilot) and "ACODE-DB-002" in shown(pilot))
        fake.outbox.list = working["records"]  # type: ignore[method-assign, assignment]
        await until(pilot, lambda: "1 dead letter" in shown(pilot).splitlines()[0])
