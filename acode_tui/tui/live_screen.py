"""A screen that follows the commits of other processes: it polls while it is on top, with one read at a time.

A timer that cancelled its own slow query would never finish one, so a tick during a read is skipped. The timer is
paused while another screen covers this one; uncovered, the screen reads at once.
"""

import asyncio
from typing import TYPE_CHECKING, TypeVar

from textual import on
from textual.events import ScreenResume
from textual.screen import Screen
from textual.timer import Timer
from textual.worker import Worker, WorkerState

from acode_tui.config import Settings
from acode_tui.domain.errors import AcodeError
from acode_tui.tui.dashboard_app import DashboardGetter
from acode_tui.tui.frames import FrameTimer

if TYPE_CHECKING:
    from acode_tui.tui.ports import DashboardWorkspace

Result = TypeVar("Result")

POLL_BACKOFF = 6.0
"""The pause after a read, at least, in multiples of the time it took: a huge workspace must not cost a core."""


class LiveScreen(Screen[Result]):
    """A screen whose ``read`` runs whenever any process has committed to the workspace."""

    dashboard = DashboardGetter()
    IDLE_EVERY = 1
    """Ticks between calls of ``read_idle`` while nothing changes."""

    def __init__(self) -> None:
        super().__init__()
        self._timer: Timer | None = None
        self._frames = FrameTimer(self._draw_frame, lambda error: self.app._handle_exception(error))
        self._reading = False
        self._was_shown = False
        self._stale = True
        self._seen: int | None = None
        self._reported_error = ""
        self._next_poll = 0.0
        self._idle_ticks = 0

    @property
    def workspace(self) -> "DashboardWorkspace | None":
        return self.dashboard.workspace

    @property
    def follows_team(self) -> bool:
        """Whether ``read`` reads the team's runs, which change without a commit to this workspace."""
        return False

    @property
    def timely_keys(self) -> frozenset[str]:
        """Ids of the keys that the footer shows first, because of what the screen shows now."""
        return frozenset()

    async def read(self, workspace: "DashboardWorkspace") -> None:
        """Read what the screen shows and post it as a message. Runs in a worker."""
        raise NotImplementedError

    async def read_idle(self, workspace: "DashboardWorkspace") -> None:
        """Read what changes without a commit. Runs in a worker."""

    def store_errors_changed(self) -> None:
        """Show the errors of the state: the workspace's file can no longer be read or written, or can be again."""

    def read_failed(self, error: AcodeError) -> None:
        """Show the error on the screen if it shows nothing older. The read is tried again."""

    def refresh_now(self) -> None:
        """Read again as soon as no read is running, whether or not anything was committed."""
        self._stale = True
        self.poll()

    @property
    def _update_timer(self) -> FrameTimer:  # type: ignore[override]
        return self._frames

    def _draw_frame(self) -> None:
        self._on_timer_update()
        # A tick of Textual's timer is a message, and after each the screen looks for what is still to draw.
        self.check_idle()

    def on_mount(self) -> None:
        self._timer = self.set_interval(self.dashboard.settings.tui.refresh_seconds, self._tick)
        self.poll()

    def apply_settings(self, settings: Settings, before: Settings) -> None:
        """Apply changed settings: the interval of the polls."""
        if self._timer is not None and settings.tui.refresh_seconds != before.tui.refresh_seconds:
            self._timer.stop()
            self._timer = self.set_interval(settings.tui.refresh_seconds, self._tick, pause=not self.is_current)

    def on_screen_suspend(self) -> None:
        if self._timer is not None:
            self._timer.pause()

    def on_screen_resume(self, event: ScreenResume) -> None:
        # Textual's own handler comes after this one. The first time every style has just been applied.
        event.refresh_styles = event.refresh_styles and self._was_shown
        self._was_shown = True
        if self._timer is not None:
            self._timer.resume()
            self.refresh_now()

    def _tick(self) -> None:
        if asyncio.get_running_loop().time() >= self._next_poll:
            self.poll()

    def poll(self) -> None:
        """Read if something has changed. Does nothing while a read is running."""
        workspace = self.workspace
        if workspace is None or not self.is_attached:
            return
        self.dashboard.apply_settings(workspace.settings)
        if self._reading:
            return
        self._reading = True
        self.run_worker(self._poll(workspace), name="poll", group="poll", exit_on_error=False)

    async def _poll(self, workspace: "DashboardWorkspace") -> None:
        began = asyncio.get_running_loop().time()
        try:
            version = self.dashboard.team.version if self.follows_team else await workspace.data_version()
            if self._stale or version != self._seen:
                self._stale = False
                self._seen = version
                await self.read(workspace)
            elif self._idle_ticks % self.IDLE_EVERY == 0:
                await self.read_idle(workspace)
            self._idle_ticks += 1
            self._reported_error = ""
            if not self.follows_team:
                self.dashboard.store_read(workspace.write_error())
        except AcodeError as error:
            if not self.follows_team:
                self.dashboard.store_read_failed(error)
            # An unreachable server is asked again at the next sync interval, not at every tick.
            self._stale = not self.follows_team
            if str(error) != self._reported_error:
                self._reported_error = str(error)
                self.dashboard.report(error)
                if self.is_attached:
                    self.read_failed(error)
        finally:
            self._reading = False
            now = asyncio.get_running_loop().time()
            self._next_poll = now + POLL_BACKOFF * (now - began)

    @on(Worker.StateChanged)
    def _worker_failed(self, event: Worker.StateChanged) -> None:
        """Report an unexpected error of a worker; it does not end the dashboard."""
        if event.state is WorkerState.ERROR and event.worker.error is not None:
            self.dashboard.report(event.worker.error)
