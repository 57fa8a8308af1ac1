"""Jobs: what runs to its end whatever happens on screen, which of them bear each other, and how far each is.

A job belongs to the app. No closed screen cancels one, and leaving the dashboard waits for all of them. One that leaves
nothing behind where it is cancelled may be stopped.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from acode_tui.domain.errors import AcodeError, FileError
from acode_tui.domain.progress import Progress

_ALONE = frozenset({"sync", "backup", "import", "export"})
HELD_OFF: dict[str, frozenset[str]] = {"migrate": _ALONE, **dict.fromkeys(_ALONE, frozenset({"migrate"}))}
"""What each job may not run beside, other than itself: while a schema changes nothing else goes on."""


@dataclass(slots=True)
class JobRun:
    """One run of a job: how far it is and how it ended. A worker thread may report progress.

    ``stopping`` is set once it is asked to stop, ``stopped`` where it then did. ``watched`` is set while a dialog shows
    it: then the end needs no toast.
    """

    name: str
    progress: Progress | None = None
    doing: str = ""
    result: Any = None
    fault: AcodeError | None = None
    ended: bool = False
    stopping: bool = False
    stopped: bool = False
    watched: bool = False

    def report_progress(self, progress: Progress) -> None:
        """Note how far it is."""
        self.progress = progress

    def begin_step(self, doing: str) -> None:
        """Note that a step begins, whose progress is not known yet."""
        self.progress, self.doing = None, doing

    @property
    def share(self) -> float | None:
        """From 0 to 1; None while the whole is not known."""
        return self.progress.fraction if self.progress is not None else None


Work = Callable[[JobRun], Awaitable[Any]]


class Jobs:
    """The jobs under way, by name, and the last run of each."""

    def __init__(self, report: Callable[[BaseException], None], changed: Callable[[], None]) -> None:
        """``report`` is told of faults; ``changed`` is called whenever a job begins or ends."""
        self._report = report
        self._changed = changed
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, JobRun] = {}

    def blocker(self, name: str) -> str | None:
        """The job under way beside which one of this name may not run; None if there is none."""
        if name in self._tasks:
            return name
        return next((other for other in HELD_OFF.get(name, ()) if other in self._tasks), None)

    def run_of(self, name: str) -> JobRun | None:
        """The run under way, or the last one."""
        return self._runs.get(name)

    def is_running(self, name: str) -> bool:
        return name in self._tasks

    def start(self, name: str, work: Work) -> JobRun | None:
        """Begin a job; None if another one holds it off."""
        if self.blocker(name) is not None:
            return None
        run = self._runs[name] = JobRun(name)
        self._tasks[name] = asyncio.create_task(self._run(run, work), name=name)
        self._changed()
        return run

    def stop(self, name: str) -> None:
        """Cancel a job that is fit for it. It ends once it has taken back what it had begun."""
        if (task := self._tasks.get(name)) is not None:
            self._runs[name].stopping = True
            task.cancel()

    async def _run(self, run: JobRun, work: Work) -> None:
        try:
            run.result = await work(run)
        except AcodeError as error:
            run.fault = error
            self._report(error)
        except OSError as error:
            taken = isinstance(error, FileExistsError)
            said = f"{error.filename or run.name}: {error.strerror or type(error).__name__}"
            run.fault = FileError(
                f"{error.filename}: is there already" if taken else said, hint="choose another name" if taken else None
            )
            self._report(run.fault)
        except Exception as error:  # noqa: BLE001 - shown and logged; a job's defect does not end the dashboard
            run.fault = AcodeError(f"{type(error).__name__}: {error}", hint="the log has the details")
            self._report(error)
        except asyncio.CancelledError:
            if not run.stopping:
                raise
            run.stopped = True
        finally:
            run.ended = True
            del self._tasks[run.name]
            self._changed()

    async def settled(self) -> None:
        """Wait for every job under way."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())
