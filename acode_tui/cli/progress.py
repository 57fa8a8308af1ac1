"""A line on standard error that shows the progress of long work: how much is done, the rate and the time left.

Nothing is written where standard error is not a terminal.
"""

import sys
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from acode_tui.cli.output import terminal_width
from acode_tui.domain.display import clean, fit
from acode_tui.domain.quantities import number, size, span

if TYPE_CHECKING:
    from acode_tui.domain.progress import Progress
    from acode_tui.ingest import ImportProgress
    from acode_tui.ops.export.export import ExportProgress

_EVERY_SECONDS = 0.1
_ERASE = "\r\x1b[K"


class Line:
    """A line that is rewritten while its block runs, and erased afterwards."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = monotonic) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._live = self._stream.isatty()
        self._shown_at = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._stream.write(_ERASE)
            self._stream.flush()

    def write(self, make: Callable[[], str]) -> None:
        """Write what ``make`` returns, unless the line was written less than ``_EVERY_SECONDS`` ago."""
        now = self._clock()
        if self._live and now - self._shown_at >= _EVERY_SECONDS:
            self._shown_at = now
            self._stream.write(_ERASE + fit(make(), (terminal_width() or 80) - 1))
            self._stream.flush()


class ImportLine(Line):
    """The progress of an import."""

    def show(self, progress: "ImportProgress") -> None:
        """Show this progress."""
        self.write(lambda: describe_import(progress))


class CountLine(Line):
    """How many units are done, where the total is not known."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def show(self, progress: "Progress") -> None:
        """Show this progress."""
        self.write(lambda: f"{number(progress.done)} {self._unit}")


class StepLine(Line):
    """The current step."""

    def __init__(self, work: str) -> None:
        super().__init__()
        self._work = work

    def show(self, step: str) -> None:
        """Show this step at once: the next one may take long."""
        self._shown_at = float("-inf")
        self.write(lambda: f"{self._work}: {clean(step)}")


class PercentLine(Line):
    """The current step, and the finished part of it in percent where it is known."""

    def __init__(self, step: str = "") -> None:
        super().__init__()
        self._step = step

    def begin(self, step: str) -> None:
        """Show that a step begins."""
        self._step = step
        self.write(lambda: f"{step} ...")

    def show(self, progress: "Progress") -> None:
        """Show the step's progress."""
        fraction = progress.fraction
        self.write(lambda: f"{self._step} ..." if fraction is None else f"{self._step} {int(fraction * 100)} %")


class ExportLine(Line):
    """The progress of an export, or of the import of one."""

    def show(self, progress: "ExportProgress") -> None:
        """Show this progress."""
        self.write(lambda: describe_export(progress))


class SyncLine(Line):
    """The progress of a drain."""

    def show(self, progress: "Progress") -> None:
        """Show this progress."""
        self.write(lambda: describe_sync(progress))


class RebuildLine(Line):
    """The progress of a recovery: rows read, then sessions compared."""

    def show(self, progress: "Progress") -> None:
        """Show this progress."""
        self.write(lambda: describe_rebuild(progress))


def describe_import(progress: "ImportProgress") -> str:
    """``12/340 files  8.1 MB of 200.3 MB  5.2 MB/s  37 s left  name``."""
    files, read = progress.files, progress.bytes
    parts = [f"{number(files.done)}/{number(files.total or 0)} files", f"{size(read.done)} of {size(read.total or 0)}"]
    if read.seconds_left is not None:
        parts += [f"{size(read.rate)}/s", f"{span(read.seconds_left)} left"]
    if progress.current:
        parts.append(clean(progress.current.rpartition("/")[2]))
    return "  ".join(parts)


def describe_export(progress: "ExportProgress") -> str:
    """``3/127 sessions  4,200 rows``, or of named sessions ``0/1 sessions  4,200 of 9,000 rows  46%``."""
    sessions, rows = progress.sessions, progress.rows
    text = f"{number(sessions.done)}/{number(sessions.total or 0)} sessions  {number(rows.done)}"
    if not rows.total:
        return f"{text} rows"
    return f"{text} of {number(rows.total)} rows  {100 * rows.done // rows.total}%"


def describe_rebuild(progress: "Progress") -> str:
    """``12,000 of 90,000 rows read  9,800/s  8 s left``."""
    verb = "read" if progress.unit == "rows" else "compared"
    return _with_rate(progress, f"{number(progress.done)} of {number(progress.total or 0)} {progress.unit} {verb}")


def describe_sync(progress: "Progress") -> str:
    """``1,500 sent  2,700 to go  9,800/s  1 s left``."""
    return _with_rate(
        progress, f"{number(progress.done)} sent", f"{number((progress.total or 0) - progress.done)} to go"
    )


def _with_rate(progress: "Progress", *parts: str) -> str:
    if progress.seconds_left is None:
        return "  ".join(parts)
    return "  ".join((*parts, f"{number(progress.rate)}/s", f"{span(progress.seconds_left)} left"))
