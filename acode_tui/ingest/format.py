"""What a transcript format is: the Protocol that each format implements, and the values that it takes and returns.

Formats import this module and never the registry.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.validation import Limits
from acode_tui.ingest.timeline import Checkpoint
from acode_tui.ingest.usage import Claims

MAX_REPORTED = 20
"""So many skipped lines of a file are named one by one; all are counted."""


class ReadContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a format is given besides the lines. ``fresh``: the file was written to a short while ago."""

    path: Path
    workspace_id: str
    user_id: str | None
    limits: Limits
    fresh: bool
    checkpoints: tuple[Checkpoint, ...] = ()
    claims: Claims


class Counts(msgspec.Struct):
    """Entities read: the numbers that a person would count in the file.

    Implicit tasks, and steps that only hold a result without its call, are left out.
    """

    sessions: int = 0
    tasks: int = 0
    steps: int = 0
    tool_calls: int = 0
    artifacts: int = 0

    def add(self, other: "Counts") -> None:
        self.sessions += other.sessions
        self.tasks += other.tasks
        self.steps += other.steps
        self.tool_calls += other.tool_calls
        self.artifacts += other.artifacts


class SkippedLines(msgspec.Struct):
    """Lines that are no records. Blank lines count only if another line follows them."""

    count: int = 0
    named: list[tuple[int, str]] = []
    blank: list[int] = []

    def add(self, line: int, reason: str) -> None:
        self.count += 1
        if len(self.named) < MAX_REPORTED:
            self.named.append((line, reason))

    def count_blank(self) -> None:
        """Count the blank lines seen so far: another line followed them."""
        for line in self.blank:
            self.add(line, "blank line")
        self.blank = []


class Parsed(msgspec.Struct, kw_only=True):
    """What a format read from one file. ``open``: the states change once the file is no longer fresh.

    ``claimed`` holds the keys of the model messages that its session counts (see ``usage.Claims``).
    """

    graphs: tuple[SessionGraph, ...] = ()
    counts: Counts
    skipped: SkippedLines
    open: bool = False
    checkpoints: tuple[Checkpoint, ...] = ()
    claimed: bytes = b""


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

        Raises nothing because of what the lines hold.
        """
        ...
