"""Packing a workspace file: what it would give back, and doing it."""

from pathlib import Path

import msgspec

from acode_tui.domain.progress import ReportStep
from acode_tui.logs import get_logger
from acode_tui.ops.cancellable_thread import Check, in_thread, on_the_loop
from acode_tui.storage.sqlite.files.paths import size_with_wal
from acode_tui.storage.sqlite.files.vacuum import measure, vacuum

log = get_logger("acode_tui.ops")


class Vacuumed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Sizes with the WAL. In a dry run ``after_bytes`` is what rows and indexes use: at most so much would be left."""

    before_bytes: int
    after_bytes: int
    dry_run: bool


async def vacuum_file(
    database: Path,
    *,
    timeout_seconds: float,
    dry_run: bool = False,
    on_step: ReportStep | None = None,
    has_lived: bool = False,
) -> Vacuumed:
    """Pack the file while readers go on and writers wait. ``on_step`` receives each step as it begins.

    Raises AcodeError, IntegrityError for an empty file where a workspace ``has_lived``, and changes nothing then,
    nor when it is cancelled.
    """
    report = on_the_loop(on_step) or _ignore

    def work(check: Check) -> Vacuumed:
        if dry_run:
            room = measure(database, seconds=timeout_seconds, go_on=check, has_lived=has_lived)
            return Vacuumed(before_bytes=room.total, after_bytes=min(room.used, room.total), dry_run=True)
        before = vacuum(database, timeout_seconds=timeout_seconds, go_on=check, on_step=report, has_lived=has_lived)
        return Vacuumed(before_bytes=before.total, after_bytes=size_with_wal(database), dry_run=False)

    done = await in_thread(work)
    if not dry_run:
        log.info("database.vacuumed", before=done.before_bytes, after=done.after_bytes)
    return done


def _ignore(step: str) -> None:
    """Report nothing."""
