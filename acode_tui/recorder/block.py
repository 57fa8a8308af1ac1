"""Base of every ``with`` block of a run, sync and async: entering, leaving, waiting, the context.

Once a block is entered its row is on disk, and once it is left its final state is, unless the database takes longer
than ``MAX_WAIT_SECONDS``. An exception that leaves a block ends its row and propagates unchanged. A block belongs to
the process that entered it: a forked child that leaves it records nothing.
"""

import asyncio
import os
from contextvars import ContextVar, Token
from os import PathLike, fspath
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from acode_tui.domain.states import ArtifactType
from acode_tui.recorder.channel import Write, Writes
from acode_tui.recorder.files import content_of, unified_diff
from acode_tui.recorder.outcome import DONE, Outcome, outcome_of
from acode_tui.recorder.rows import HolderRow, Row
from acode_tui.recorder.values import content_bytes, title
from acode_tui.recorder.written import Written

_current: "ContextVar[Block | None]" = ContextVar("acode_recorder_block", default=None)


def current() -> "Block | None":
    """The innermost open block of this context, or None outside any recording."""
    block = _current.get()
    while block is not None and not block.is_open:
        block = block.outer
    return block


class Block:
    """One entity while it is recorded. Created by the methods of the block above it; entered and left once."""

    def __init__(self, writes: Writes, row: Row, outer: "Block | None") -> None:
        self.outer = outer
        self._writes = writes
        self._row = row
        self._outcome: Outcome | None = None
        self._token: Token[Block | None] | None = None
        self._pid = 0
        self._left = False

    @property
    def id(self) -> str | None:
        """The entity's id, or None where it could not be recorded."""
        return self._row.id

    @property
    def is_open(self) -> bool:
        """Whether the block has been entered and not left, in this process."""
        return self._pid == os.getpid() and not self._left

    def start(self) -> Self:
        """Enter without waiting for the disk and without becoming the current block; ``end`` leaves.

        For callbacks, which are called at the beginning and at the end of something, often in different contexts.
        """
        self._enter()
        return self

    def end(self, error: BaseException | None = None) -> None:
        """Leave a block that ``start`` entered, without waiting. ``error``: as an exception that leaves it."""
        self._leave(error)

    def __enter__(self) -> Self:
        inserted = self._enter()
        self._become_current()
        try:
            self._wait(inserted)
        except BaseException as error:
            self._leave(error)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        self._wait(self._leave(error))
        return False

    async def __aenter__(self) -> Self:
        inserted = self._enter()
        self._become_current()
        try:
            await self._wait_async(inserted)
        except BaseException as error:
            self._leave(error)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        await self._wait_async(self._leave(error))
        return False

    def _enter(self) -> "Written | None":
        if self._pid:
            raise RuntimeError("a recorder block is entered once; make another")
        if self.outer is not None and not self.outer._pid:
            raise RuntimeError("enter the block around this one first")
        self._pid = os.getpid() if self.outer is None else self.outer._pid
        return self._begin()

    def _become_current(self) -> None:
        self._token = _current.set(self)

    def _leave(self, error: BaseException | None) -> "Written | None":
        if self._token is not None:
            try:
                _current.reset(self._token)
            except ValueError:
                # Left in another context than entered, as fixtures and generators may do.
                if _current.get() is self:
                    _current.set(self.outer)
        if not self.is_open:
            return None
        self._left = True
        return self._end(outcome_of(error) or self._outcome or DONE)

    def _begin(self) -> "Written | None":
        """Queue the first writes of the row; returns the insertion, to be waited for."""
        self._row.insertion = self._submit(self._row.insert)
        return self._row.insertion

    def _end(self, outcome: Outcome) -> "Written | None":
        return self._submit(lambda workspace: self._row.finish(workspace, outcome))

    def _submit(self, write: Write, size: int = 0) -> "Written | None":
        return self._writes.submit(self._row, write, size) if self._pid == os.getpid() else None

    def _wait(self, written: "Written | None") -> None:
        if written is not None and not written.wait(self._writes.wait_seconds()):
            self._writes.stall()

    async def _wait_async(self, written: "Written | None") -> None:
        if written is None:
            return
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            # Another library's event loop, such as trio's: it cannot wait for the recorder's thread. The write takes
            # a few milliseconds, and ``MAX_WAIT_SECONDS`` at most.
            self._wait(written)
            return
        # ``wait`` does not cancel the write where the agent's task is cancelled.
        done, _ = await asyncio.wait([written.future()], timeout=self._writes.wait_seconds())
        if not done:
            self._writes.stall()


class HolderBlock(Block):
    """Base of the blocks that may have artifacts: tasks, steps and tool calls."""

    _row: HolderRow

    def say(self, *, prompt: str | None = None, reasoning: str | None = None, answer: str | None = None) -> None:
        """Keep what was said: the user's prompt, the model's reasoning, its answer, in this order."""
        for type, name, text in (
            (ArtifactType.USER_PROMPT, "prompt", prompt),
            (ArtifactType.REASONING, "reasoning", reasoning),
            (ArtifactType.MODEL_RESPONSE, "answer", answer),
        ):
            if text is not None:
                self.artifact(type, name, text, "text/markdown")

    def file(self, path: "str | PathLike[str]", type: ArtifactType | str = ArtifactType.FILE_CONTENT) -> None:
        """Keep a file as it is now. A file that cannot be read is a loss, not an error."""
        name = fspath(path)
        try:
            data, content_type = content_of(Path(name))
        except (OSError, ValueError) as error:
            self._writes.losses.add(error)
            return
        self.artifact(type, name, data, content_type)

    def diff(self, path: "str | PathLike[str]", before: str, after: str) -> None:
        """Keep the change of a text file, in unified form; nothing if there is none."""
        name = fspath(path)
        if change := unified_diff(name, before, after):
            self.artifact(ArtifactType.FILE_DIFF, name, change, "text/x-diff")

    def artifact(
        self,
        type: ArtifactType | str,
        name: str,
        content: bytes | bytearray | memoryview | str,
        content_type: str = "text/plain",
    ) -> None:
        """Keep a content: a prompt of a task, a model's words in a step, what a tool call read or made.

        Content beyond ``limits.max_artifact_bytes`` is cut off and named so.
        """
        if not self._pid:
            raise RuntimeError("enter the block first")
        data = content_bytes(content)
        named, media = title(name), title(content_type, limit=255)
        self._submit(lambda workspace: self._row.artifact(workspace, type, named, data, media), len(data))
