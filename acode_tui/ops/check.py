"""``db check``: questions to a workspace file, asked from outside, without leaving a trace in it."""

from pathlib import Path

from acode_tui.domain.progress import ReportStep
from acode_tui.ops.cancellable_thread import Check as StopCheck
from acode_tui.ops.cancellable_thread import in_thread, on_the_loop
from acode_tui.storage.ports import Check
from acode_tui.storage.sqlite.files.check import check_file


async def check_workspace_file(
    database: Path,
    *,
    timeout_seconds: float,
    deep: bool = False,
    on_step: ReportStep | None = None,
    has_lived: bool = False,
) -> tuple[Check, ...]:
    """Every finding. ``deep`` compares every artifact with its hash; ``on_step`` receives each question as it is asked.

    Where a workspace ``has_lived``, an empty file is a loss; elsewhere nobody has begun to fill it. Takes about as long
    as reading the file. Raises AcodeError where there is none, or it may not be read.
    """
    report = on_the_loop(on_step)

    def work(check: StopCheck) -> tuple[Check, ...]:
        return check_file(
            database, deep=deep, seconds=timeout_seconds, check=check, on_step=report, has_lived=has_lived
        )

    return await in_thread(work)
