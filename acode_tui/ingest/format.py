"""What a transcript format is: the Protocol that each format implements, and the values that it takes and returns.

Formats import this module and never the registry.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.validation import Limits
from acode_tui.ingest.counts import Counts, SkippedLines
from acode_tui.ingest.timeline import Checkpoint
from acode_tui.ingest.usage import Claims


class ReadContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a format is given besides the lines. ``fresh``: the file was written to a short while ago.

    ``resumable`` asks for ``Parsed.resume``; ``resume`` is that of an earlier import: the lines are those after it, and
    ``claimed`` the keys that the session has counted by then.
    """

    path: Path
    workspace_id: str
    user_id: str | None
    limits: Limits
    fresh: bool
    checkpoints: tuple[Checkpoint, ...] = ()
    claims: Claims
    resumable: bool = False
    resume: bytes = b""
    claimed: bytes = b""


class ExpectedRows(msgspec.Struct, array_like=True):
    """Ids that must be stored already, and ids of tasks, steps and calls that must not be."""

    present: list[str]
    absent: list[str]

    def holds(self, stored: set[str]) -> bool:
        """Whether it holds, given those of the ids that are stored."""
        return stored.issuperset(self.present) and stored.isdisjoint(self.absent)


class Parsed(msgspec.Struct, kw_only=True):
    """What a format read from one file. ``open``: the states change once the file is no longer fresh.

    ``claimed`` holds the keys of the model messages that its session counts (see ``usage.Claims``). ``resume`` is what
    the format needs to read on after these lines; empty where it cannot. With ``expected``, the graphs hold only what
    is new since an earlier import or may have changed; if that expectation fails, the file is to be read as a whole.
    """

    graphs: tuple[SessionGraph, ...] = ()
    counts: Counts
    skipped: SkippedLines
    open: bool = False
    checkpoints: tuple[Checkpoint, ...] = ()
    claimed: bytes = b""
    resume: bytes = b""
    expected: ExpectedRows | None = None


class TranscriptFormat(Protocol):
    """The transcript format of one agent."""

    @property
    def name(self) -> str: ...

    def recognises(self, records: Sequence[Mapping[str, Any]]) -> bool:
        """Whether these objects, the first ones of a file, are in this format."""
        ...

    def hints(self, path: Path) -> bool:
        """Whether the path looks like one of this format's, without opening it."""
        ...

    def roots(self, environ: Mapping[str, str], home: Path) -> list[Path]:
        """The folders in which this agent keeps its transcripts; they need not exist."""
        ...

    def read(self, lines: Iterable[tuple[int, bytes | None]], context: ReadContext) -> Parsed:
        """The sessions of a file, given its numbered lines (None for one that is too long).

        Raises nothing because of what the lines hold, but for NeedsWholeFileError where the reading was resumed.
        """
        ...
