"""``db check``: every check of a workspace file, without changing a byte of it."""

from pathlib import Path

from acode_tui.domain.progress import CheckCancelled, ReportStep
from acode_tui.ops.cancellable_thread import on_loop, run_cancellable
from acode_tui.storage.ports import Check, Depth, FileInspection


async def check_workspace_file(
    files: FileInspection,
    database: Path,
    *,
    timeout_seconds: float,
    deep: bool = False,
    on_step: ReportStep | None = None,
    expect_content: bool = False,
) -> tuple[Check, ...]:
    """Every finding. ``deep`` compares every artifact with its hash; ``on_step`` receives each check's name.

    With ``expect_content`` an empty file is damage; without it, it is a workspace that was not begun. Takes about as
    long as reading the file. Raises AcodeError where there is no file, or it may not be read.
    """
    report_step = on_loop(on_step)

    def work(check_cancelled: CheckCancelled) -> tuple[Check, ...]:
        report = files.inspect(
            database,
            Depth.FULL,
            deep=deep,
            seconds=timeout_seconds,
            check_cancelled=check_cancelled,
            on_step=report_step,
            expect_content=expect_content,
        )
        return report.checks

    return await run_cancellable(work)
