"""Jobs of the dashboard: long work that no closed screen cancels, which jobs exclude each other, and their progress.

A job belongs to the app, which waits for all of them before it exits. A job that leaves nothing behind when it is
cancelled may be stopped by a key.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from acode_tui.domain.errors import AcodeError, FileError
from acode_tui.domain.progress import Progress

_EXCLUDED_BY_MIGRATE = frozenset({"sync", "backup", "import", "export"})
EXCLUDED_BY: dict[str, frozenset[str]] = {
    "migrate": _EXCLUDED_BY_MIGRATE,
    **dict.fromkeys(_EXCLUDED_BY_MIGRATE, frozenset({"migrate"})),
}
"""The other jobs that a job may not run at the same time as: nothing may run while a schema changes."""


class JobRun(msgspec.Struct):
    """One run of a job: its progress, and how it ended. Progress may be reported from a thread.

    ``step`` is what it does now, in words. ``stopping`` is set when it is asked to stop, ``stopped`` when it did.
    ``has_dialog`` is set while a dialog shows it: its end then needs no toast.
    """

    name: str
    progress: Progress | None = None
    step: str = ""
    result: Any = None
    error: AcodeError | None = None
    ended: bool = False
    stopping: bool = False
    stopped: bool = False
    has_dialog: bool = False

    def report_progress(self, progress: Progress) -> None:
        """Store the progress of the step."""
        self.progress = progress

    def begin_step(self, step: str) -> None:
        """Begin a step, whose progress is not known yet."""
        self.progress, self.step = None, step

    @property
    def fraction(self) -> float | None:
        """The finished part of the step, from 0 to 1; None while it is not known."""
        return self.progress.fraction if self.progress is not None else None


Work = Callable[[JobRun], Awaitable[Any]]


class Jobs:
    """The running jobs, by name, and the last run of each."""

    def __init__(self, report: Callable[[BaseException], None], changed: Callable[[], None]) -> None:
        """``report`` is called with the error of a failed job, ``changed`` whenever a job begins or ends."""
        self._report = report
        self._changed = changed
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, JobRun] = {}

    def blocker(self, name: str) -> str | None:
        """The running job that excludes a job of this name; None if it may start."""
        if name in self._tasks:
            return name
        return next((other for other in EXCLUDED_BY.get(name, ()) if other in self._tasks), None)

    def run_of(self, name: str) -> JobRun | None:
        """The present run of a job, or the last one; None if it never ran."""
        return self._runs.get(name)

    def is_running(self, name: str) -> bool:
        return name in self._tasks

    def start(self, name: str, work: Work) -> JobRun | None:
        """Start a job; None if a running job excludes it."""
        if self.blocker(name) is not None:
            return None
        run = self._runs[name] = JobRun(name)
        self._tasks[name] = asyncio.create_task(self._run(run, work), name=name)
        self._changed()
        return run

    def stop(self, name: str) -> None:
        """Cancel a job that can be cancelled: it removes what it has written, then ends."""
        if (task := self._tasks.get(name)) is not None:
            self._runs[name].stopping = True
            task.cancel()

    async def _run(self, run: JobRun, work: Work) -> None:
        try:
            run.result = await work(run)
        except AcodeError as error:
            run.error = error
            self._report(error)
        except OSError as error:
            run.error = _file_error(run, error)
            self._report(run.error)
        except Exception as error:  # noqa: BLE001 - shown and logged; a job's defect does not end the dashboard
            run.error = AcodeError(f"{type(error).__name__}: {error}", hint="the log has the details")
            self._report(error)
        except asyncio.CancelledError:
            if not run.stopping:
                raise
            run.stopped = True
        finally:
            run.ended = True
            del self._tasks[run.name]
            self._changed()

    async def wait(self) -> None:
        """Wait until no job is running."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())


def _file_error(run: JobRun, error: OSError) -> FileError:
    if isinstance(error, FileExistsError):
        return FileError(f"{error.filename}: the file exists already", hint="choose another name")
    return FileError(f"{error.filename or run.name}: {error.strerror or type(error).__name__}")
