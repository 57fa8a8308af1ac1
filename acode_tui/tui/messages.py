"""The messages that workers and widgets post to the screens. A worker touches no widget: it posts a message."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

from acode_tui.domain.entities import SessionSummary
from acode_tui.domain.states import SessionState
from acode_tui.storage.ports import Backup, SearchHit, SessionFilter, SessionPage
from acode_tui.tui.state import Overview

if TYPE_CHECKING:
    from acode_tui.tui.transcript_import import Survey


@dataclass
class OverviewRead(Message):
    """The overview of the header and the panes was read."""

    overview: Overview


@dataclass
class PageRead(Message):
    """A page of sessions was read, with the number of sessions in each state if that is known.

    ``children`` are those of the page's unfolded runs, by their parent's id. ``request`` is the request that it
    answers; the answer to an older request is dropped.
    """

    page: SessionPage
    counts: Mapping[SessionState, int] | None
    children: Mapping[str, Sequence[SessionSummary]]
    request: int


@dataclass
class HitsRead(Message):
    """The places that the search finds in some runs were read, by session id; ``text`` is what was searched for."""

    hits: Mapping[str, tuple[SearchHit, ...]]
    text: str


@dataclass
class SearchChanged(Message):
    """The text in the search line changed."""

    text: str


@dataclass
class JumpRequested(Message):
    """The user asks for the session whose id is, or begins with, ``prefix``."""

    prefix: str


@dataclass
class StatesSelected(Message):
    """The user filters the sessions by state; an empty set means every state."""

    states: frozenset[SessionState]


class InputClosed(Message):
    """The user left a line above the list. Its text stays, and the list gets the focus."""


@dataclass
class TranscriptsFound(Message):
    """The transcripts of this workspace's folder were listed."""

    survey: "Survey"


@dataclass
class PaneOpened(Message):
    """The user opened a pane, by a click or by enter."""

    action: str


@dataclass
class RunRequested(Message):
    """Open a run of those that are listed; ``place`` are ids of the entity to go to, and of those above it."""

    session_id: str
    place: tuple[str, ...] = ()


@dataclass
class FieldValuesRead(Message):
    """The values that a field of the query language has in the stored runs were read."""

    field: str
    values: tuple[str, ...]


@dataclass
class NoMatchExplained(Message):
    """Sentences on why no run fits ``filter``."""

    filter: SessionFilter
    sentences: list[str]


@dataclass
class SaveQueryRequested(Message):
    """The user wants to save the query in the search line."""

    query: str


@dataclass
class RemoveQueryRequested(Message):
    """The user wants to remove a saved query."""

    name: str


@dataclass
class CostsRead(Message):
    """What runs cost was read, by their ids."""

    costs: Mapping[str, float | None]


@dataclass
class QueryRequested(Message):
    """Show the runs that a query finds."""

    query: str


class BackupsRequested(Message):
    """Show the backups."""


@dataclass
class RestoreRequested(Message):
    """Restore a backup, which the user has confirmed."""

    backup: Backup


@dataclass
class PictureRefused(Message):
    """A picture cannot be drawn; ``reason`` is a clause."""

    reason: str
