"""A run that grows: its end, read again, is joined to what was read before. Pure.

What a commit adds to a run of tens of thousands of steps is at its end. Reading and laying out the whole run after each
commit would cost as much as opening it.
"""

from bisect import bisect_left
from collections.abc import Sequence

from msgspec.structs import replace

from acode_tui.domain.entities import Entity, SessionGraph
from acode_tui.tui.run.blocks import Conversation, blocks_of, calls_in, conversation_of, estimated_rows
from acode_tui.tui.run.row_index import RowIndex


def joined(held: SessionGraph, end: SessionGraph) -> SessionGraph | None:
    """The held run with its end replaced by a newer one; None where steps may be missing between the two."""
    if not end.tasks:
        return None
    first = end.tasks[0]
    at = _last_index(held.tasks, first.id)
    if at is None:
        return None
    before = held.tasks[at].steps
    if not first.steps or not before:
        return None
    step = _last_index(before, first.steps[0].id)
    if step is None:
        return None
    task = replace(first, steps=before[:step] + first.steps)
    return replace(end, tasks=(*held.tasks[:at], task, *end.tasks[1:]))


def continued(before: Conversation, graph: SessionGraph, end: SessionGraph, width: int) -> Conversation:
    """The conversation of a joined run: the blocks before its end are those of ``before``."""
    first = end.tasks[0]
    # The prompt of the first task stands before the steps of it that were left out.
    fresh = list(blocks_of(replace(end, tasks=(replace(first, artifacts=()), *end.tasks[1:]))))
    if fresh and fresh[0].key == first.id:
        del fresh[0]
    at = before.index.get(fresh[0].key) if fresh else None
    if at is None:
        return conversation_of(graph, width)
    fresh[0] = fresh[0]._replace(gap=before.blocks[at].gap)
    blocks = before.blocks[:at] + fresh
    index = before.index.copy()
    for block in before.blocks[at:]:
        del index[block.key]
    index.update((block.key, at + place) for place, block in enumerate(fresh))
    failures = before.failures[: bisect_left(before.failures, at)]
    failures += [at + place for place, block in enumerate(fresh) if block.failed]
    has_words = before.has_words or any(block.spoken for block in fresh)
    calls = before.calls - calls_in(before.blocks[at:]) + calls_in(fresh)
    grown = Conversation(before.session_id, blocks, index, failures, has_words, calls)
    if width in before.estimates:
        sizes = before.estimates[width].sizes[:at]
        grown.estimates[width] = RowIndex(sizes + [estimated_rows(block, width) for block in fresh])
    grown.estimated(width)
    return grown


def _last_index(entities: Sequence[Entity], wanted: str) -> int | None:
    return next((at for at in range(len(entities) - 1, -1, -1) if entities[at].id == wanted), None)
