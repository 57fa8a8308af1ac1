"""The base of dialogs over a job: they show the plan, start the job, show its progress, and how it ended.

The job belongs to the app: closing the dialog does not end it, and opening the dialog again shows it in progress.
"""

from typing import Any, ClassVar

from textual.binding import BindingType
from textual.content import Content
from textual.timer import Timer

from acode_tui.domain.errors import AcodeError
from acode_tui.tui.bindings import JOB, RESULT, STOPPABLE
from acode_tui.tui.dialogs.progress import ProgressDialog
from acode_tui.tui.jobs import JobRun
from acode_tui.tui.style.text import error_lines, styled

UPDATE_SECONDS = 0.1
"""Seconds between two updates of a job's progress."""


class JobDialog(ProgressDialog[None]):
    """A subclass shows the plan, starts the job, and puts the result in words."""

    BINDINGS: ClassVar[list[BindingType]] = [*STOPPABLE, *JOB, *RESULT]
    JOB: ClassVar[str] = ""
    """The name of the job."""
    CAN_RETRY: ClassVar[bool] = False
    """Whether a job that failed or was stopped can be started again from here, with other input."""
    CAN_STOP: ClassVar[bool] = False
    """Whether a key stops the job, which then leaves nothing behind. Otherwise it continues when the dialog closes."""

    def __init__(self) -> None:
        super().__init__()
        self._run: JobRun | None = None
        """The run that is in progress."""
        self._ready = False
        self._copy: tuple[str, str] | None = None
        self._timer: Timer | None = None

    def on_mount(self) -> None:
        run = self.dashboard.jobs.run_of(self.JOB)
        if run is not None and not run.ended:
            self._follow(run)
        else:
            self.run_worker(self._show_plan(), exit_on_error=False)

    def on_unmount(self) -> None:
        if self._run is not None:
            self._run.has_dialog = False

    async def _show_plan(self) -> None:
        with self.dashboard.reporting():
            try:
                await self.show_plan()
            except AcodeError as error:
                self.show_text(*error_lines(error))
                raise

    async def show_plan(self) -> None:
        """Show what the job would do, and ``set_ready``. Runs in a worker."""
        raise NotImplementedError

    def start(self) -> JobRun | None:
        """Start the job. None if it cannot start now."""
        raise NotImplementedError

    def result_lines(self, result: Any) -> list[Content]:
        """The text that the dialog shows when the job has succeeded."""
        raise NotImplementedError

    def copy_text(self, result: Any) -> tuple[str, str] | None:
        """The text that a key copies when the job has succeeded, and what it is; None if there is nothing to copy."""
        return None

    def show_inputs(self, shown: bool) -> None:
        """Show or hide the widgets of ``compose_inputs``."""

    def set_ready(self, ready: bool = True) -> None:
        """Set whether the job can be started."""
        self._ready = ready
        self.refresh_bindings()

    def action_begin(self) -> None:
        if self._ready and (run := self.start()) is not None:
            self._follow(run)

    def _follow(self, run: JobRun) -> None:
        self._run = run
        run.has_dialog = True
        self.started()
        self._update()
        self._timer = self.set_interval(UPDATE_SECONDS, self._update)
        self.refresh_bindings()

    def started(self) -> None:
        """The job runs: show that, and what the escape key does."""
        hint = "esc stops it, and nothing is left of it." if self.CAN_STOP else "esc leaves it to go on by itself."
        self.show_text(styled("Working…", "bold"), styled(hint, "$foreground-muted"))

    def _update(self) -> None:
        run = self._run
        if run is None:
            return
        if not run.ended:
            self.show_progress(run.fraction, self.progress_text(run))
            return
        if self._timer is not None:
            self._timer.stop()
        self.hide_progress()
        self.show_text(*self._end_lines(run))
        succeeded = run.error is None and not run.stopped
        self._copy = self.copy_text(run.result) if succeeded else None
        self._ready = self.CAN_RETRY and not succeeded
        self._run = None
        self.show_inputs(self._ready)
        self.refresh_bindings()

    def _end_lines(self, run: JobRun) -> list[Content]:
        if run.stopped:
            return [styled("‖ Stopped. Nothing of it was kept.", "bold $text-warning"), Content("")]
        return error_lines(run.error) if run.error is not None else self.result_lines(run.result)

    def progress_text(self, run: JobRun) -> Content:
        """The line below the progress bar."""
        return styled(run.step, "$foreground-muted")

    def action_copy(self) -> None:
        if self._copy is not None:
            text, what = self._copy
            self.dashboard.copy(text, what)

    def action_stop(self) -> None:
        if self._run is not None and not self._run.stopping:
            self.dashboard.jobs.stop(self.JOB)
            self.show_text(styled("Stopping…", "bold"), styled("What was begun is undone.", "$foreground-muted"))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "begin":
            if not self._ready or self._run is not None:
                return False
            return None if self.is_mounted and self.dashboard.jobs.blocker(self.JOB) is not None else True
        if action == "copy":
            return self._copy is not None
        if action == "stop":
            return self.CAN_STOP and self._run is not None
        return True
