"""Backups of a workspace: making one while writers go on, verifying it, keeping as many as the settings say."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

from acode_tui.domain.progress import ReportProgress
from acode_tui.logs import get_logger
from acode_tui.ops.cancellable_thread import Check, in_thread, on_the_loop
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.ports import Check as Finding
from acode_tui.storage.sqlite.errors import require_content
from acode_tui.storage.sqlite.files.backup_catalog import (
    LOCK_SECONDS,
    Backup,
    Incomplete,
    alone_in,
    beyond,
    delete_backup,
    read_backups,
)
from acode_tui.storage.sqlite.files.backup_copy import back_up_file
from acode_tui.storage.sqlite.files.backup_verify import verify
from acode_tui.storage.sqlite.files.locks import finish_replacement, share_if_known

log = get_logger("acode_tui.ops")


async def create_backup(
    database: Path,
    folder: Path,
    *,
    now: datetime,
    keep: int,
    on_progress: ReportProgress | None = None,
    has_lived: bool = False,
) -> Backup:
    """Copy the workspace file into ``folder`` and take away what is beyond ``keep``. Progress is in pages.

    Raises AcodeError, IntegrityError for an empty file where a workspace ``has_lived``, and leaves nothing behind then,
    nor when it is cancelled.
    """
    report = on_the_loop(on_progress)

    def work(check: Check) -> Backup:
        finish_replacement(database, timeout_seconds=LOCK_SECONDS)
        with closing(share_if_known(database, timeout_seconds=LOCK_SECONDS)):
            require_content(database, has_lived=has_lived)
            made = back_up_file(database, folder, now=now, on_progress=report, check=check)
        keep_newest(folder, keep=keep, made=made)
        return made

    return await in_thread(work)


async def verify_backup(
    backup: Backup | Incomplete, *, deep: bool = False, on_progress: ReportProgress | None = None
) -> tuple[Finding, ...]:
    """What the checks of one backup find. Progress is in bytes."""
    report = on_the_loop(on_progress)
    return await in_thread(lambda check: verify(backup, packaged("sqlite"), go_on=check, on_progress=report, deep=deep))


def keep_newest(folder: Path, *, keep: int, made: Backup, spare: Iterable[str] = ()) -> tuple[Backup, ...]:
    """Rotation after a success: take away what is beyond ``keep``, never what was just made, nor what ``spare`` names.

    What cannot be taken away stays, and the log says so: the backup that was asked for is there.
    """
    with alone_in(folder):
        own = [each for each in read_backups(folder)[0] if each.workspace_id == made.workspace_id]
        return _delete(beyond(own, keep=keep, spare=frozenset({made.name, *spare})))


def prune(folder: Path, *, keep: int, dry_run: bool = False) -> tuple[tuple[Backup, ...], tuple[Backup, ...]]:
    """Take away what is beyond the newest ``keep``; answers what went, or would, and what stays."""
    if not folder.is_dir():
        return (), ()
    if dry_run:
        backups, _ = read_backups(folder)
        gone = beyond(backups, keep=keep)
    else:
        with alone_in(folder):
            backups, _ = read_backups(folder)
            gone = _delete(beyond(backups, keep=keep))
    return gone, tuple(each for each in backups if each not in gone)


def delete(folder: Path, backups: Sequence[Backup]) -> None:
    """Take these away. Raises OSError at the first that will not go."""
    with alone_in(folder):
        for each in backups:
            delete_backup(each)


def _delete(backups: Iterable[Backup]) -> tuple[Backup, ...]:
    gone = []
    for old in backups:
        try:
            delete_backup(old)
        except OSError as error:
            log.warning("backup.kept", operation=old.name, reason=error.strerror or str(error))
        else:
            gone.append(old)
    return tuple(gone)
