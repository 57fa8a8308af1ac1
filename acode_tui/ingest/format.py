"""What a transcript format is: the Protocol that each format implements, and the values that it takes and returns.

Formats import this module and never the registry.
"""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum, auto
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.validation import Limits
from acode_tui.ingest.counts import Counts, SkippedLines
from acode_tui.ingest.documents import DocumentShape
from acode_tui.ingest.timeline import Checkpoint
from acode_tui.ingest.usage import Claims


class ReadContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a format is given besides the lines. ``now`` is the time of the import, ``written_at`` the file's.

    ``path`` has no ``.zst`` at its end, so that a packed file is the same session as before. ``resumable`` asks for
    ``Parsed.resume``; ``resume`` is that of an earlier import: the lines are those after it, and ``claimed`` the keys
    that the session has counted by then. ``seen`` is ``Parsed.seen`` of an earlier import. Of a transcript of many
    sessions those that began in the folders of ``within`` are read; all of them where it is empty.
    """

    path: Path
    now: datetime
    written_at: datetime
    workspace_id: str
    user_id: str | None
    limits: Limits
    checkpoints: tuple[Checkpoint, ...] = ()
    claims: Claims
    resumable: bool = False
    resume: bytes = b""
    claimed: bytes = b""
    seen: bytes = b""
    within: tuple[str, ...] = ()


class ExpectedRows(msgspec.Struct, array_like=True):
    """Ids that must be stored already, and ids of tasks, steps and calls that must not be."""

    present: list[str]
    absent: list[str]

    def holds(self, stored: set[str]) -> bool:
        """Whether it holds, given those of the ids that are stored."""
        return stored.issuperset(self.present) and stored.isdisjoint(self.absent)


class Parsed(msgspec.Struct, kw_only=True):
    """What a format read from one file. ``until``: the moment from which on the same lines give other states, if any.

    ``unknown`` counts the records that the format does not know, by their type. ``seen`` is what a format of several
    parts keeps to pass by those that have not changed; with ``is_partial`` others are still to be read, given that.
    ``claimed`` holds the keys of the model messages that its session counts (see ``usage.Claims``). ``resume`` is what
    the format needs to read on after these lines; empty where it cannot. With ``expected``, the graphs hold only what
    is new since an earlier import or may have changed; if that expectation fails, the file is to be read as a whole.
    ``only_new`` has the counts of each graph where they are all that is left of their sessions: a graph is saved only
    where its session is not stored, or is stored as such a one.
    """

    graphs: tuple[SessionGraph, ...] = ()
    counts: Counts
    skipped: SkippedLines
    unknown: dict[str, int] = {}
    until: datetime | None = None
    checkpoints: tuple[Checkpoint, ...] = ()
    claimed: bytes = b""
    resume: bytes = b""
    seen: bytes = b""
    is_partial: bool = False
    only_new: list[Counts] | None = None
    expected: ExpectedRows | None = None


class FileStat(NamedTuple):
    """What shows that a transcript has changed: the inode, the size in bytes, the modification time in nanoseconds."""

    inode: int
    size: int
    mtime_ns: int


class Layout(Enum):
    """How a transcript is stored."""

    LINES = auto()
    """A file of JSON lines, which grows at its end."""
    DOCUMENT = auto()
    """A file that holds one JSON value, and is written anew with each change. Its value is given as line 1."""
    PARTS = auto()
    """A folder, a database or a tree of small files: the format reads its parts itself, and numbers them."""


DOCUMENT_SUFFIXES = frozenset({".json", ".traj"})


class TranscriptFormat(Protocol):
    """The transcript format of one agent. Implementations inherit what is the same for files of lines."""

    @property
    def name(self) -> str: ...

    def recognises(self, records: Sequence[Mapping[str, Any]]) -> bool:
        """Whether these objects, the first ones of a file, are in this format."""
        ...

    def hints(self, path: Path) -> bool:
        """Whether the path looks like one of this format's, without opening it.

        A file of another kind than ``.jsonl`` and ``.traj`` is found in a folder only where a format says so.
        """
        ...

    def ignores(self, path: Path) -> bool:
        """Whether the path is a file that this agent keeps beside its transcripts, and that holds no run."""
        return False

    def roots(self, environ: Mapping[str, str], home: Path) -> list[Path]:
        """The folders, and files, in which this agent keeps its transcripts; they need not exist."""
        ...

    def read(self, lines: Iterable[tuple[int, bytes | None]], context: ReadContext) -> Parsed:
        """The sessions of a file, given its numbered lines (None for one that is too long).

        Raises nothing because of what the lines hold, but for NeedsWholeFileError where the reading was resumed.
        """
        ...

    def folder(self, path: Path) -> str:
        """The folder of the run, where the path or a file beside it says so; empty where the transcript itself does."""
        return ""

    def keeps(self, path: Path) -> timedelta | None:
        """For how long after its last write the agent keeps the transcript at this path; None where it deletes none."""
        return None

    def layout(self, path: Path) -> Layout:
        """How the transcript at a path is stored; the path may be a folder for which ``is_transcript`` is true."""
        return Layout.DOCUMENT if path.suffix in DOCUMENT_SUFFIXES else Layout.LINES

    def shape(self) -> DocumentShape | None:
        """For a format of documents, where its records are, so that those of a damaged document can be read."""
        return None

    def is_transcript(self, folder: Path, names: Collection[str]) -> bool:
        """Whether a folder with entries of these names is one transcript. It is then not searched for others."""
        return False

    def folders(self, path: Path) -> dict[str, int] | None:
        """For a transcript of many sessions, the folders in which they began, and how many did; None for any other.

        Raises OSError, IngestError.
        """
        return None

    def stat(self, path: Path) -> FileStat:
        """What shows that the transcript has changed, without opening it. Raises OSError."""
        return stat_of(os.stat(path))

    def parts(self, path: Path, context: ReadContext) -> Iterable[tuple[int, bytes | None]]:
        """The numbered records of a transcript in parts, one JSON object each. Raises OSError, IngestError."""
        return ()


def is_within(folder: str, folders: Iterable[str]) -> bool:
    """Whether a run's folder lies within one of these real paths; links of its own are resolved."""
    if not os.path.isabs(folder) or "\0" in folder:
        return False
    real = Path(os.path.realpath(folder))
    return any(real.is_relative_to(each) for each in folders)


def stat_of(stat: os.stat_result) -> FileStat:
    """The same three numbers of a file."""
    return FileStat(stat.st_ino, stat.st_size, stat.st_mtime_ns)
