"""What an import counts: entities read, and lines that are no records."""

import msgspec

from acode_tui.ingest.observe import observer

MAX_REPORTED = 20
"""So many skipped lines of a file are named one by one; all are counted."""


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
        if (watching := observer()) is not None:
            watching.damaged(line, reason)
        if len(self.named) < MAX_REPORTED:
            self.named.append((line, reason))

    def count_blank(self) -> None:
        """Count the blank lines seen so far: another line followed them."""
        for line in self.blank:
            self.add(line, "blank line")
        self.blank = []
