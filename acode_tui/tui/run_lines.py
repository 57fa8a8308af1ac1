"""The lines of the list: the runs of the page, and below an unfolded run those that it started. Pure."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from acode_tui.domain.entities import SessionSummary
from acode_tui.domain.quantities import short_number
from acode_tui.domain.search.facts import facts_of

MAX_DEPTH = 8
"""How deep runs are shown inside others; a run that started itself, by a damaged transcript, ends there."""


class RunLine(msgspec.Struct, frozen=True):
    """A run and where it stands: ``depth`` 0 is the page itself. ``unfolded`` says whether its children follow.

    ``folds`` is False in a list where every run stands for itself: then a mark says which runs others started.
    """

    session: SessionSummary
    depth: int = 0
    unfolded: bool = False
    folds: bool = True

    @property
    def mark(self) -> str:
        """What stands before the name: the sign of the fold and the number of children, or that it is a child."""
        session = self.session
        inside = "  " * (self.depth - 1) + "└ " if self.depth else ""
        if self.folds and session.child_count:
            return f"{inside}{'▾' if self.unfolded else '▸'} {short_number(session.child_count)}  "
        if not self.depth and facts_of(session).parent_session_id is not None:
            return "↳ "
        return inside


def run_lines(
    page: Sequence[SessionSummary],
    children: Mapping[str, Sequence[SessionSummary]],
    unfolded: frozenset[str],
    *,
    folds: bool,
) -> list[RunLine]:
    """The lines of a page; ``children`` are those that were read, by their parent's id. Each run stands once."""
    seen = {session.id for session in page}

    def lines(sessions: Sequence[SessionSummary], depth: int) -> Iterator[RunLine]:
        for session in sessions:
            is_open = folds and session.id in unfolded and session.id in children and depth < MAX_DEPTH
            yield RunLine(session, depth, is_open, folds)
            if is_open:
                below = [child for child in children[session.id] if child.id not in seen]
                seen.update(child.id for child in below)
                yield from lines(below, depth + 1)

    return list(lines(page, 0))
