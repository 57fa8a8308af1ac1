"""Reads a group of files and makes their runs ready for storing: what an import does before it needs the database.

It runs in a thread of the importing program, or in a process of its own; what it answers is the same.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.errors import ValidationError
from acode_tui.ingest.file_reader import FileReader, UnknownFormatError
from acode_tui.ingest.registry import Counts, SkippedLines
from acode_tui.ingest.usage import Claims
from acode_tui.logs import get_logger
from acode_tui.storage.ports import TranscriptFile

GROUP_FILES = 50
GROUP_BYTES = 2 * 1024 * 1024
"""A group ends at whichever comes first; a larger file is a group of its own."""

log = get_logger("acode_tui.ingest")

Prepare = Callable[[SessionGraph, bool], Any]
"""``TranscriptLog.prepare``."""


class FileDue(NamedTuple):
    """A file that is to be read, its size when it was found, and what is known of it from the last time."""

    path: Path
    size: int
    known: TranscriptFile | None


class FileRead(msgspec.Struct, array_like=True):
    """What came of a file: its cursor and its runs, prepared; or, without a cursor, why it could not be read."""

    cursor: TranscriptFile | None = None
    runs: list[Any] = []
    counts: Counts = msgspec.field(default_factory=Counts)
    skipped: SkippedLines = msgspec.field(default_factory=SkippedLines)
    problem: str = ""


class GroupReader:
    """Reads groups in order; ``claims`` is what sessions read so far have counted, and grows with each group."""

    def __init__(self, reader: FileReader, prepare: Prepare, claims: Claims) -> None:
        self._reader = reader
        self.prepare = prepare
        self._claims = claims

    def read(self, group: Sequence[FileDue]) -> list[FileRead]:
        """One answer a file, in the group's order. A file that cannot be read stops nothing."""
        return [self._read(file) for file in group]

    def _read(self, file: FileDue) -> FileRead:
        try:
            found = self._reader.read(file.path, file.known, self._claims)
            runs = [self.prepare(graph, file.known is None) for graph in found.parsed.graphs]
        except OSError as error:
            return FileRead(problem=error.strerror or type(error).__name__)
        except UnknownFormatError:
            return FileRead(problem="not a transcript of a known format; name it with --format")
        except ValidationError as error:
            return FileRead(problem=error.message)
        except Exception as error:
            # A defect of a reader costs the file that shows it, not the import of all the others.
            log.error("import.defect", file=str(file.path), exc_info=error)
            return FileRead(problem=f"cannot be read because of a defect ({type(error).__name__}); please report it")
        return FileRead(found.cursor, runs, found.parsed.counts, found.parsed.skipped)


def in_groups(files: Sequence[FileDue]) -> Iterator[list[FileDue]]:
    """The files in their order, as groups that are read together."""
    group: list[FileDue] = []
    size = 0
    for file in files:
        if group and (len(group) >= GROUP_FILES or size + file.size > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(file)
        size += file.size
    if group:
        yield group
