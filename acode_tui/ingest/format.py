"""What a transcript format is: the Protocol that each one implements, and the values it reads and answers.

Formats know this module and not the registry.
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
"""Bad lines named one by one for each file; all are counted."""


class ReadContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader knows besides the lines. ``fresh``: the file was written to a short while ago."""

    path: Path
    workspace_id: str
    user_id: str | None
    limits: Limits
    fresh: bool
    checkpoints: tuple[Checkpoint, ...] = ()
    claims: Claims


class Counts(msgspec.Struct):
    """What was read, counted so that it can be compared: carriers and implicit tasks are left out."""

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
    """Lines that were no records. Blank lines count once another line follows them."""

    count: int = 0
    named: list[tuple[int, str]] = []
    blank: list[int] = []

    def add(self, line: int, why: str) -> None:
        self.count += 1
        if len(self.named) < MAX_REPORTED:
            self.named.append((line, why))

    def settle_blank(self) -> None:
        for line in self.blank:
            self.add(line, "blank line")
        self.blank = []


class Parsed(msgspec.Struct, kw_only=True):
    """What came of one file. ``open``: the states will read otherwise once the file is no longer fresh."""

    graphs: tuple[SessionGraph, ...] = ()
    counts: Counts
    skipped: SkippedLines
    open: bool = False
    checkpoints: tuple[Checkpoint, ...] = ()
    claimed: bytes = b""


class TranscriptFormat(Protocol):
    """One agent's way of writing transcripts."""

    @property
    def name(self) -> str: ...

    def recognises(self, records: Sequence[Mapping[str, Any]]) -> bool:
        """Whether these objects, the first of a file, are of this format."""
        ...

    def hints(self, path: Path) -> bool:
        """Whether the path looks like one of this format's, without opening it."""
        ...

    def roots(self, environ: Mapping[str, str], home: Path) -> list[Path]:
        """Where this agent keeps its transcripts, existing or not."""
        ...

    def read(self, lines: Iterable[tuple[int, bytes | None]], context: ReadContext) -> Parsed:
        """The sessions of a file. Raises nothing on account of what the lines hold."""
        ...
