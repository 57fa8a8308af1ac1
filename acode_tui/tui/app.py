"""The Textual app of the dashboard. It keeps the workspace open while it runs, and owns what outlives a screen.

Sync and migrations run as jobs of the app, not as workers of a screen: no key and no closed screen cancels them, and
the app waits for them before it exits.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import msgspec
from textual import on, work
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.events import Event, InputEvent, Key
from textual.filter import LineFilter
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.timer import Timer

from acode_tui.config import Settings
from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.display import clean
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.quantities import counted
from acode_tui.logs import get_logger
from acode_tui.tui import garbage, preload
from acode_tui.tui.actions import Actions
from acode_tui.tui.bindings import APP, commands
from acode_tui.tui.following import FollowConsent, Following
from acode_tui.tui.jobs import Jobs
from acode_tui.tui.keymap import keymap_problems
from acode_tui.tui.layout import Layout
from acode_tui.tui.live_screen import LiveScreen
from acode_tui.tui.main.screen import MainScreen
from acode_tui.tui.messages import BackupsRequested, QueryRequested, RestoreRequested, RunRequested
from acode_tui.tui.personal import PersonalFile
from acode_tui.tui.run_alerts import Alert, RunAlerts
from acode_tui.tui.state import DashboardState
from acode_tui.tui.style import themes
from acode_tui.tui.style.colour_depth import EVERY_COLOUR, TerminalColours, apply_depth
from acode_tui.tui.style.paths import style_path
from acode_tui.tui.style.stylesheet import ParsedOnce
from acode_tui.tui.style.themes import ThemePreference, without_colours
from acode_tui.tui.team import TeamRuns
from acode_tui.tui.terminal import copy
from acode_tui.tui.terminal_images import NO_IMAGES, TerminalImages
from acode_tui.tui.trust_question import TrustQuestion
from acode_tui.tui.widgets.cursor_place import cursor_is_low, toasts_make_room
from acode_tui.tui.workspace_holder import WorkspaceHolder

if TYPE_CHECKING:
    from textual.command import Provider

    from acode_tui.ingest import ImportReport
    from acode_tui.ingest.follow import Follower
    from acode_tui.storage.ports import Backup, RunStateReader
    from acode_tui.tui.ports import DashboardWorkspace, MigrationConsent, WorkspaceOpener
    from acode_tui.tui.transcript_import import Importer
    from acode_tui.workspace.first_page import FirstPage

_log = get_logger("acode_tui.tui")
_MAX_TOAST_CHARS = 400
Work = TypeVar("Work")
Toast = tuple[str, str, SeverityLevel]
"""Title, text and severity of a toast."""


def _commands() -> "type[Provider]":
    from acode_tui.tui.command_provider import DashboardCommands

    return DashboardCommands


class Dashboard(App[int]):
    """The terminal interface over one workspace."""

    TITLE = "acode-tui"
    CSS_PATH: ClassVar[list[Path]] = [style_path("app.tcss")]  # type: ignore[assignment]
    BINDINGS: ClassVar[list[BindingType]] = [*APP]
    _has_theme = False
    COMMANDS = {_commands}  # noqa: RUF012
    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] = [(0, "-narrow"), (100, "-normal"), (160, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS: list[tuple[int, str]] = [  # noqa: RUF012
        *((0, "-tiny"), (16, "-short"), (30, "-medium"), (48, "-tall")),
    ]

    def __init__(
        self,
        root: Path,
        settings: Settings,
        *,
        opening: "WorkspaceOpener",
        importer: "Importer | None" = None,
        wall: WallClock = system_clock,
        zone: tzinfo | None = None,
        save_theme: Callable[[str], None] | None = None,
        layout: Layout | None = None,
        save_layout: Callable[[Layout], None] = lambda layout: None,
        freeze_objects: Callable[[], None] = lambda: None,
        collect_garbage: Callable[[float], None] = lambda idle_seconds: None,
        migration_consent: "MigrationConsent | None" = None,
        asks_for_folder: bool = False,
        follow_consent: FollowConsent | None = None,
        personal: PersonalFile | None = None,
        terminal: TerminalColours = EVERY_COLOUR,
        images: TerminalImages = NO_IMAGES,
        can_restore: bool = False,
        begin_with: Toast | None = None,
        first_page: "FirstPage | None" = None,
    ) -> None:
        """``opening`` opens the workspace. Times are shown in ``zone``, None for the machine's own. ``save_theme``
        keeps a chosen theme for the next start, ``save_layout`` a changed ``layout``. ``freeze_objects`` is called
        after the first frame, and again once the workspace is open and once all screens are loaded, ``collect_garbage``
        now and then with the seconds since the last input. With ``migration_consent`` the user is asked
        before migrations run, with ``asks_for_folder`` before anything is written into the folder. With
        ``follow_consent`` transcripts are imported while they are written, as soon as the user agrees. ``personal``
        keeps the user's saved queries; without it they last until the end. ``terminal`` is what the terminal can show.
        ``can_restore``: what runs the dashboard restores the backup that ``restore`` names at its end. ``begin_with``
        is shown at the start. ``first_page`` is shown until the workspace is open.
        """
        self.terminal_colours = terminal
        super().__init__()
        self.stylesheet = ParsedOnce()
        apply_depth(self, terminal.depth)
        self.root = root
        self.settings = settings
        self.zone = zone
        self.personal = personal or PersonalFile()
        self.first_page = first_page
        self.restore: Backup | None = None
        """The backup to restore once the dashboard has ended."""
        self._can_restore = can_restore
        self._begin_with = begin_with
        self.state = DashboardState.create(layout or Layout(), settings.tui.page_size)
        self.team = TeamRuns(self.report)
        self.jobs = Jobs(self.report, self._jobs_changed)
        self.actions = Actions(self)
        self._holder = WorkspaceHolder(
            self,
            opening,
            opened=self.workspace_opened,
            migration_consent=migration_consent,
            asks_for_folder=asks_for_folder,
            freeze_objects=freeze_objects,
        )
        self.following = Following(self, self.state.follow, follow_consent)
        self.alerts = RunAlerts(self, root.name, self._write_to_terminal)
        self._trust = TrustQuestion(self, root, self.state, report=self.report)
        self._freeze_objects = freeze_objects
        self._collect_garbage = collect_garbage
        self._last_input = 0.0
        """When the user pressed the last key or moved the mouse, in the event loop's time."""
        self._importer = importer
        self._wall = wall
        self._save_layout = save_layout
        self._team_timer: Timer | None = None
        self._applied_settings: Settings | None = None
        """The settings of the workspace that were applied last; None before it is open."""
        self._may_follow = False
        self._leaving = threading.Event()
        self.images = images
        self._toasts: dict[tuple[str, str], tuple[float, int]] = {}
        """When each toast on screen goes, in the event loop's time, and how often it came, by title and message."""
        self._has_theme = True
        self._theme_preference = ThemePreference(
            self, settings.tui.theme, terminal=terminal, save=save_theme, report=self.report
        )
        self.set_keymap(settings.tui.keymap)

    @property
    def workspace(self) -> "DashboardWorkspace | None":
        """The workspace; None before it is open, and while the dashboard exits."""
        return self._holder.workspace

    @property
    def fatal_error(self) -> BaseException | None:
        """The error that ended the dashboard; None if the user did."""
        return self._holder.fatal_error

    def now(self) -> datetime:
        """The present moment of the clock given."""
        return self._wall()

    async def pause(self, seconds: float) -> None:
        """Sleep in a worker, such as between the keys of a search."""
        await asyncio.sleep(seconds)

    async def in_thread(self, work: Callable[..., Work], *arguments: Any) -> Work:
        """Run a slow function off the event loop."""
        return await asyncio.to_thread(work, *arguments)

    # Start and exit

    def get_default_screen(self) -> Screen[Any]:
        return MainScreen()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The background colours of diffs and of found text, which Textual's themes do not define."""
        return themes.extra_variables(self.current_theme)

    def get_css_variables(self) -> dict[str, str]:
        """The theme's colours, with enough contrast to be read; none before the first theme is chosen."""
        if not self._has_theme:
            return {}
        self.theme_variables = themes.corrected_variables(
            self.current_theme, super().get_css_variables(), self.terminal_colours.depth
        )
        return self.theme_variables

    def get_line_filters(self) -> Sequence[LineFilter]:
        filters = super().get_line_filters()
        return without_colours(self, filters) if self.no_color else filters

    def on_mount(self) -> None:
        self.call_after_refresh(self._holder.begin)
        self._theme_preference.begin()
        self._notify_keymap_problems()
        self.set_interval(garbage.IDLE_SECONDS, self._look_for_garbage)
        self.app_suspend_signal.subscribe(self, lambda _: self.alerts.hold(True))
        self.app_resume_signal.subscribe(self, lambda _: self.alerts.hold(False))

        if self._begin_with is not None:
            title, text, severity = self._begin_with
            self.notify(clean(text, keep_newlines=True), title=title, severity=severity, timeout=15, markup=False)

    def on_ready(self) -> None:
        self._holder.first_frame.set()

    def workspace_opened(self, workspace: "DashboardWorkspace") -> None:
        """Read every screen, and preload the other screens' modules later."""
        self._applied_settings = workspace.settings
        self._trust.settings_loaded(workspace.settings)
        self.refresh_screens()
        self.alerts.begin(workspace)
        self.set_timer(preload.DELAY, self._preload)

    @work(group="preload", exit_on_error=False)
    async def _preload(self) -> None:
        await self.in_thread(preload.preload, self._leaving)
        self._freeze_objects()

    async def on_unmount(self) -> None:
        """Exit: wait for the jobs, let the worker finish its batch, close the files."""
        self._holder.first_frame.set()
        self._leaving.set()
        await self._trust.end()
        await self.alerts.end()
        await self.following.end()
        await self.team.close()
        if self.workspace is not None and self.jobs.is_running("sync"):
            # The worker and the requested sync stop together, so that a hanging server is waited for once.
            await self.workspace.sync.stop()
        await self.jobs.wait()
        await self._holder.end()

    def refresh_screens(self) -> None:
        """Have every live screen read again, covered ones too."""
        for screen in self._live_screens():
            screen.refresh_now()

    # Following

    def follow_changed(self) -> None:
        """Show the state of following."""
        main = self.screen_stack[0] if self.is_running else None
        if isinstance(main, MainScreen):
            main.show_following()

    def follower(self, workspace: "DashboardWorkspace") -> "Follower":
        """What imports the transcripts of this folder as they are written."""
        from acode_tui.tui.transcript_import import follower_of

        return follower_of(workspace, self.settings, self._wall)

    async def before_import(self, session_ids: Sequence[str]) -> None:
        """Note what these sessions are before the new lines of their transcripts are read."""

    async def after_import(self, report: "ImportReport", *, everything: bool) -> None:
        """Show what was imported at once, on the screen that is seen; the others read when they are."""
        if report.written and isinstance(self.screen, LiveScreen):
            self.screen.refresh_now()

    # Alerts

    def _look_for_garbage(self) -> None:
        self._collect_garbage(asyncio.get_running_loop().time() - self._last_input)

    async def on_event(self, event: Event) -> None:
        if isinstance(event, InputEvent):
            self._last_input = asyncio.get_running_loop().time()
        self.alerts.attend(event)
        await super().on_event(event)

    def show_alerts(self, alerts: Sequence[Alert]) -> None:
        """Show the first urgent one in a toast, unless the list is on screen, which shows the states of all runs."""
        urgent = [alert for alert in alerts if alert.severity != "information"]
        if urgent and not isinstance(self.screen, MainScreen):
            rest = f"\nand {counted(len(urgent) - 1, 'other run')}" if len(urgent) > 1 else ""
            text = clean(urgent[0].name, max_chars=_MAX_TOAST_CHARS) + rest
            self.notify(text, title=urgent[0].label, severity=urgent[0].severity, markup=False)

    def _write_to_terminal(self, sequence: str) -> None:
        driver = self._driver
        if driver is not None and not (driver.is_headless or driver.is_web):
            driver.write(sequence)
            driver.flush()

    def _live_screens(self) -> Iterator[LiveScreen[Any]]:
        for screen in self.screen_stack if self.is_running else ():
            if isinstance(screen, LiveScreen):
                yield screen

    # State

    def store_read_failed(self, error: AcodeError) -> None:
        """The workspace's file cannot be read now. Every screen keeps what it shows, and shows the error."""
        self._begin_following()
        self._set_read_error(error)

    def store_read(self, write_error: AcodeError | None) -> None:
        """The workspace's file was read. ``write_error`` is why it cannot be written, None if it can."""
        self._begin_following()
        before, self.state.write_error = self.state.write_error, write_error
        changed = str(before or "") != str(write_error or "")
        if changed and write_error is not None:
            self.report(write_error)
        elif changed:
            self.notify("There is room again; nothing was lost.", title="writes go through")
        self._set_read_error(None, redraw=changed)

    def _set_read_error(self, error: AcodeError | None, *, redraw: bool = False) -> None:
        before, self.state.read_error = self.state.read_error, error
        if redraw or str(before or "") != str(error or ""):
            for screen in self._live_screens():
                screen.store_errors_changed()

    def _begin_following(self) -> None:
        """Look for transcripts once the first page is on screen: their modules would be loaded while it is read."""
        if not self._may_follow:
            self._may_follow = True
            self.call_after_refresh(self.following.begin)

    def change_layout(self, **changes: Any) -> Layout:
        """Change fields of the layout, and keep it for the next start."""
        self.state.layout = msgspec.structs.replace(self.state.layout, **changes)
        self._save_layout(self.state.layout)
        return self.state.layout

    @on(RunRequested)
    def _open_run(self, event: RunRequested) -> None:
        from acode_tui.tui.run.screen import SessionScreen

        self.push_screen(SessionScreen(event.session_id, place=event.place))

    @on(BackupsRequested)
    def _show_backups(self) -> None:
        from acode_tui.tui.tools.backups import BackupsScreen

        self.push_screen(BackupsScreen())

    @on(RestoreRequested)
    def _restore(self, event: RestoreRequested) -> None:
        """Exit, so that the file is closed; what runs the dashboard restores the backup and opens it again."""
        if self._can_restore:
            self.restore = event.backup
            self.exit(return_code=0)
        else:
            command = f"acode-tui db restore {event.backup.name}"
            self.notify(f"not from here; run `{command}`", title="restore", severity="warning", markup=False)

    @on(QueryRequested)
    def _show_query(self, event: QueryRequested) -> None:
        """Go back to the list, and search in it."""
        main = self.screen_stack[0]
        while len(self.screen_stack) > 1:
            self.pop_screen()
        if isinstance(main, MainScreen):
            main.find_runs(event.query)

    # The source of the runs

    @property
    def runs(self) -> "RunStateReader | None":
        """The store that sessions are read from: the team's while it is open, else the workspace's own."""
        return self.team.reader or (self.workspace.store if self.workspace is not None else None)

    def watch_team(self) -> None:
        """Read the team's runs again at every sync interval while they are open; stop otherwise."""
        if self._team_timer is not None:
            self._team_timer.stop()
            self._team_timer = None
        if self.team.is_open:
            settings = self._applied_settings or self.settings
            self._team_timer = self.set_interval(settings.persistence.sync.interval_seconds, self.refresh_team)

    def refresh_team(self) -> None:
        """Have the team's runs read again: by the screen on top now, by a covered one when it is uncovered."""
        self.team.version += 1
        if isinstance(self.screen, LiveScreen):
            self.screen.poll()

    def action_reload(self) -> None:
        """Read again what the screen on top shows."""
        self.team.version += 1
        if isinstance(self.screen, LiveScreen):
            self.screen.refresh_now()

    # Settings

    def apply_settings(self, settings: Settings) -> None:
        """Apply settings that the workspace has reloaded: theme, keys, and what the screens use."""
        before = self._applied_settings
        if before is None or settings is before:
            return
        self._applied_settings = self.settings = settings
        self._trust.settings_loaded(settings)
        if settings.tui.theme != before.tui.theme:
            self._theme_preference.change(settings.tui.theme)
        if settings.tui.keymap != before.tui.keymap:
            self.set_keymap(settings.tui.keymap)
            self._notify_keymap_problems()
        if settings.ingest != before.ingest:
            self.following.restart()
        for screen in self._live_screens():
            screen.apply_settings(settings, before)
        self.watch_team()

    def ask_for_trust(self) -> None:
        """Ask whether the workspace's settings file is trusted, also if that was answered before."""
        self._trust.ask(again=True)

    def _notify_keymap_problems(self) -> None:
        for problem in keymap_problems(self.settings.tui.keymap):
            self.notify(clean(problem), title="keys", severity="warning", timeout=12, markup=False)

    # Jobs

    def start_job(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Start a job that no closed screen cancels; False if a job under way excludes it."""
        return self.jobs.start(name, lambda run: work()) is not None

    def _jobs_changed(self) -> None:
        self.refresh_screens()
        for screen in self.screen_stack if self.is_running else ():
            screen.refresh_bindings()

    def copy(self, text: str, what: str, *, otherwise: str = "") -> bool:
        """Copy text to the terminal's clipboard. A toast says so, or why not and ``otherwise``."""
        return copy(self, text, what, otherwise=otherwise)

    # Toasts and errors

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Report an AcodeError that is raised inside, and go on."""
        try:
            yield
        except AcodeError as error:
            self.report(error)

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """Show a toast, in the half of the screen in which the cursor is not, or below everything else where the screen
        makes room for it. The same one again replaces the one that is still on screen, and says how often it came.
        """
        now = asyncio.get_running_loop().time()
        until, times = self._toasts.get((title, message), (now, 0))
        text = message
        if now < until:
            before = f"{message} ({times} times)" if times > 1 else message
            for earlier in [each for each in self._notifications if (each.title, each.message) == (title, before)]:
                self._unnotify(earlier)
            times += 1
            text = f"{message} ({times} times)"
        else:
            times = 1
        self._toasts[title, message] = now + (self.NOTIFICATION_TIMEOUT if timeout is None else timeout), times
        make_room = toasts_make_room(self.screen)
        self.screen.set_class(make_room, "-toasts-make-room")
        self.screen.set_class(not make_room and cursor_is_low(self.focused, self.size.height), "-toasts-above")
        super().notify(text, title=title, severity=severity, timeout=timeout, markup=markup)

    def report(self, error: BaseException) -> None:
        """Show an error as a toast and log it. Recorded text in it is not read as markup."""
        if isinstance(error, AcodeError):
            code, message = error.code, error.message + (f"\n{error.hint}" if error.hint else "")
            _log.error("dashboard.fault", code=code, error=str(error))
        else:
            code, message = type(error).__name__, str(error)
            _log.error("dashboard.fault", code=code, error=str(error), exc_info=error)
        shown = clean(message, max_chars=_MAX_TOAST_CHARS, keep_newlines=True)
        self.notify(shown, title=code, severity="error", timeout=8, markup=False)

    # Import, keys and commands

    @property
    def importer(self) -> "Importer":
        """Finds and imports transcripts."""
        from acode_tui.tui.transcript_import import TranscriptImporter

        return self._importer or TranscriptImporter(self.settings, wall=self._wall)

    def on_key(self, event: Key) -> None:
        """Pass on to the search line what was typed before it had the focus."""
        now = self.focused
        if now is None:
            return
        takes = now.check_consume_key(event.key, event.character)
        if not takes and event.key == "tab":
            from acode_tui.tui.widgets.input_lines import SearchLine

            takes = isinstance(now, SearchLine) and now.takes(event.key, event.character)
        if takes:
            event.prevent_default()
            now.post_message(Key(event.key, event.character))

    def action_help(self) -> None:
        from acode_tui.tui.dialogs.help import HelpDialog

        self.push_screen(HelpDialog(self.screen))

    def action_theme(self) -> None:
        self.search_themes()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The keys of the screen as commands, then Textual's own commands."""
        yield from commands(self, screen)
        for command in super().get_system_commands(screen):
            if command.title not in ("Quit", "Theme", "Keys"):
                yield command
