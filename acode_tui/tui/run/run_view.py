"""Which run is looked at and how: its newest reading, whether it is followed, and its neighbours in the list."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from acode_tui.domain.entities import Artifact, Session, SessionGraph
from acode_tui.domain.transitions import SESSION_TERMINAL
from acode_tui.storage.ports import SessionFilter
from acode_tui.tui.style.palette import Role

if TYPE_CHECKING:
    from acode_tui.storage.ports import RunStateReader

Side = Literal["timeline", "about", "artifacts"]


@dataclass(slots=True)
class RunView:
    """A session as it is looked at. ``held`` keeps what is shown as it is while the run goes on."""

    session_id: str
    graph: SessionGraph | None = None
    held: bool = False
    newer: bool = False
    side: Side = "timeline"
    listed: str = ""

    @property
    def running(self) -> bool:
        """Whether more may come: the session is in no final state."""
        return self.graph is not None and self.graph.state not in SESSION_TERMINAL

    @property
    def mark(self) -> tuple[str, Role] | None:
        """What the title says of following; None for a run that has ended and is shown whole."""
        if self.held:
            return ("‖ held, there is more", "wait") if self.newer else ("‖ held", "wait")
        return ("◉ following", "good") if self.running else None

    def is_newer(self, present: Session) -> bool:
        """Whether the stored run has gone on since it was read."""
        return self.graph is None or (present.updated_at, present.state) != (self.graph.updated_at, self.graph.state)

    def take(self, graph: SessionGraph) -> None:
        """Another reading of the run."""
        self.graph = graph
        self.newer = False

    def turn_to(self, session_id: str) -> None:
        """Another session; the side that is open stays open."""
        self.session_id = session_id
        self.graph = None
        self.held = self.newer = False

    @property
    def artifacts(self) -> list[Artifact]:
        """Every artifact of the run, in the order of the tree."""
        if self.graph is None:
            return []
        calls = (call for task in self.graph.tasks for step in task.steps for call in step.tool_calls)
        return [artifact for call in calls for artifact in call.artifacts]


@dataclass(slots=True)
class SessionWalk:
    """The sessions before and after one, in the order of the list that it was opened from.

    It begins on the page that was shown and reads the neighbouring pages when it steps over an edge.
    """

    filter: SessionFilter
    page_size: int
    ids: list[str]
    next_cursor: str | None = None
    previous_cursor: str | None = None

    async def step(self, runs: "RunStateReader", session_id: str, direction: int) -> str | None:
        """The session after (1) or before (-1) that one; None at the end of the list."""
        place = self.ids.index(session_id) + direction if session_id in self.ids else 0
        if 0 <= place < len(self.ids):
            return self.ids[place]
        cursor = self.next_cursor if direction > 0 else self.previous_cursor
        if cursor is None:
            return None
        await self._read(runs, **({"after": cursor} if direction > 0 else {"before": cursor}))
        if not self.ids:
            return None
        return self.ids[0 if direction > 0 else -1]

    async def _read(self, runs: "RunStateReader", *, after: str | None = None, before: str | None = None) -> None:
        page = await runs.list(self.filter, limit=self.page_size, after=after, before=before)
        found: Sequence[Session] = page.sessions
        self.ids = [session.id for session in found]
        self.next_cursor, self.previous_cursor = page.next_cursor, page.previous_cursor
