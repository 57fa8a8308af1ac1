"""The port of imports: which transcripts were read and how far, and what saving their runs changed.

The process that reads transcripts imports this port alone, not those of everything else.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.states import EntityType

SPANS_FILE = "spans.db"
"""The file in ``.agent/otlp`` that holds the spans that were received, apart from the runs that they become."""


class StoredSpan(msgspec.Struct, frozen=True):
    """A span as it is stored: ``rank`` decides which of two versions of a span is kept, the larger one.

    ``conversation`` is the id of the conversation that the span names, or empty; ``start`` is in nanoseconds since
    1970.
    """

    trace: str
    id: str
    rank: bytes
    conversation: str
    start: int
    is_root: bool
    body: bytes


class SpanLog(Protocol):
    """Keeps received spans, each once, in its last version. Calls wait for the disk."""

    def add(self, spans: Sequence[StoredSpan], now: int) -> int:
        """Store spans; returns the number of those that are new or newer. All are on disk then, or none is stored.

        ``now`` is in seconds since 1970. Raises DiskFullError, TransactionError.
        """
        ...

    def prune(self, now: int) -> int:
        """Delete the spans of sessions to which nothing was added for long. Returns the number of sessions."""
        ...

    def close(self) -> None: ...


class SaveResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What ``save`` did: rows inserted and updated by kind, and how many stood already as given."""

    inserted: dict[EntityType, int] = {}
    updated: dict[EntityType, int] = {}
    unchanged: int = 0

    @property
    def written(self) -> int:
        return sum(self.inserted.values()) + sum(self.updated.values())


class TranscriptFile(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How far a transcript was read: ``offset`` is the byte after the last whole line.

    ``state`` and ``resume`` are the importer's own; ``resume`` is written, and read only by ``TranscriptLog.resumes``.
    """

    path: str
    format: str
    inode: int
    size: int
    mtime_ns: int
    offset: int
    head_hash: str
    session_ids: tuple[str, ...] = ()
    skipped_lines: int = 0
    imported_at: datetime
    state: bytes = b""
    resume: bytes = b""


class TranscriptLog(Protocol):
    """Which transcripts were read, and how far."""

    def prepare(self, graph: SessionGraph, new: bool, whole: bool = False) -> Any:
        """The run in the form that ``save_many`` takes, made of plain lists, strings, numbers and bytes.

        ``new``: it is likely not stored yet. ``whole``: it is all that its session holds now; what is stored of it
        beside that was removed, and is marked. Where this is a function of a module, another process may find it by its
        name and call it there. Raises ValidationError for what cannot be stored.
        """
        ...

    async def known(self, paths: Sequence[str] | None = None) -> dict[str, TranscriptFile]:
        """Every file read so far, or those of ``paths``, by path, in one query; ``resume`` is left out."""
        ...

    async def resumes(self, paths: Sequence[str]) -> dict[str, bytes]:
        """``resume`` of the given files that have one, by path."""
        ...

    async def stored(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that are the id of a stored session, task, step or tool call."""
        ...

    async def without_transcript(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that are of a stored session of whose transcript its prompts alone are left."""
        ...

    async def save_many(self, items: Sequence[tuple[TranscriptFile, Sequence[Any]]]) -> tuple[SaveResult, ...]:
        """Several files in one transaction, each with its prepared runs and its cursor: all of them, or none."""
        ...
