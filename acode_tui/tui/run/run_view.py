"""The state of the session screen: the run it shows, whether it follows the run, and the neighbouring sessions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from acode_tui.domain.entities import Session, SessionGraph
from acode_tui.domain.transitions import SESSION_TERMINAL
from acode_tui.storage.ports import SessionFilter
from acode_tui.tui.run.blocks import Conversation
from acode_tui.tui.style.palette import Role

if TYPE_CHECKING:
    from acode_tui.storage.ports import RunStateReader


@dataclass(slots=True)
class RunView:
    """The session that is shown.

    ``conversation`` is the run as one page. ``whole`` is whether all of it was read, not only its first or last steps.
    ``joined`` is set once only its end was read again: a row before that may have changed since. ``follows`` keeps the
    view at the end of the run.
    """

    session_id: str
    graph: SessionGraph | None = None
    conversation: Conversation | None = None
    whole: bool = False
    joined: bool = False
    follows: bool = False
    more: bool = False
    """Whether something was recorded while the end of the run was not followed."""

    @property
    def running(self) -> bool:
        """Whether more may be recorded: the session is not in a final state."""
        return self.graph is not None and self.graph.state not in SESSION_TERMINAL

    @property
    def follow_label(self) -> tuple[str, Role] | None:
        """The text in the title on whether the run is followed; None for a run that has ended."""
        if not self.running:
            return None
        if self.follows:
            return ("◉ following", "good")
        return ("↓ more below, f follows", "wait") if self.more else ("○ f follows", "quiet")

    def is_newer(self, stored: Session) -> bool:
        """Whether the stored run has changed since it was read."""
        return self.graph is None or (stored.updated_at, stored.state) != (self.graph.updated_at, self.graph.state)

    def update(self, graph: SessionGraph, conversation: Conversation, *, whole: bool, joined: bool) -> None:
        """The run, or some of it, was read."""
        before = self.conversation
        grown = before is not None and self.whole and len(conversation.blocks) > len(before.blocks)
        self.more = not self.follows and (self.more or grown)
        self.graph, self.conversation, self.whole, self.joined = graph, conversation, whole, joined

    def switch_to(self, session_id: str) -> None:
        """Show another session."""
        self.session_id = session_id
        self.graph = self.conversation = None
        self.whole = self.joined = self.follows = self.more = False


@dataclass(slots=True)
class SessionWalk:
    """Steps to the next and the previous session, in the order of the list that the session was opened from.

    Begins with the page that the list shows, and reads the next or the previous page at the edge of the current one.
    """

    filter: SessionFilter
    page_size: int
    ids: list[str]
    next_cursor: str | None = None
    previous_cursor: str | None = None

    async def step(self, runs: "RunStateReader", session_id: str, direction: int) -> str | None:
        """The id of the session after (1) or before (-1) a session; None at the end of the list."""
        index = self.ids.index(session_id) + direction if session_id in self.ids else 0
        if 0 <= index < len(self.ids):
            return self.ids[index]
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
