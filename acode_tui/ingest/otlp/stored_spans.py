"""Reads the spans that were received, session by session."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from acode_tui.domain.errors import AcodeError, IngestError
from acode_tui.ingest.format import FileStat
from acode_tui.storage.sqlite.span_reader import MAX_SESSION_BYTES, SpanReader

__all__ = ["MAX_SESSION_BYTES", "opened", "stat"]


@contextmanager
def opened(path: Path) -> Iterator[SpanReader]:
    """The stored spans, in one snapshot. Raises IngestError."""
    try:
        with SpanReader(path) as reader:
            yield reader
    except IngestError:
        raise
    except AcodeError as error:
        raise IngestError(f"{path}: {error.message}", hint=error.hint) from error


def stat(path: Path) -> FileStat:
    """What shows that spans were added. Raises OSError."""
    own = os.stat(path)
    try:
        log = os.stat(f"{path}-wal")
    except OSError:
        return FileStat(own.st_ino, own.st_size, own.st_mtime_ns)
    return FileStat(own.st_ino, own.st_size + log.st_size, max(own.st_mtime_ns, log.st_mtime_ns))
