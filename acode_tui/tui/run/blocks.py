"""A run as a conversation: the blocks of one page, in the order in which they were recorded. Pure.

The blocks name what they show; nothing of an artifact's content is in them. A run of tens of thousands of steps is one
list, which the view draws a screenful of.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from acode_tui.domain.entities import Artifact, SessionGraph, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.domain.states import ArtifactType, ToolCallState, WorkState
from acode_tui.tui.run.nodes import Node, children
from acode_tui.tui.run.row_index import RowIndex

Kind = Literal["prompt", "answer", "reasoning", "call", "step", "diff", "image", "file", "output"]

SPOKEN: frozenset[Kind] = frozenset({"prompt", "answer"})
"""Kinds that stand apart, with a blank line above and below."""

MAX_ROWS: dict[Kind, int] = {"prompt": 60, "answer": 400, "reasoning": 100, "diff": 40, "output": 20}
"""Rows of a block before it is cut; the viewer of artifacts shows the rest."""

_KINDS: dict[ArtifactType, Kind] = {
    ArtifactType.USER_PROMPT: "prompt",
    ArtifactType.MODEL_RESPONSE: "answer",
    ArtifactType.REASONING: "reasoning",
    ArtifactType.FILE_DIFF: "diff",
    ArtifactType.IMAGE: "image",
}
_BYTES_A_ROW = 0.8
"""Share of a row that text fills on average; only an estimate, until the content is read."""


class Block(NamedTuple):
    """One thing on the page, and the entity that it shows.

    ``gap`` is the number of blank rows above it. ``call_id`` is the call whose unfolding shows an output.
    """

    kind: Kind
    node: Node
    gap: int = 0
    call_id: str = ""

    @property
    def key(self) -> str:
        return self.node.id

    @property
    def artifact(self) -> Artifact | None:
        """The artifact whose content the block shows; None where the block's text is in the run itself."""
        return self.node if isinstance(self.node, Artifact) else None

    @property
    def spoken(self) -> bool:
        """Whether the block is a prompt or an answer that was recorded."""
        return self.kind in SPOKEN and self.artifact is not None

    @property
    def failed(self) -> bool:
        node = self.node
        if isinstance(node, ToolCallGraph):
            return node.state is ToolCallState.FAILED
        return isinstance(node, StepGraph) and node.state is WorkState.FAILED


@dataclass(frozen=True, slots=True)
class Conversation:
    """The blocks of a run, where each is, and where the failures are (indexes of blocks, ascending)."""

    session_id: str
    blocks: list[Block]
    index: dict[str, int]
    failures: list[int]
    has_words: bool
    """Whether a prompt or an answer was recorded."""
    calls: int
    """How many tool calls were made."""
    estimates: dict[int, RowIndex] = field(default_factory=dict)
    """Rows of every block by the width for which they were estimated."""

    def estimated(self, width: int) -> RowIndex:
        """Rows that each block takes with its gap, while it is folded and its content is not read."""
        if width not in self.estimates:
            self.estimates[width] = RowIndex([estimated_rows(block, width) for block in self.blocks])
        return self.estimates[width].copy()

    def failure_from(self, at: int, direction: int) -> int | None:
        """The index of the next (1) or the previous (-1) failure, seen from a block; None if there is none."""
        place = bisect_right(self.failures, at) if direction > 0 else bisect_left(self.failures, at) - 1
        return self.failures[place] if 0 <= place < len(self.failures) else None


def conversation_of(graph: SessionGraph, width: int) -> Conversation:
    """The conversation of a run, with its heights for one width. Slow for a long run: call it in a thread."""
    blocks = list(blocks_of(graph))
    conversation = Conversation(
        graph.id,
        blocks,
        {block.key: at for at, block in enumerate(blocks)},
        [at for at, block in enumerate(blocks) if block.failed],
        any(block.spoken for block in blocks),
        calls_in(blocks),
    )
    conversation.estimated(width)
    return conversation


def blocks_of(graph: SessionGraph) -> Iterator[Block]:
    """The blocks of a run, in order."""
    return _spaced(block for task in graph.tasks for block in _of_task(task))


def calls_in(blocks: Iterable[Block]) -> int:
    """How many of the blocks are tool calls."""
    return sum(block.kind == "call" for block in blocks)


def rows_with_gap(block: Block, height: int) -> int:
    """The rows that a block of some height takes on the page; one without height takes none."""
    return height + block.gap if height else 0


def position_of(conversation: Conversation, node: Node) -> int:
    """The index of a node's block; of a node without one the place before the first block below it."""
    if (at := conversation.index.get(node.id)) is not None:
        return at
    for below in children(node):
        if (at := conversation.index.get(below.id)) is not None or (at := position_of(conversation, below) + 1):
            return at - 1
    return -1


def _of_task(task: TaskGraph) -> Iterator[Block]:
    if not any(artifact.type is ArtifactType.USER_PROMPT and artifact.size for artifact in task.artifacts):
        yield Block("prompt", task)
    yield from _of_artifacts(task.artifacts)
    for step in task.steps:
        yield from _of_artifacts(step.artifacts)
        for call in step.tool_calls:
            yield from _of_call(call)
        if not step.artifacts and not step.tool_calls:
            yield Block("step", step)


def _of_artifacts(artifacts: tuple[Artifact, ...]) -> Iterator[Block]:
    for artifact in artifacts:
        kind = _KINDS.get(artifact.type, "file")
        if artifact.size or kind in ("file", "image", "diff"):
            yield Block(kind, artifact)


def _of_call(call: ToolCallGraph) -> Iterator[Block]:
    """The call, its diffs and images, and what it read or printed, which is folded unless it explains a failure."""
    yield Block("call", call)
    explains = call.state is ToolCallState.FAILED and not call.error_message
    for artifact in call.artifacts:
        kind = _KINDS.get(artifact.type, "output")
        yield Block(kind, artifact, call_id=call.id if kind == "output" and not explains else "")


def _spaced(blocks: Iterator[Block]) -> Iterator[Block]:
    """The blocks with a blank row on both sides of what was said."""
    before: Block | None = None
    for block in blocks:
        apart = before is not None and (before.kind in SPOKEN or block.kind in SPOKEN)
        yield block._replace(gap=1) if apart else block
        before = block


def estimated_rows(block: Block, width: int) -> int:
    """The rows that a block takes with its gap, while it is folded and its content is not read."""
    return rows_with_gap(block, _estimate(block, width))


def _estimate(block: Block, width: int) -> int:
    if block.call_id:
        return 0
    most = MAX_ROWS.get(block.kind, 1)
    if block.kind in ("reasoning", "call"):
        return 1
    size = block.artifact.size if block.artifact is not None else 0
    return max(min(round(size / (width * _BYTES_A_ROW)), most), 1) if width > 0 else 1
