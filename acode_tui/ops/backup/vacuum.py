"""``db vacuum``: how much space a workspace file would give back, and giving it back."""

from pathlib import Path

import msgspec

from acode_tui.domain.progress import CheckCancelled, ReportStep
from acode_tui.logs import get_logger
from acode_tui.ops.cancellable_thread import on_loop, run_cancellable
from acode_tui.storage.ports import FileVacuum

log = get_logger("acode_tui.ops")


class Vacuumed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Sizes in bytes with the WAL. In a dry run ``after_bytes`` is what rows and indexes use: an upper bound."""

    before_bytes: int
    after_bytes: int
    dry_run: bool


async def vacuum_file(
    files: FileVacuum,
    database: Path,
    *,
    timeout_seconds: float,
    dry_run: bool = False,
    on_step: ReportStep | None = None,
    expect_content: bool = False,
) -> Vacuumed:
    """Rewrite the file without its unused pages, while readers go on and writers wait.

    Raises AcodeError, IntegrityError for an empty file where content is expected, and changes nothing then, nor when it
    is cancelled.
    """
    report_step = on_loop(on_step)

    def work(check_cancelled: CheckCancelled) -> Vacuumed:
        if dry_run:
            space = files.measure(
                database, seconds=timeout_seconds, check_cancelled=check_cancelled, expect_content=expect_content
            )
            return Vacuumed(before_bytes=space.total, after_bytes=min(space.used, space.total), dry_run=True)
        before = files.vacuum(
            database,
            seconds=timeout_seconds,
            on_step=report_step,
            check_cancelled=check_cancelled,
            expect_content=expect_content,
        )
        return Vacuumed(before_bytes=before.total, after_bytes=files.size(database), dry_run=False)

    done = await run_cancellable(work)
    if not dry_run:
        log.info("database.vacuumed", before=done.before_bytes, after=done.after_bytes)
    return done
