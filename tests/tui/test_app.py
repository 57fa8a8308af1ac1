"""The app: opening and its errors, keys and their remapping, themes, imports, quitting."""

import asyncio
import importlib.util
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.command import CommandPalette

from acode_tui.config import MigrationSettings, Settings, TuiSettings
from acode_tui.domain.errors import SchemaMismatchError
from acode_tui.storage.ports import OutboxStats
from acode_tui.sync.ports import SyncReport
from acode_tui.tui import bindings, preload
from acode_tui.tui.app import Dashboard
from acode_tui.tui.dialogs.help import HelpDialog
from acode_tui.tui.live_screen import LiveScreen
from acode_tui.tui.main.screen import MainScreen
from acode_tui.tui.opening import is_own_checkout, migration_consent, theme_saver
from acode_tui.tui.ports import MigrationConsent
from acode_tui.tui.style.paths import style_path
from acode_tui.tui.tools.log import LogScreen
from acode_tui.tui.widgets.keybar import KeyBar
from tests.tui.driving import (
    SETTINGS,
    NothingFound,
    browser,
    dashboard,
    main_screen,
    over,
    sessions,
    shown,
    toasts,
    until,
    until_listed,
)
from tests.tui.fake import NOW, FakeWorkspace, conflict

TABLES = {name: table for name, table in vars(bindings).items() if isinstance(table, list) and name.isupper()}


@pytest.mark.parametrize("name", TABLES)
def test_every_key_has_an_id_a_description_and_a_tooltip(name: str) -> None:
    for binding in TABLES[name]:
        assert binding.id, binding
        assert binding.tooltip, binding
        assert binding.description, binding


async def test_leaving_stops_a_sync_that_was_asked_for_instead_of_waiting_for_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = FakeWorkspace()
    stopped = asyncio.Event()

    async def hang(**_: object) -> SyncReport:
        fake.sync.syncs += 1
        await stopped.wait()
        return SyncReport(remaining=1)

    async def stop() -> None:
        stopped.set()

    monkeypatch.setattr(fake.sync, "sync_now", hang)
    monkeypatch.setattr(fake.sync, "stop", stop)
    async with over(fake).run_test() as pilot:
        await until_listed(pilot)
        await pilot.press("s")
        await until(pilot, lambda: fake.sync.syncs)
        await pilot.press("q")
    assert stopped.is_set()


async def test_a_workspace_that_cannot_be_opened_ends_the_dashboard_with_its_error() -> None:
    @asynccontextmanager
    async def opening() -> AsyncIterator[Any]:
        raise SchemaMismatchError("the database is newer than this program")
        yield

    app = dashboard(Path("/nowhere"), opening)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: not app.is_running or app.fatal_error is not None)
    assert isinstance(app.fatal_error, SchemaMismatchError)
    assert app.return_code == 1


async def test_quitting_closes_the_workspace_after_its_jobs(fake: FakeWorkspace) -> None:
    order: list[str] = []

    @asynccontextmanager
    async def opening() -> AsyncIterator[Any]:
        yield fake
        order.append("closed")

    release = asyncio.Event()
    app = dashboard(fake.root, opening)

    async def job() -> None:
        await release.wait()
        order.append("job done")

    async with app.run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        assert app.start_job("sync", job)
        assert not app.start_job("sync", job)
        asyncio.get_running_loop().call_later(0.05, release.set)
    assert order == ["job done", "closed"]


async def test_the_first_frame_does_not_wait_for_the_workspace(fake: FakeWorkspace) -> None:
    gate = asyncio.Event()

    @asynccontextmanager
    async def opening() -> AsyncIterator[Any]:
        await gate.wait()
        yield fake

    async with dashboard(fake.root, opening).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "Opening the workspace" in shown(pilot))
        gate.set()
        await until_listed(pilot)


@pytest.mark.parametrize("agreed", [True, False])
async def test_the_user_is_asked_before_migrations_run(fake: FakeWorkspace, agreed: bool) -> None:
    opened: list[str] = []

    async def due() -> tuple[str, ...]:
        return ("1.1.0", "1.2.0")

    @asynccontextmanager
    async def opening() -> AsyncIterator[Any]:
        opened.append("migrated")
        yield fake

    app = over(fake, migration_consent=MigrationConsent(due, opening))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "This workspace needs 1.1.0, 1.2.0" in shown(pilot))
        assert opened == []
        if agreed:
            await pilot.press("y")
            await until_listed(pilot)
        else:
            await pilot.press("n")
            await until(pilot, lambda: app.return_code == 1)
    assert opened == (["migrated"] if agreed else [])


@pytest.mark.parametrize("key", ["y", "n"])
async def test_the_programs_own_checkout_becomes_a_workspace_only_on_demand(fake: FakeWorkspace, key: str) -> None:
    opened: list[str] = []

    @asynccontextmanager
    async def opening() -> AsyncIterator[Any]:
        opened.append("opened")
        yield fake

    app = dashboard(fake.root, opening, asks_for_folder=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "acode-tui --workspace DIR" in shown(pilot))
        assert opened == []
        await pilot.press(key)
        if key == "y":
            await until_listed(pilot)
        else:
            await until(pilot, lambda: not app.is_running or app.return_code == 0)
    assert opened == (["opened"] if key == "y" else [])


def test_a_checkout_is_asked_about_until_it_is_a_workspace(tmp_path: Path) -> None:
    checkout = Path(__file__).parents[2]
    assert not is_own_checkout(tmp_path)
    (tmp_path / "acode_tui").symlink_to(checkout / "acode_tui")
    assert is_own_checkout(tmp_path)
    (tmp_path / ".agent").mkdir()
    assert not is_own_checkout(tmp_path)


async def test_quitting_while_the_workspace_is_opening_does_not_hang(fake: FakeWorkspace) -> None:
    @asynccontextmanager
    async def opening() -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield fake

    async with dashboard(fake.root, opening).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "Opening the workspace" in shown(pilot))
        await pilot.press("q")
    assert isinstance(pilot.app, Dashboard)
    assert pilot.app.fatal_error is None


async def test_an_up_to_date_workspace_needs_no_consent(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(SETTINGS, migrations=MigrationSettings(auto_migrate=False))
    ask = migration_consent(tmp_path, settings)
    assert ask is not None
    assert list(await ask.due()) == []
    async with ask.opening():
        pass
    assert list(await ask.due()) == []
    assert migration_consent(tmp_path, SETTINGS) is None


async def test_keys_can_be_remapped_by_id(fake: FakeWorkspace) -> None:
    settings = msgspec.structs.replace(SETTINGS, tui=TuiSettings(refresh_seconds=0.1, keymap={"filter": "f5"}))
    async with over(fake, settings=settings).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("f")
        assert not browser(pilot).choosing
        await pilot.press("f5")
        assert browser(pilot).choosing


async def test_screens_are_preloaded_in_a_thread_until_the_dashboard_exits(
    fake: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    threads: set[int] = set()

    def record_import(name: str) -> None:
        names.append(name)
        threads.add(threading.get_ident())

    monkeypatch.setattr(preload, "DELAY", 0.01)
    monkeypatch.setattr(preload, "import_module", record_import)
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: names == list(preload.MODULES))
        assert threading.get_ident() not in threads
    leaving = threading.Event()
    leaving.set()
    preload.preload(leaving)
    assert len(names) == len(preload.MODULES)


def test_every_preloaded_module_exists() -> None:
    assert [name for name in preload.MODULES if importlib.util.find_spec(name) is None] == []


async def test_the_footer_shows_the_important_keys_at_eighty_columns_and_cuts_none(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        bar = main_screen(pilot).query_one(KeyBar)
        row = shown(pilot).splitlines()[-1].rstrip()
        assert row == " enter open  s sync  / search  f filter  [ ] page  i import  ? help  q quit"
        for width in range(20, 200):
            labels = [f"{label} {binding.description}" for label, binding in bar.shown(width)]
            assert len(" ".join(["", *labels])) <= width
            assert width < 30 or {"open", "help"} <= {binding.id for _, binding in bar.shown(width)}
        await pilot.resize_terminal(120, 36)
        await pilot.pause()
        ids = {binding.id for _, binding in bar.shown(120)}
        assert {"sync", "migrate", "pause", "search", "filter", "retries", "conflicts", "log", "import", "help"} <= ids
        line = shown(pilot).splitlines()[-1]
        assert line.rstrip().endswith("q quit")


async def test_the_footer_shows_timely_keys_first_and_no_key_that_would_be_typed(
    fake_online: FakeWorkspace,
) -> None:
    fake = fake_online
    fake.outbox.figures, fake.conflicts.conflicts = OutboxStats(), []
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)

        def footer() -> str:
            return shown(pilot).splitlines()[-1]

        assert "retries" not in footer()
        fake.outbox.figures = OutboxStats(pending=1, failed=1)
        fake.conflicts.conflicts = [conflict(0)]
        fake.version += 1
        await until(pilot, lambda: "r retries" in footer() and "c conflicts" in footer())
        await pilot.press("slash", *"memory")
        await until(pilot, lambda: "esc clear" in footer() and "↓ to the list" in footer())
        assert "search" not in footer(), "it would be typed"
        assert "f1 help" in footer()
        assert "r retries" not in footer()
        await pilot.press("down")
        await until(pilot, lambda: "esc clear" in footer() and "r retries" in footer())
        await pilot.press("escape")
        await until(pilot, lambda: "esc clear" not in footer())


async def test_a_click_on_the_footer_presses_the_key(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(80, 24)) as pilot:
        await until_listed(pilot)
        column = shown(pilot).splitlines()[-1].index("f filter")
        await pilot.click("#keys", offset=(column + 2, 0))
        await until(pilot, lambda: browser(pilot).choosing)


async def test_help_lists_the_bindings_of_the_screen(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 50)) as pilot:
        await until_listed(pilot)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpDialog) and "Send the backlog" in shown(pilot))
        for binding in bindings.MAIN:
            # Those keys exist while a file is not trusted, where transcripts can be followed, and during a search.
            elsewhere = ("trust", "follow_runs", "next_match", "previous_match")
            assert (binding.tooltip in shown(pilot)) == (binding.id not in elsewhere)


async def test_the_palette_has_every_key_of_the_screen(fake: FakeWorkspace) -> None:
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        titles = {command.title for command in pilot.app.get_system_commands(pilot.app.screen)}
        assert {
            "Sync",
            "Migrate",
            "Pause",
            "Filter",
            "Retries",
            "Conflicts",
            "Log",
            "Import",
            "Theme",
            "Quit",
        } <= titles
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(pilot.app.screen, CommandPalette))


async def test_a_chosen_theme_is_saved(fake: FakeWorkspace) -> None:
    kept: list[str] = []
    async with over(fake, save_theme=kept.append).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        pilot.app.theme = "nord"
        await until(pilot, lambda: kept == ["nord"])
        assert "Add input validation" in shown(pilot)


async def test_every_theme_can_be_applied(fake_online: FakeWorkspace) -> None:
    async with over(fake_online).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        for theme in pilot.app.available_themes:
            pilot.app.theme = theme
            await pilot.pause()
            assert "Add input validation" in shown(pilot), theme


async def test_an_unknown_theme_is_reported_and_replaced_by_the_default(fake: FakeWorkspace) -> None:
    settings = msgspec.structs.replace(SETTINGS, tui=TuiSettings(theme="no-such", refresh_seconds=0.1))
    async with over(fake, settings=settings).run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: toasts(pilot))
        assert "no-such" in toasts(pilot)[0][1]
        assert pilot.app.theme == "acode-night"


def test_a_theme_is_saved_in_the_users_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    theme_saver(tmp_path)("nord")
    written = tmp_path / "config" / "acode-tui" / "config.toml"
    assert 'theme = "nord"' in written.read_text()
    assert written.stat().st_mode & 0o777 == 0o600


async def test_a_covered_screen_does_not_poll_and_reads_at_once_when_uncovered(
    fake: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls = 0
    poll = MainScreen._poll

    async def counted(self: MainScreen, workspace: Any) -> None:
        nonlocal polls
        polls += 1
        await poll(self, workspace)

    # Not the workspace's ``data_version``: the app looks for alerts by it, whatever screen is on top.
    monkeypatch.setattr(MainScreen, "_poll", counted)
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        await pilot.press("l")
        await until(pilot, lambda: isinstance(pilot.app.screen, LogScreen))
        await pilot.pause()
        before = polls
        for _ in range(20):
            await pilot.pause(0.02)
        assert polls == before
        fake.store.sessions = fake.store.sessions[:5]
        await pilot.press("escape")
        await until(pilot, lambda: sessions(pilot).row_count == 5)


async def test_a_slow_read_is_not_started_twice(fake: FakeWorkspace) -> None:
    running = most = 0
    release = asyncio.Event()
    answer = fake.data_version

    async def slow() -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1
        return await answer()

    fake.data_version = slow  # type: ignore[method-assign]
    async with over(fake).run_test(size=(120, 36)) as pilot:
        for _ in range(20):
            await pilot.pause(0.02)
        assert most == 1
        release.set()
        await until_listed(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, LiveScreen)


async def test_the_log_screen_follows_the_file(fake: FakeWorkspace, tmp_path: Path) -> None:
    log = tmp_path / "acode-tui.log"
    log.write_bytes(b'{"level":"info","event":"opened","timestamp":"2026-03-14T12:00:00Z","entity_id":"[/x]"}\n')
    async with over(fake).run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        pilot.app.push_screen(LogScreen(log))
        await until(pilot, lambda: "12:00:00  info     opened  entity_id=[/x]" in shown(pilot))
        with log.open("ab") as file:
            file.write(b'{"level":"error","event":"broke","timestamp":"2026-03-14T12:00:01Z"}\n{"half')
        await until(pilot, lambda: "broke" in shown(pilot))
        assert "half" not in shown(pilot)
        await pilot.press("f", "f")
        await until(pilot, lambda: "opened" not in shown(pilot))
        assert "broke" in shown(pilot)


async def test_the_log_shows_times_in_the_zone_of_the_dashboard_and_the_day_of_a_line(
    fake: FakeWorkspace, tmp_path: Path
) -> None:
    log = tmp_path / "acode-tui.log"
    stamps = ("2026-03-10T08:00:00Z", "2026-03-13T23:30:00Z", "2026-03-14T12:00:00.250000Z", "yesterday")
    log.write_text("".join(f'{{"event":"e{n}","timestamp":"{stamp}"}}\n' for n, stamp in enumerate(stamps)))
    zone = timezone(timedelta(hours=2))
    app = Dashboard(fake.root, SETTINGS, opening=fake.opening, importer=NothingFound(), wall=lambda: NOW, zone=zone)
    async with app.run_test(size=(120, 36)) as pilot:
        await until_listed(pilot)
        pilot.app.push_screen(LogScreen(log))
        await until(pilot, lambda: "e3" in shown(pilot))
        lines = [line.strip(" │").split("  ")[0] for line in shown(pilot).splitlines()]
        assert lines[2:8] == ["Tuesday 10 March", "10:00:00", "Today", "01:30:00", "14:00:00", "info"]
        await pilot.press("slash", *"01:30", "enter")
        await until(pilot, lambda: "1 line" in shown(pilot))


def test_the_style_sheet_is_found_and_absolute() -> None:
    assert style_path("app.tcss").is_absolute()
    with pytest.raises(FileNotFoundError):
        style_path("no-such.tcss")


def test_the_start_imports_no_highlighter_no_driver_and_no_other_screen() -> None:
    code = (
        "import sys, acode_tui.tui.app\n"
        "from acode_tui.tui.terminal_images import terminal_images\n"
        "terminal_images({'TERM': 'xterm-kitty'})\n"
        "heavy = ('PIL', 'textual_image',"
        " 'pygments', 'asyncpg', 'structlog', 'watchfiles', 'acode_tui.ingest.importer',"
        " 'acode_tui.workspace', 'acode_tui.tui.run.screen', 'acode_tui.tui.dialogs.import_')\n"
        "print(*[name for name in heavy if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == []


def test_the_dashboards_default_settings() -> None:
    settings = Settings()
    app = Dashboard(Path("/"), settings, opening=FakeWorkspace().opening)
    assert app.settings.tui.refresh_seconds == 0.5
    assert app.settings.tui.page_size == 50
