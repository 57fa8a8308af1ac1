"""``db check``: questions to a workspace file, asked from outside, without leaving a trace in it."""

from collections.abc import Callable
from pathlib import Path

from acode_tui.ops.cancellable_thread import Check as StopCheck
from acode_tui.ops.cancellable_thread import in_thread, on_the_loop
from acode_tui.storage.ports import Check
from acode_tui.storage.sqlite.files.check import check_file

Progress = Callable[[str], None]


async def check_workspace_file(
    database: Path,
    *,
    timeout_seconds: float,
    deep: bool = False,
    progress: Progress | None = None,
    has_lived: bool = False,
) -> tuple[Check, ...]:
    """Every finding. ``deep`` compares every artifact with its hash; ``progress`` hears which question is being asked.

    Where a workspace ``has_lived``, an empty file is a loss; elsewhere nobody has begun to fill it. Takes about as long
    as reading the file. Raises AcodeError where there is none, or it may not be read.
    """
    told = on_the_loop(progress)

    def work(check: StopCheck) -> tuple[Check, ...]:
        return check_file(database, deep=deep, seconds=timeout_seconds, check=check, told=told, has_lived=has_lived)

    return await in_thread(work)
