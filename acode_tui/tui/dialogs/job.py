"""What the dialogs over a job share: they say what is going to happen, begin it, show how far it is, and how it ended.

The job is the app's: leaving the dialog does not end it, and opening the dialog again shows it where it is.
"""

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from acode_tui.domain.errors import AcodeError
from acode_tui.tui.bindings import JOB, RESULT, STOPPABLE
from acode_tui.tui.dashboard_app import DashboardGetter
from acode_tui.tui.jobs import JobRun
from acode_tui.tui.style.paths import style_path
from acode_tui.tui.style.text import error_lines, styled
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.progress_line import ProgressLine

LOOK_EVERY = 0.1
"""Seconds between two looks at a job's progress."""


class JobDialog(ModalScreen[None]):
    """Plan, progress, result. What differs is said by the subclass."""

    dashboard = DashboardGetter()
    CSS_PATH = style_path("dialogs.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [*STOPPABLE, *JOB, *RESULT]
    JOB: ClassVar[str] = ""
    TITLE: ClassVar[str] = ""
    AGAIN: ClassVar[bool] = False
    """Whether a job that failed may be begun again from here, after what was asked has been corrected."""
    STOPS: ClassVar[bool] = False
    """Whether a key stops the job, which leaves nothing behind then; else it goes on by itself."""

    def __init__(self) -> None:
        super().__init__()
        self._run: JobRun | None = None
        self._ready = False
        self._copied: tuple[str, str] | None = None

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = self.TITLE
            yield Static("reading…", id="said", markup=False)
            yield from self.compose_asking()
            yield ProgressLine(id="bar")
            yield Static("", id="pace", markup=False)
        yield KeyBar()

    def compose_asking(self) -> ComposeResult:
        """What is asked before the job begins, below the plan."""
        return iter(())

    def on_mount(self) -> None:
        self._show_bar(False)
        run = self.dashboard.jobs.run_of(self.JOB)
        if run is not None and not run.ended:
            self._watch(run)
        else:
            self.run_worker(self._plan(), exit_on_error=False)

    def on_unmount(self) -> None:
        if self._run is not None:
            self._run.has_dialog = False

    async def _plan(self) -> None:
        with self.dashboard.reporting():
            try:
                await self.plan()
            except AcodeError as error:
                self.say(*error_lines(error))
                raise

    async def plan(self) -> None:
        """Say what the job would do, and ``make_ready``. Runs in a worker."""
        raise NotImplementedError

    def begin(self) -> JobRun | None:
        """Start the job; None if it may not start now."""
        raise NotImplementedError

    def told(self, result: Any) -> list[Content]:
        """How the job ended."""
        raise NotImplementedError

    def copies(self, result: Any) -> tuple[str, str] | None:
        """What of the end is worth copying, and what it is; None where nothing is."""
        return None

    def show_asking(self, shown: bool) -> None:
        """Show or hide what is asked."""

    def make_ready(self, ready: bool = True) -> None:
        """Whether there is something to begin."""
        self._ready = ready
        self.refresh_bindings()

    def say(self, *parts: Content) -> None:
        """What stands in the dialog, a line a part; empty parts are left out."""
        said = self.query_one("#said", Static)
        said.update(Content("\n").join(parts))
        # An answer may come before the dialog's first layout, which would then keep the height of the question.
        self.call_after_refresh(said.refresh, layout=True)

    def action_begin(self) -> None:
        if self._ready and (run := self.begin()) is not None:
            self._watch(run)

    def _watch(self, run: JobRun) -> None:
        self._run = run
        run.has_dialog = True
        self.begun()
        self._show_bar(True)
        self._look()
        self._timer = self.set_interval(LOOK_EVERY, self._look)
        self.refresh_bindings()

    def begun(self) -> None:
        """The job runs: say so, and hide what was asked."""
        told = "esc stops it, and nothing is left of it." if self.STOPS else "esc leaves it to go on by itself."
        self.say(styled("Working…", "bold"), styled(told, "$foreground-muted"))

    def _look(self) -> None:
        run = self._run
        if run is None:
            return
        if run.ended:
            self._timer.stop()
            self._show_bar(False)
            self.say(*self._ending(run))
            self._copied = self.copies(run.result) if run.error is None and not run.stopped else None
            self._ready = self.AGAIN and (run.error is not None or run.stopped)
            self._run = None
            self.show_asking(self._ready)
            self.refresh_bindings()
            return
        self.query_one("#bar").display = run.fraction is not None
        if run.fraction is not None:
            self.query_one("#bar", ProgressLine).show(run.fraction)
        self.query_one("#pace", Static).update(self.paced(run))

    def _ending(self, run: JobRun) -> list[Content]:
        if run.stopped:
            return [styled("‖ Stopped. Nothing of it was kept.", "bold $text-warning"), Content("")]
        return error_lines(run.error) if run.error is not None else self.told(run.result)

    def action_copy(self) -> None:
        if self._copied is not None:
            text, what = self._copied
            self.dashboard.copy(text, what)

    def action_stop(self) -> None:
        if self._run is not None and not self._run.stopping:
            self.dashboard.jobs.stop(self.JOB)
            self.say(styled("Stopping…", "bold"), styled("What was begun is taken back.", "$foreground-muted"))

    def paced(self, run: JobRun) -> Content:
        """The line below the bar."""
        return styled(run.step, "$foreground-muted")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "begin":
            if not self._ready or self._run is not None:
                return False
            return None if self.is_mounted and self.dashboard.jobs.blocker(self.JOB) is not None else True
        if action == "copy":
            return self._copied is not None
        if action == "stop":
            return self.STOPS and self._run is not None
        return True

    def _show_bar(self, shown: bool) -> None:
        self.query_one("#bar").display = shown
        self.query_one("#pace").display = shown
