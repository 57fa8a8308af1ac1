"""The dashboard: it holds the workspace open for as long as it runs, and owns whatever outlives a screen.

The workspace's worker belongs to the app and not to a widget. Sync and migrations run as jobs of the app: no key and no
closed screen cancels them, and leaving waits for them.
"""

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import msgspec
from textual import work
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.events import Key
from textual.filter import LineFilter
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.timer import Timer

from acode_tui.config import Settings
from acode_tui.domain.clock import WallClock, system_clock
from acode_tui.domain.display import clean
from acode_tui.domain.errors import AcodeError
from acode_tui.logs import get_logger
from acode_tui.tui import preload
from acode_tui.tui.actions import Actions
from acode_tui.tui.bindings import APP, commands
from acode_tui.tui.jobs import Jobs
from acode_tui.tui.keymap import problems
from acode_tui.tui.layout import Layout
from acode_tui.tui.live_screen import LiveScreen
from acode_tui.tui.main.screen import MainScreen
from acode_tui.tui.state import DashboardState
from acode_tui.tui.style import themes
from acode_tui.tui.style.paths import style_path
from acode_tui.tui.style.themes import ThemePreference, without_colours
from acode_tui.tui.team import TeamRuns
from acode_tui.tui.terminal import copy
from acode_tui.tui.workspace_holder import WorkspaceHolder

if TYPE_CHECKING:
    from acode_tui.storage.ports import RunStateReader
    from acode_tui.tui.ports import DashboardWorkspace, MigrateOnly, Opening
    from acode_tui.tui.transcript_import import Importer

_log = get_logger("acode_tui.tui")
_MAX_TOAST_CHARS = 400
Work = TypeVar("Work")


class Dashboard(App[int]):
    """The terminal interface over one workspace."""

    TITLE = "acode-tui"
    CSS_PATH: ClassVar[list[Path]] = [style_path("app.tcss")]  # type: ignore[assignment]
    BINDINGS: ClassVar[list[BindingType]] = [*APP]
    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] = [(0, "-narrow"), (100, "-normal"), (160, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS: list[tuple[int, str]] = [  # noqa: RUF012
        *((0, "-tiny"), (16, "-short"), (30, "-medium"), (48, "-tall")),
    ]

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
        layout: Layout | None = None,
        save_layout: Callable[[Layout], None] = lambda layout: None,
        settle: Callable[[], None] = lambda: None,
        migrate_only: "MigrateOnly | None" = None,
    ) -> None:
        """``opening`` opens the workspace; ``zone`` is where times are shown in, None the machine's own;
        ``save_theme`` keeps a chosen theme for the next start, ``save_layout`` a changed ``layout``; ``settle`` is
        called once the first frame stands, and again once the workspace does. ``migrate_only`` asks before migrations
        run.
        """
        super().__init__()
        self.root = root
        self.settings = settings
        self.zone = zone
        self.state = DashboardState.of(layout or Layout(), settings.tui.page_size)
        self.team = TeamRuns(self.report)
        self.jobs = Jobs(self.report, self._jobs_changed)
        self.actions = Actions(self)
        self._holder = WorkspaceHolder(
            self, opening, opened=self.workspace_opened, migrate_only=migrate_only, settle=settle
        )
        self._importer = importer
        self._wall = wall
        self._save_layout = save_layout
        self._team_timer: Timer | None = None
        self._followed: Settings | None = None
        self._leaving = threading.Event()
        self._said: dict[tuple[str, str], float] = {}
        self._theme_preference = ThemePreference(self, settings.tui.theme, save=save_theme, report=self.report)
        self.set_keymap(settings.tui.keymap)

    @property
    def workspace(self) -> "DashboardWorkspace | None":
        """The open workspace; None before it is open, and while it is being left."""
        return self._holder.workspace

    @property
    def fault(self) -> BaseException | None:
        """Why the dashboard ended by itself."""
        return self._holder.fault

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
        return MainScreen()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The colours behind diffs and found text, which no theme of Textual's knows."""
        return themes.extra_variables(self.current_theme)

    def get_css_variables(self) -> dict[str, str]:
        """Every theme's colours, those that could not be read corrected."""
        self.theme_variables = themes.corrected_variables(self.current_theme, super().get_css_variables())
        return self.theme_variables

    def get_line_filters(self) -> Sequence[LineFilter]:
        filters = super().get_line_filters()
        return without_colours(self, filters) if self.no_color else filters

    def on_mount(self) -> None:
        self.call_after_refresh(self._holder.begin)
        self._theme_preference.begin()
        self._tell_keymap()

    def on_ready(self) -> None:
        self._holder.first_frame.set()

    def workspace_opened(self, workspace: "DashboardWorkspace") -> None:
        """Show it: every screen reads."""
        self._followed = workspace.settings
        self.refresh_screens()
        self.set_timer(preload.DELAY, self._preload)

    @work(group="preload", exit_on_error=False)
    async def _preload(self) -> None:
        await self.in_thread(preload.preload, self._leaving)

    async def on_unmount(self) -> None:
        """Leave: jobs come to their end, the worker finishes its batch, the files are closed."""
        self._holder.first_frame.set()
        self._leaving.set()
        await self.team.end()
        await self.jobs.settled()
        await self._holder.end()

    def refresh_screens(self) -> None:
        """Have every screen that shows the workspace read again, covered ones too."""
        for screen in self.screen_stack if self.is_running else ():
            if isinstance(screen, LiveScreen):
                screen.refresh_now()

    # What is known

    def troubled(self, error: AcodeError) -> None:
        """The workspace's file cannot be read now; every screen goes on with what it has, and says so."""
        self._tell_trouble(error)

    def answered(self, refusal: AcodeError | None) -> None:
        """The workspace's file was read; ``refusal`` is why it cannot be written, if it cannot."""
        before, self.state.refusal = self.state.refusal, refusal
        changed = str(before or "") != str(refusal or "")
        if changed and refusal is not None:
            self.report(refusal)
        elif changed:
            self.notify("There is room again; nothing was lost.", title="writes go through")
        self._tell_trouble(None, again=changed)

    def _tell_keymap(self) -> None:
        """Say which of somebody's own keys can do nothing."""
        for told in problems(self.settings.tui.keymap):
            self.notify(clean(told), title="keys", severity="warning", timeout=12, markup=False)

    def _tell_trouble(self, error: AcodeError | None, *, again: bool = False) -> None:
        before, self.state.trouble = self.state.trouble, error
        if again or str(before or "") != str(error or ""):
            for screen in self.screen_stack if self.is_running else ():
                if isinstance(screen, LiveScreen):
                    screen.trouble_changed()

    def lay_out(self, **changes: Any) -> Layout:
        """Change how the dashboard is laid out, and keep that for the next start."""
        self.state.layout = msgspec.structs.replace(self.state.layout, **changes)
        self._save_layout(self.state.layout)
        return self.state.layout

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
            self._theme_preference.change(settings.tui.theme)
        if settings.tui.keymap != before.tui.keymap:
            self.set_keymap(settings.tui.keymap)
            self._tell_keymap()
        for screen in self.screen_stack:
            if isinstance(screen, LiveScreen):
                screen.take_over(settings, before)
        self.watch_team()

    # Jobs

    def start_job(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Run something to its end whatever happens on screen; False if another job holds it off."""
        return self.jobs.start(name, lambda run: work()) is not None

    def _jobs_changed(self) -> None:
        self.refresh_screens()
        for screen in self.screen_stack if self.is_running else ():
            screen.refresh_bindings()

    def copy(self, text: str, what: str, *, otherwise: str = "") -> bool:
        """Copy text to the terminal's clipboard and say so."""
        return copy(self, text, what, otherwise=otherwise)

    # Faults

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Foreseen faults inside become a toast and a log line."""
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
        """A toast. What is said once more takes the place of what is still up rather than piling up over the screen."""
        now = asyncio.get_running_loop().time()
        until = self._said.get((title, message), now)
        if now < until:
            self.clear_notifications()
            self._said.clear()
        self._said[title, message] = now + (self.NOTIFICATION_TIMEOUT if timeout is None else timeout)
        super().notify(message, title=title, severity=severity, timeout=timeout, markup=markup)

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
            from acode_tui.tui.transcript_import import TranscriptImporter

            self._importer = TranscriptImporter(self.settings)
        return self._importer

    def on_key(self, event: Key) -> None:
        """Give a letter typed ahead of a search line to the line: the key before it was still opening it."""
        now = self.focused
        if now is not None and now.check_consume_key(event.key, event.character):
            event.prevent_default()
            now.post_message(Key(event.key, event.character))

    def action_help(self) -> None:
        from acode_tui.tui.dialogs.help import HelpScreen

        self.push_screen(HelpScreen(self.screen))

    def action_theme(self) -> None:
        self.search_themes()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Every key of the screen as a command, then Textual's own."""
        yield from commands(self, screen)
        for command in super().get_system_commands(screen):
            if command.title not in ("Quit", "Theme", "Keys"):
                yield command


def _settle() -> None:
    gc.freeze()
    gc.enable()


def run_dashboard(root: Path, settings: Settings) -> int:
    """Open the workspace at ``root`` and show it until the user leaves. Raises AcodeError if it cannot be opened."""
    from acode_tui.tui.layout import layout_path, load_layout, save_layout
    from acode_tui.tui.opening import migrate_only, open_for_dashboard, theme_keeper

    kept_at = layout_path()
    layout = load_layout(kept_at)
    app = Dashboard(
        root,
        settings,
        opening=open_for_dashboard(root, settings),
        save_theme=theme_keeper(root),
        layout=layout,
        save_layout=partial(save_layout, kept_at),
        settle=_settle,
        migrate_only=migrate_only(root, settings),
    )
    code = app.run(mouse=layout.mouse)
    if app.fault is not None:
        raise app.fault
    return code or app.return_code or 0
