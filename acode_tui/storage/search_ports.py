"""The ports of search: finding places in runs, and keeping the index of one database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from acode_tui.domain.progress import ReportProgress


class SearchedSession(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The run that a hit is in. ``agent`` and ``project`` are None where its metadata does not name them."""

    id: str
    task_description: str
    agent: str | None
    project: str | None


class SearchHit(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A place that a query finds: ids are None where they do not apply to it.

    ``kind`` is one of ``domain.search.places.Kind``; ``at`` is when the text came to be; ``snippet`` is a line of it
    with each match between ``**`` and ``**``.
    """

    session_id: str
    task_id: str | None
    step_id: str | None
    tool_call_id: str | None
    artifact_id: str | None
    kind: str
    at: datetime
    snippet: str
    session: SearchedSession


class SearchPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A page of hits. ``total`` is how many hits there are, None where counting them would take too long."""

    hits: tuple[SearchHit, ...]
    next_cursor: str | None = None
    total: int | None = None


class IndexSize(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a rebuild of the index made: its entries, its size in bytes, and how long it took in seconds."""

    entries: int
    bytes: int
    duration_seconds: float


class RunSearch(Protocol):
    """Finds places in runs. The runs come newest first, by (updated_at, id); the hits of a run by time."""

    async def search(self, query: str, *, limit: int = 50, after: str | None = None) -> SearchPage:
        """A page of hits. Raises ValidationError for a query that is not one of the language, an empty one too."""
        ...


class RunHitsReader(Protocol):
    """Finds the places of runs that a list shows already."""

    async def hits_in(
        self, query: str, session_ids: Sequence[str], *, most: int = 4
    ) -> dict[str, tuple[SearchHit, ...]]:
        """By session, of those given, its first ``most`` hits. A run that does not match is left out.

        Raises ValidationError for a query that is not one of the language.
        """
        ...


class SearchIndex(Protocol):
    """The index of one database: derived data that can be made again from the rows."""

    async def rebuild(self, on_progress: ReportProgress | None = None) -> IndexSize:
        """Rebuild the index from the rows."""
        ...

    async def catch_up(self, on_progress: ReportProgress | None = None) -> None:
        """Index and count everything that is committed now."""
        ...

    async def check(self, *, deep: bool = False) -> tuple[str, ...]:
        """Compare the index with the rows, all of them with ``deep``: a sentence for each difference."""
        ...
