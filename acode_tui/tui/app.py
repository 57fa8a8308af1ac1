"""The dashboard: it holds the workspace open for as long as it runs, and owns whatever outlives a screen.

The workspace's worker belongs to the app and not to a widget. Sync and migrations run as jobs of the app: no key and no
closed screen cancels them, and leaving waits for them.
"""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.events import Key
from textual.screen import Screen
from textual.timer import Timer

from acode_tui.config import Settings
from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.display import clean
from acode_tui.domain.errors import AcodeError
from acode_tui.logs import get_logger
from acode_tui.tui import themes
from acode_tui.tui.actions import Actions
from acode_tui.tui.bindings import APP
from acode_tui.tui.commands import key_commands
from acode_tui.tui.jobs import Jobs
from acode_tui.tui.live import LiveScreen
from acode_tui.tui.screens.main import MainScreen
from acode_tui.tui.styles import style_path
from acode_tui.tui.team import TeamRuns

if TYPE_CHECKING:
    from acode_tui.storage.ports import RunStateReader
    from acode_tui.tui.importing import Importer
    from acode_tui.tui.ports import DashboardWorkspace, MigrateOnly, Opening

_log = get_logger("acode_tui.tui")
_MAX_TOAST_CHARS = 400
Work = TypeVar("Work")


class Dashboard(App[int]):
    """The terminal interface over one workspace."""

    TITLE = "acode-tui"
    CSS_PATH: ClassVar[list[Path]] = [style_path("app.tcss")]  # type: ignore[assignment]
    BINDINGS: ClassVar[list[BindingType]] = [*APP]
    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] = [(0, "-narrow"), (100, "-normal"), (160, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS: list[tuple[int, str]] = [(0, "-short"), (30, "-medium"), (48, "-tall")]  # noqa: RUF012

    def __init__(
        self,
        root: Path,
        settings: Settings,
        *,
        opening: "Opening",
        importer: "Importer | None" = None,
        wall: WallClock = system_clock,
        zone: tzinfo | None = None,
        save_theme: Callable[[str], None] | None = None,
        settle: Callable[[], None] = lambda: None,
        migrate_only: "MigrateOnly | None" = None,
    ) -> None:
        """``opening`` opens the workspace; ``zone`` is where times are shown in, None the machine's own;
        ``save_theme`` keeps a chosen theme for the next start; ``settle`` is called once the first frame stands, and
        again once the workspace does. ``migrate_only`` asks before migrations run.
        """
        super().__init__()
        self.root = root
        self.settings = settings
        self.zone = zone
        self.workspace: DashboardWorkspace | None = None
        self.team = TeamRuns(self.report)
        self.fault: BaseException | None = None
        self._opening = opening
        self._importer = importer
        self._wall = wall
        self._save_theme = save_theme
        self._settle = settle
        self._migrate_only = migrate_only
        self._leaving = asyncio.Event()
        self._first_frame = asyncio.Event()
        self._held: asyncio.Task[None] | None = None
        self.jobs = Jobs(self.report, self._jobs_changed)
        self.actions = Actions(self)
        self._team_timer: Timer | None = None
        self._followed: Settings | None = None
        for theme in themes.THEMES:
            self.register_theme(theme)
        self._kept_theme = settings.tui.theme or themes.DEFAULT
        self.theme = themes.DEFAULT
        self._wear_kept_theme()
        self.set_keymap(settings.tui.keymap)

    def now(self) -> datetime:
        """The present moment, from the clock given."""
        return self._wall()

    async def pause(self, seconds: float) -> None:
        """Let time pass in a worker, such as between the keys of a search."""
        await asyncio.sleep(seconds)

    async def in_thread(self, work: Callable[..., Work], *arguments: Any) -> Work:
        """Run something slow and pure off the event loop."""
        return await asyncio.to_thread(work, *arguments)

    # The workspace's life

    def get_default_screen(self) -> Screen[Any]:
        return MainScreen(self.settings.tui.page_size)

    def on_mount(self) -> None:
        self.call_after_refresh(self._open)
        self.theme_changed_signal.subscribe(self, lambda theme: self._keep_theme(theme.name))
        self._tell_unknown_theme()

    def _open(self) -> None:
        """Begin once the first frame is on screen: opening takes imports and files, and a frame takes neither."""
        self._settle()
        if not self._leaving.is_set():
            self._held = asyncio.create_task(self._hold_workspace(), name="workspace")

    async def _hold_workspace(self) -> None:
        opened = False
        try:
            opening = await self._agreed_opening()
            if opening is None:
                self.exit(return_code=1)
                return
            async with opening() as workspace:
                opened = True
                self.workspace = workspace
                self._followed = workspace.settings
                self.refresh_screens()
                self._settle()
                await self._leaving.wait()
                self.workspace = None
        except asyncio.CancelledError:
            raise  # the user left before it was open
        except BaseException as fault:
            self.fault = fault
            if not opened:
                # Leaving before the first screen stands would tear it down half made.
                await self._first_frame.wait()
                self.exit(return_code=1)
            if not isinstance(fault, AcodeError):
                raise

    async def _agreed_opening(self) -> "Opening | None":
        """How to open; None if migrations are due, may not run by themselves, and the user says no."""
        if self._migrate_only is None or not (due := await self._migrate_only.due()):
            return self._opening
        from acode_tui.tui.screens.confirm import Confirm

        await self._first_frame.wait()
        question = (
            f"This workspace needs {', '.join(due)}, and migrations.auto_migrate is off.\n\n"
            "A backup is taken first. Without them the dashboard cannot open it."
        )
        answer: asyncio.Future[bool | None] = asyncio.get_running_loop().create_future()
        self.push_screen(Confirm("Migrate the workspace?", question, yes="migrate"), answer.set_result)
        return self._migrate_only.opening if await answer else None

    async def on_unmount(self) -> None:
        """Leave: jobs come to their end, the worker finishes its batch, the files are closed."""
        self._first_frame.set()
        await self.team.end()
        await self.jobs.settled()
        self._leaving.set()
        if self._held is not None:
            if self.workspace is None:
                self._held.cancel()
            await asyncio.gather(self._held, return_exceptions=True)

    def on_ready(self) -> None:
        self._first_frame.set()

    def refresh_screens(self) -> None:
        """Have every screen that shows the workspace read again, covered ones too."""
        for screen in self.screen_stack if self.is_running else ():
            if isinstance(screen, LiveScreen):
                screen.refresh_now()

    # Whose runs

    @property
    def runs(self) -> "RunStateReader | None":
        """What sessions are read from: the team's runs where they are open, else the workspace's own."""
        return self.team.reader or (self.workspace.store if self.workspace is not None else None)

    def watch_team(self) -> None:
        """Read the team's runs again every so often while they are open: as often as the worker syncs."""
        if self._team_timer is not None:
            self._team_timer.stop()
            self._team_timer = None
        if self.team.is_open:
            settings = self._followed or self.settings
            self._team_timer = self.set_interval(settings.persistence.sync.interval_seconds, self.turn_team)

    def turn_team(self) -> None:
        """An occasion to read the team's runs again; the screen on top takes it, a covered one when it is back."""
        self.team.turn += 1
        if isinstance(self.screen, LiveScreen):
            self.screen.poll()

    def action_reload(self) -> None:
        self.team.turn += 1
        if isinstance(self.screen, LiveScreen):
            self.screen.refresh_now()

    # Settings

    def take_over(self, settings: Settings) -> None:
        """Take over settings that the workspace has reloaded: theme, pace, page size and keys."""
        before = self._followed
        if before is None or settings is before:
            return
        self._followed = self.settings = settings
        if settings.tui.theme != before.tui.theme:
            self._kept_theme = settings.tui.theme or themes.DEFAULT
            self._wear_kept_theme()
            self._tell_unknown_theme()
        if settings.tui.keymap != before.tui.keymap:
            self.set_keymap(settings.tui.keymap)
        for screen in self.screen_stack:
            if isinstance(screen, LiveScreen):
                screen.take_over(settings, before)
        self.watch_team()

    def _wear_kept_theme(self) -> None:
        """Put the chosen theme on; one that does not exist changes nothing."""
        known = self._kept_theme in self.available_themes
        self._unknown_theme = None if known else self._kept_theme
        if known:
            self.theme = self._kept_theme

    def _tell_unknown_theme(self) -> None:
        if self._unknown_theme is not None:
            known = f"there is no theme {self._unknown_theme!r}; press t to choose one"
            self.notify(clean(known), title="theme", severity="warning", markup=False)

    # Jobs

    def start_job(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Run something to its end whatever happens on screen; False if another job holds it off."""
        return self.jobs.start(name, lambda run: work()) is not None

    def _jobs_changed(self) -> None:
        self.refresh_screens()
        for screen in self.screen_stack if self.is_running else ():
            screen.refresh_bindings()

    # Faults

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Foreseen faults inside become a toast and a log line."""
        try:
            yield
        except AcodeError as error:
            self.report(error)

    def report(self, fault: BaseException) -> None:
        """Show a fault and log it. Recorded text in it is never read as markup."""
        if isinstance(fault, AcodeError):
            code, message = fault.code, fault.message + (f"\n{fault.hint}" if fault.hint else "")
            _log.error("dashboard.fault", code=code, error=str(fault))
        else:
            code, message = type(fault).__name__, str(fault)
            _log.error("dashboard.fault", code=code, error=str(fault), exc_info=fault)
        shown = clean(message, max_chars=_MAX_TOAST_CHARS, keep_newlines=True)
        self.notify(shown, title=code, severity="error", timeout=8, markup=False)

    # What belongs to the app

    @property
    def importer(self) -> "Importer":
        """What finds and reads transcripts."""
        if self._importer is None:
            from acode_tui.tui.importing import TranscriptImporter

            self._importer = TranscriptImporter(self.settings)
        return self._importer

    def on_key(self, event: Key) -> None:
        """Give a letter typed ahead of a search line to the line: the key before it was still opening it."""
        now = self.focused
        if now is not None and now.check_consume_key(event.key, event.character):
            event.prevent_default()
            now.post_message(Key(event.key, event.character))

    def action_help(self) -> None:
        from acode_tui.tui.screens.help import HelpScreen

        self.push_screen(HelpScreen(self.screen))

    def action_theme(self) -> None:
        self.search_themes()

    def _keep_theme(self, name: str) -> None:
        if self._save_theme is not None and name != self._kept_theme:
            self._kept_theme = name
            with self.reporting():
                self._save_theme(name)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Every key of the screen as a command, then Textual's own."""
        yield from key_commands(self, screen)
        for command in super().get_system_commands(screen):
            if command.title not in ("Quit", "Theme", "Keys"):
                yield command


def _settle() -> None:
    gc.freeze()
    gc.enable()


def run_dashboard(root: Path, settings: Settings) -> int:
    """Open the workspace at ``root`` and show it until the user leaves. Raises AcodeError if it cannot be opened."""
    from acode_tui.tui.opening import migrate_only, open_for_dashboard, theme_keeper

    app = Dashboard(
        root,
        settings,
        opening=open_for_dashboard(root, settings),
        save_theme=theme_keeper(root),
        settle=_settle,
        migrate_only=migrate_only(root, settings),
    )
    code = app.run()
    if app.fault is not None:
        raise app.fault
    return code or app.return_code or 0
