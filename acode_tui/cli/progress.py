"""A line on standard error that says how far long work is, how fast it goes and how long it will take.

Nothing is written where standard error is no terminal.
"""

import sys
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from acode_tui.cli.output import size, terminal_width
from acode_tui.domain.display import clean, fit

if TYPE_CHECKING:
    from acode_tui.ingest import ImportProgress
    from acode_tui.ops.export.export import ExportProgress
    from acode_tui.ops.recovery.rebuild import RebuildProgress
    from acode_tui.sync.ports import SyncProgress

_EVERY_SECONDS = 0.1
_ERASE = "\r\x1b[K"


class Line:
    """A line that is written over while its block runs, and taken away afterwards."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = monotonic) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._live = self._stream.isatty()
        self._started = clock()
        self._shown_at = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._stream.write(_ERASE)
            self._stream.flush()

    @property
    def seconds(self) -> float:
        """Since the line was made."""
        return self._clock() - self._started

    def write(self, make: Callable[[], str]) -> None:
        """Write what ``make`` answers, unless something was written a moment ago."""
        now = self._clock()
        if self._live and now - self._shown_at >= _EVERY_SECONDS:
            self._shown_at = now
            self._stream.write(_ERASE + fit(make(), (terminal_width() or 80) - 1))
            self._stream.flush()


class ImportLine(Line):
    """How far an import is."""

    def show(self, progress: "ImportProgress") -> None:
        """Show this."""
        self.write(lambda: describe(progress, self.seconds))


class CountLine(Line):
    """How many of something are done."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what

    def show(self, done: int) -> None:
        """Show this."""
        self.write(lambda: f"{done:,} {self._what}")


class NoteLine(Line):
    """What is being done."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what

    def show(self, note: str) -> None:
        """Show this at once: the next one may be long in coming."""
        self._shown_at = float("-inf")
        self.write(lambda: f"{self._what}: {clean(note)}")


class ExportLine(Line):
    """How far an export or the reading of one is."""

    def show(self, progress: "ExportProgress") -> None:
        """Show this."""
        self.write(lambda: describe_export(progress))


def describe_export(progress: "ExportProgress") -> str:
    """``3/127 sessions  4,200 rows``, or of sessions that were named ``0/1 sessions  4,200 of 9,000 rows  46%``."""
    said = f"{progress.sessions_done:,}/{progress.sessions_total:,} sessions  {progress.rows:,}"
    if not progress.rows_total:
        return f"{said} rows"
    return f"{said} of {progress.rows_total:,} rows  {100 * progress.rows // progress.rows_total}%"


class SyncLine(Line):
    """How far a drain is."""

    def show(self, progress: "SyncProgress") -> None:
        """Show this."""
        self.write(lambda: describe_sync(progress))


class RebuildLine(Line):
    """How far a recovery is."""

    def show(self, progress: "RebuildProgress") -> None:
        """Show this."""
        self.write(lambda: describe_rebuild(progress))


def describe_rebuild(progress: "RebuildProgress") -> str:
    """``12,000 of 90,000 rows read  9,800/s  0:08 left``."""
    what = "rows read" if progress.phase == "reading" else "sessions compared"
    parts = [f"{progress.done:,} of {progress.total:,} {what}"]
    if progress.rate > 0:
        left = remaining((progress.total - progress.done) / progress.rate)
        parts += [f"{progress.rate:,.0f}/s", f"{left} left"]
    return "  ".join(parts)


class WorkLine(Line):
    """How far a piece of work is, whose whole is known."""

    def show(self, what: str, done: int, of: int) -> None:
        """Show this; 0 of 0 is work that does not say."""
        self.write(lambda: f"{what} ..." if of <= 0 else f"{what} {min(done * 100 // of, 100)} %")


def describe_sync(progress: "SyncProgress") -> str:
    """``1,500 sent  2,700 to go  9,800/s  0:01 left``."""
    parts = [f"{progress.done:,} sent", f"{progress.remaining:,} to go"]
    if progress.rate > 0:
        parts += [f"{progress.rate:,.0f}/s", f"{remaining(progress.remaining / progress.rate)} left"]
    return "  ".join(parts)


def describe(progress: "ImportProgress", seconds: float) -> str:
    """``12/340 files  8.1 MiB of 200.3 MiB  5.2 MiB/s  0:37 left  name``."""
    parts = [
        f"{progress.files_done:,}/{progress.files_total:,} files",
        f"{size(progress.bytes_done)} of {size(progress.bytes_total)}",
    ]
    rate = progress.bytes_done / seconds if seconds > 0 else 0.0
    if rate > 0:
        left = (progress.bytes_total - progress.bytes_done) / rate
        parts += [f"{size(int(rate))}/s", f"{remaining(left)} left"]
    if progress.current:
        parts.append(clean(progress.current.rpartition("/")[2]))
    return "  ".join(parts)


def remaining(seconds: float) -> str:
    """``0:07``, ``12:30``, ``2:05:00``; a started second counts as one."""
    whole = int(seconds + 0.999)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
