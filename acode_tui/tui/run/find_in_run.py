"""Find in a run: the next block whose text holds a word, however long the run. Contents are read for it."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from acode_tui.domain.display import clean
from acode_tui.domain.entities import StepGraph, TaskGraph, ToolCallGraph
from acode_tui.domain.states import ArtifactType
from acode_tui.tui.run.block_rows import clean_decoded
from acode_tui.tui.run.blocks import Block
from acode_tui.tui.style.text import pretty_json

if TYPE_CHECKING:
    from acode_tui.storage.ports import RunStateReader

AT_ONCE = 512
"""The most blocks that are read and searched together."""
BYTES_AT_ONCE = 16_000_000
"""Contents of this size are read together, and of one block that is larger."""


async def find_next(
    runs: "RunStateReader",
    blocks: Sequence[Block],
    start: int,
    direction: int,
    needle: str,
    in_thread: Callable[..., Awaitable[Any]],
    on_progress: Callable[[int], None] = lambda searched: None,
) -> int | None:
    """The next (1) or the previous (-1) block with a text, ignoring case, after the block at ``start``.

    The search goes on at the other end of the run; ``start`` comes last. None if no block has the text.
    """
    wanted, searched = needle.casefold(), 0
    places = ((start + direction * step) % len(blocks) for step in range(1, len(blocks) + 1))
    for chunk in _chunks(blocks, places):
        contents = await _contents(runs, [blocks[at] for at in chunk])
        found: int | None = await in_thread(_first_with, [blocks[at] for at in chunk], contents, wanted)
        if found is not None:
            return chunk[found]
        searched += len(chunk)
        on_progress(searched)
    return None


def text_in_run(block: Block) -> str:
    """The text of a block that is in the run itself; empty for an artifact."""
    node = block.node
    if isinstance(node, TaskGraph):
        return f"{node.title}\n{node.description or ''}"
    if isinstance(node, StepGraph):
        return f"{node.name}\n{node.description or ''}"
    if isinstance(node, ToolCallGraph):
        return "\n".join(_texts_of_call(node))
    return ""


def _texts_of_call(call: ToolCallGraph) -> Iterator[str]:
    yield call.tool_name
    yield call.error_message or ""
    values = call.parameters.values() if isinstance(call.parameters, dict) else ()
    yield from (value for value in values if isinstance(value, str))
    yield pretty_json(call.parameters) if call.parameters is not None else ""
    if call.result is not None and not call.artifacts:
        yield pretty_json(call.result)


def _chunks(blocks: Sequence[Block], places: Iterable[int]) -> Iterator[list[int]]:
    """The places in groups that are read and searched together: the first ones small, for the match is often near."""
    chunk, held, most = list[int](), 0, AT_ONCE // 8
    for at in places:
        artifact = blocks[at].artifact
        size = artifact.size if artifact is not None else 0
        if chunk and (len(chunk) >= most or held + size > BYTES_AT_ONCE):
            yield chunk
            chunk, held, most = [], 0, AT_ONCE
        chunk.append(at)
        held += size
    if chunk:
        yield chunk


async def _contents(runs: "RunStateReader", blocks: list[Block]) -> list[bytes]:
    """The content of each block's artifact; empty for a block without one, and for an image."""
    ids = [
        block.artifact.id
        for block in blocks
        if block.artifact is not None and block.artifact.size and block.artifact.type is not ArtifactType.IMAGE
    ]
    read = await runs.get_artifact_contents(ids) if ids else {}
    return [read.get(block.artifact.id, b"") if block.artifact is not None else b"" for block in blocks]


def _first_with(blocks: list[Block], contents: list[bytes], wanted: str) -> int | None:
    """The first of the blocks that holds a text. Runs in a thread."""
    for at, (block, content) in enumerate(zip(blocks, contents, strict=True)):
        artifact = block.artifact
        text = text_in_run(block) if artifact is None else f"{artifact.name}\n{clean_decoded(content) or ''}"
        if _may_hold(text, wanted) and wanted in clean(text, keep_newlines=True).casefold():
            return at
    return None


def _may_hold(text: str, wanted: str) -> bool:
    """Whether the text as it is shown may hold what is wanted. Cleaning takes ten times as long as this.

    Cleaning gives ASCII no letter and no digit: a control character becomes a space or a picture of it.
    """
    return not (text.isascii() and wanted.isascii() and " " not in wanted) or wanted in text.casefold()
