"""What workers and panes tell the screens. A worker touches no widget: it posts one of these."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

from acode_tui.domain.states import SessionState
from acode_tui.storage.ports import SessionPage
from acode_tui.tui.state import Overview

if TYPE_CHECKING:
    from acode_tui.tui.ports import DashboardWorkspace
    from acode_tui.tui.transcript_import import Survey


@dataclass
class WorkspaceOpened(Message):
    """The workspace is open; screens may read."""

    workspace: "DashboardWorkspace"


@dataclass
class OverviewRead(Message):
    """A fresh reading for the header and the panes."""

    overview: Overview


@dataclass
class PageRead(Message):
    """A page of sessions for the browser, how many there are of each state where that is known, and the request it
    answers: an answer to an older one is dropped.
    """

    page: SessionPage
    counts: Mapping[SessionState, int] | None
    request: int


@dataclass
class SearchChanged(Message):
    """The text in the search line changed."""

    text: str


@dataclass
class JumpRequested(Message):
    """Somebody wants to see the session of this id, or of the one that begins so."""

    prefix: str


@dataclass
class StatesSelected(Message):
    """Only sessions in these states are to be shown; none means all."""

    states: frozenset[SessionState]


class InputClosed(Message):
    """What was typed stays, and the list has the keys again."""


@dataclass
class TranscriptsFound(Message):
    """What lies on this machine that could be imported. Only names and sizes were looked at."""

    survey: "Survey"


@dataclass
class PaneOpened(Message):
    """A pane was clicked, or enter pressed on it."""

    action: str
