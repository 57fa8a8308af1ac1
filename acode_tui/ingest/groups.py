"""Reading groups of files: what is read at once, and its result, ready to be stored.

A group is what one reading thread or process handles at a time. Only a file that cannot be read is lost to a group.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.errors import IngestError, ValidationError
from acode_tui.ingest.counts import Counts, SkippedLines
from acode_tui.ingest.file_reader import FileReader, UnknownFormatError
from acode_tui.ingest.format import ExpectedRows
from acode_tui.ingest.usage import Claims
from acode_tui.storage.transcript_ports import TranscriptFile

GROUP_FILES = 50
GROUP_BYTES = 2 * 1024 * 1024
"""A group ends at whichever limit comes first; a file larger than that is a group of its own."""

Prepare = Callable[[SessionGraph, bool, bool], Any]
"""``TranscriptLog.prepare``."""


class DueFile(NamedTuple):
    """A file to read: how many bytes of it, its cursor from the last import, if any, and what that kept to read on."""

    path: Path
    size: int
    known: TranscriptFile | None
    resume: bytes = b""
    within: tuple[str, ...] = ()


class PreparedFile(msgspec.Struct, array_like=True):
    """A file that was read: its cursor and its prepared runs. Without a cursor, ``problem`` says why it was not, and
    ``hint`` what to do about it.

    ``expected`` must hold of what is stored before the runs are saved; else the file is to be read as a whole. With
    ``is_partial`` the transcript is to be read once more, with the cursor: the rest follows. With ``only_new`` runs are
    saved only where nothing more is stored of their sessions; it has the counts of each.
    """

    cursor: TranscriptFile | None = None
    runs: list[Any] = []
    counts: Counts = msgspec.field(default_factory=Counts)
    skipped: SkippedLines = msgspec.field(default_factory=SkippedLines)
    unknown: dict[str, int] = {}
    problem: str = ""
    hint: str = ""
    expected: ExpectedRows | None = None
    is_partial: bool = False
    only_new: list[Counts] | None = None


class GroupReader:
    """Reads groups in order. ``claims`` holds what the sessions read so far have counted, and grows with each group."""

    def __init__(self, reader: FileReader, prepare: Prepare, claims: Claims) -> None:
        self._reader = reader
        self.prepare = prepare
        self._claims = claims

    def read(self, group: Sequence[DueFile]) -> list[PreparedFile]:
        """One result per file, in the group's order. Raises nothing because of one file."""
        return [self._read(file) for file in group]

    def _read(self, file: DueFile) -> PreparedFile:
        try:
            found = self._reader.read(file.path, file.known, self._claims, file.resume, file.within)
            is_new = file.known is None
            runs = [self.prepare(graph, is_new, found.is_rewritten) for graph in found.parsed.graphs]
        except OSError as error:
            return PreparedFile(problem=error.strerror or type(error).__name__)
        except UnknownFormatError as error:
            return PreparedFile(problem=str(error))
        except (ValidationError, IngestError) as error:
            return PreparedFile(problem=error.message, hint=error.hint)
        except Exception as error:
            # A defect of a reader costs the file that shows it, not the import of all the others.
            # The process that reads starts sooner without a logger, which it hardly ever needs.
            from acode_tui.logs import get_logger

            log = get_logger("acode_tui.ingest")
            log.error("import.defect", file=str(file.path), exc_info=error)
            problem = f"cannot be read because of a defect ({type(error).__name__}); please report it"
            return PreparedFile(problem=problem)
        parsed = found.parsed
        return PreparedFile(
            found.cursor,
            runs,
            parsed.counts,
            parsed.skipped,
            parsed.unknown,
            expected=parsed.expected,
            is_partial=parsed.is_partial,
            only_new=parsed.only_new,
        )


def in_groups(files: Sequence[DueFile]) -> Iterator[list[DueFile]]:
    """Cut the files, in their order, into groups."""
    group: list[DueFile] = []
    size = 0
    for file in files:
        if group and (len(group) >= GROUP_FILES or size + file.size > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(file)
        size += file.size
    if group:
        yield group
