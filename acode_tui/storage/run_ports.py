"""The ports of runs as streams of rows: for export, import and comparison."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

from acode_tui.domain.entities import Entity

T = TypeVar("T")


class RunRows(Protocol):
    """Whole runs, row by row, however large they are."""

    async def session_ids(self, *, after: str, limit: int) -> tuple[str, ...]:
        """The next ids in order; empty at the end. ``after`` is empty at the beginning."""
        ...

    async def count(self) -> int:
        """How many sessions there are."""
        ...

    async def rows(self, session_id: str) -> int:
        """How many rows ``walk`` gives of a session at present; 0 of one that is not there."""
        ...

    async def walk(self, session_id: str, consume: Callable[[Iterator[Entity]], T]) -> T:
        """What ``consume`` answers, given the run's rows in one snapshot: each parent before its children, siblings in
        order, events before tasks, artifacts with their content.

        ``consume`` runs in another thread and must not outlast the iterator. Raises NotFoundError, and IntegrityError
        where an artifact does not fit its hash.
        """
        ...


RowChecksums = dict[tuple[str, str], bytes]
"""A checksum of each row's real column values, by (table, id)."""


class RowChecksumReader(Protocol):
    """What a tier really holds, in a form that can be compared with another tier."""

    async def session_ids(self, *, after: str, limit: int) -> tuple[str, ...]:
        """The next ids in order; empty at the end. ``after`` is empty at the beginning."""
        ...

    async def of_sessions(self, ids: tuple[str, ...]) -> dict[str, RowChecksums]:
        """By session, each of its rows."""
        ...


class RowSink(Protocol):
    """Something that rows are written into, in the order of ``RunRows.walk``. Raises OSError."""

    def add(self, entity: Entity) -> None:
        """Write the next row."""
        ...

    def close(self, counts: dict[str, int]) -> None:
        """Finish; ``counts`` are the rows by table."""
        ...

    def abandon(self) -> None:
        """Give up what was written."""
        ...


class RunFileReader(Protocol):
    """A database file of runs that is open for reading, by one thread at a time."""

    @property
    def is_former(self) -> bool:
        """Whether a build before the first release made it. Its runs have tool calls that were made up."""
        ...

    def info(self) -> dict[str, str]:
        """What the export says of itself; empty for any other file."""
        ...

    def runs(self, use: Callable[[Iterator[Entity]], bytes]) -> Iterator[tuple[str, bytes | str]]:
        """By session id: what ``use`` makes of the run's rows, or a sentence that says what is wrong with them."""
        ...

    def close(self) -> None: ...


class RunFiles(Protocol):
    """Database files that hold exported runs and nothing else."""

    def is_run_file(self, path: Path) -> bool:
        """Whether a file begins like a database. Raises OSError."""
        ...

    def create(self, path: Path, info: dict[str, str]) -> RowSink:
        """Write into the empty file at ``path``; ``info`` is what the export says of itself. Raises OSError."""
        ...

    def open(self, path: Path, *, most_bytes: int) -> RunFileReader:
        """Open a file; a value of more than ``most_bytes`` is not read. Raises ExportError for a database of another
        kind, and for one with anything that acode-tui does not put into it."""
        ...
