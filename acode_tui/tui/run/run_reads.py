"""Reads a run for its screen: the steps that are seen first, then all; after a commit only the last ones."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.transitions import SESSION_TERMINAL
from acode_tui.tui.run.blocks import Conversation, conversation_of
from acode_tui.tui.run.growing import continued, joined
from acode_tui.tui.run.run_view import RunView

if TYPE_CHECKING:
    from acode_tui.storage.ports import RunStateReader

FIRST_STEPS = 60
"""Steps that are read before the run is shown: a few screens."""
LAST_STEPS = 100
"""Steps that are read again after a commit. With more new ones, the whole run is read."""

InThread = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class RunRead:
    """A state of a run. ``whole`` and ``joined`` are those of ``RunView``; ``from_end`` if only its last steps are."""

    graph: SessionGraph
    conversation: Conversation
    whole: bool = True
    joined: bool = False
    from_end: bool = False


async def first_read(
    runs: "RunStateReader", session_id: str, width: int, in_thread: InThread, *, may_begin_at_end: bool
) -> AsyncIterator[RunRead]:
    """The first steps of a run, or the last ones of a run that is being recorded; then the whole of a longer run."""
    session = await runs.get(session_id)
    from_end = may_begin_at_end and session.state not in SESSION_TERMINAL
    part = await runs.get_part(session_id, steps=FIRST_STEPS, from_end=from_end)
    conversation = await in_thread(conversation_of, part.graph, width)
    yield RunRead(part.graph, conversation, whole=part.whole, from_end=from_end)
    if not part.whole:
        yield await whole_read(runs, session_id, width, in_thread)


async def whole_read(runs: "RunStateReader", session_id: str, width: int, in_thread: InThread) -> RunRead:
    """The run, all of it."""
    graph = await runs.get_with_hierarchy(session_id)
    return RunRead(graph, await in_thread(conversation_of, graph, width))


async def next_read(runs: "RunStateReader", view: RunView, width: int, in_thread: InThread) -> RunRead:
    """A newer state of the run that is shown."""
    held, before = view.graph, view.conversation
    if held is None or before is None or not view.whole:
        return await whole_read(runs, view.session_id, width, in_thread)
    part = await runs.get_part(view.session_id, steps=LAST_STEPS, from_end=True)
    if part.whole:
        return RunRead(part.graph, await in_thread(conversation_of, part.graph, width))
    graph = joined(held, part.graph) if part.graph.state not in SESSION_TERMINAL else None
    if graph is None:
        return await whole_read(runs, view.session_id, width, in_thread)
    return RunRead(graph, await in_thread(continued, before, graph, part.graph, width), joined=True)
