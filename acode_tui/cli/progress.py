"""A line on standard error that says how far an import is, how fast it goes and how long it will take.

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

_EVERY_SECONDS = 0.1
_ERASE = "\r\x1b[K"


class ImportLine:
    """Shows progress while its block runs, and takes the line away afterwards."""

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

    def show(self, progress: "ImportProgress") -> None:
        """Show this, unless something was shown a moment ago."""
        now = self._clock()
        if self._live and now - self._shown_at >= _EVERY_SECONDS:
            self._shown_at = now
            line = describe(progress, now - self._started)
            self._stream.write(_ERASE + fit(line, (terminal_width() or 80) - 1))
            self._stream.flush()


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
