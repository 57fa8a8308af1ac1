"""The messages that workers and widgets post to the screens. A worker touches no widget: it posts a message."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

from textual.message import Message

from acode_tui.domain.entities import SessionSummary
from acode_tui.domain.states import SessionState
from acode_tui.storage.ports import Backup, SearchHit, SessionFilter, SessionPage
from acode_tui.tui.state import Overview

if TYPE_CHECKING:
    from acode_tui.tui.transcript_import import Survey


@dataclass_transform()
class FieldsMessage(Message):
    """A message with fields, which are written, and given to it, as those of a dataclass.

    A dataclass compiles its methods when its module is imported: of all messages that is a fiftieth of the start.
    """

    _fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._fields = tuple(cls.__annotations__)

    def __init__(self, *values: Any, **named: Any) -> None:
        super().__init__()
        given = {**dict(zip(self._fields, values, strict=False)), **named}
        missing = [field for field in self._fields if field not in given and not hasattr(type(self), field)]
        if missing or len(values) + len(named) != len(given) or not given.keys() <= {*self._fields}:
            raise TypeError(f"{type(self).__name__} has the fields {self._fields}")
        self.__dict__.update(given)


class OverviewRead(FieldsMessage):
    """The overview of the header and the panes was read."""

    overview: Overview


class PageRead(FieldsMessage):
    """A page of sessions was read, with the number of sessions in each state if that is known.

    ``children`` are those of the page's unfolded runs, by their parent's id. ``request`` is the request that it
    answers; the answer to an older request is dropped.
    """

    page: SessionPage
    counts: Mapping[SessionState, int] | None
    children: Mapping[str, Sequence[SessionSummary]]
    request: int


class HitsRead(FieldsMessage):
    """The places that the search finds in some runs were read, by session id; ``text`` is what was searched for."""

    hits: Mapping[str, tuple[SearchHit, ...]]
    text: str


class SearchChanged(FieldsMessage):
    """The text in the search line changed."""

    text: str


class JumpRequested(FieldsMessage):
    """The user asks for the session whose id is, or begins with, ``prefix``."""

    prefix: str


class StatesSelected(FieldsMessage):
    """The user filters the sessions by state; an empty set means every state."""

    states: frozenset[SessionState]


class InputClosed(Message):
    """The user left a line above the list. Its text stays, and the list gets the focus."""


class TranscriptsFound(FieldsMessage):
    """The transcripts of this workspace's folder were listed."""

    survey: "Survey"


class PaneOpened(FieldsMessage):
    """The user opened a pane, by a click or by enter."""

    action: str


class RunRequested(FieldsMessage):
    """Open a run of those that are listed; ``place`` are ids of the entity to go to, and of those above it."""

    session_id: str
    place: tuple[str, ...] = ()


class FieldValuesRead(FieldsMessage):
    """The values that a field of the query language has in the stored runs were read."""

    field: str
    values: tuple[str, ...]


class NoMatchExplained(FieldsMessage):
    """Sentences on why no run fits ``filter``."""

    filter: SessionFilter
    sentences: list[str]


class SaveQueryRequested(FieldsMessage):
    """The user wants to save the query in the search line."""

    query: str


class RemoveQueryRequested(FieldsMessage):
    """The user wants to remove a saved query."""

    name: str


class CostsRead(FieldsMessage):
    """What runs cost was read, by their ids."""

    costs: Mapping[str, float | None]


class QueryRequested(FieldsMessage):
    """Show the runs that a query finds."""

    query: str


class BackupsRequested(Message):
    """Show the backups."""


class RestoreRequested(FieldsMessage):
    """Restore a backup, which the user has confirmed."""

    backup: Backup


class PictureRefused(FieldsMessage):
    """A picture cannot be drawn; ``reason`` is a clause."""

    reason: str
