"""Backups of a workspace: making one while writers go on, verifying one, and removing old ones."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from acode_tui.domain.progress import CheckCancelled, ReportProgress
from acode_tui.logs import get_logger
from acode_tui.ops.backup.rotation import surplus
from acode_tui.ops.cancellable_thread import on_loop, run_cancellable
from acode_tui.storage.ports import Backup, BackupStore, Check, DatabaseFiles, IncompleteBackup

LOCK_SECONDS = 60.0
"""How long a backup waits for a restore or a recovery of the file."""

log = get_logger("acode_tui.ops")


async def create_backup(
    files: DatabaseFiles,
    backups: BackupStore,
    database: Path,
    folder: Path,
    *,
    now: datetime,
    keep: int | None,
    name: str | None = None,
    on_progress: ReportProgress | None = None,
    expect_content: bool = False,
) -> Backup:
    """Copy the workspace file into ``folder`` and delete the backups beyond ``keep``, where it is not None. Progress is
    in pages; see ``BackupStore.copy`` for the name.

    Raises AcodeError, IntegrityError for an empty file where content is expected, and leaves nothing behind then, nor
    when it is cancelled.
    """
    report = on_loop(on_progress)

    def work(check_cancelled: CheckCancelled) -> Backup:
        files.finish_replacement(database, seconds=LOCK_SECONDS)
        with files.shared(database, seconds=LOCK_SECONDS):
            files.require_content(database, expected=expect_content)
            made = backups.copy(
                database, folder, now=now, name=name, on_progress=report, check_cancelled=check_cancelled
            )
        if keep is not None:
            keep_newest(backups, folder, keep=keep, made=made)
        return made

    return await run_cancellable(work)


async def verify_backup(
    backups: BackupStore,
    backup: Backup | IncompleteBackup,
    *,
    deep: bool = False,
    on_progress: ReportProgress | None = None,
) -> tuple[Check, ...]:
    """The findings of one backup's checks. Progress is in bytes."""
    report = on_loop(on_progress)
    return await run_cancellable(
        lambda check_cancelled: backups.verify(backup, deep=deep, on_progress=report, check_cancelled=check_cancelled)
    )


def keep_newest(
    backups: BackupStore, folder: Path, *, keep: int, made: Backup, spare: Iterable[str] = ()
) -> tuple[Backup, ...]:
    """Delete the workspace's backups beyond ``keep``, never the one just ``made`` nor those that ``spare`` names.

    A backup that cannot be deleted stays, and the log says so: the new backup is there.
    """
    with backups.alone_in(folder):
        own = [each for each in backups.list(folder)[0] if each.workspace_id == made.workspace_id]
        return _delete_all(backups, surplus(own, keep=keep, spare=frozenset({made.name, *spare})))


def prune(
    backups: BackupStore, folder: Path, *, keep: int, dry_run: bool = False
) -> tuple[tuple[Backup, ...], tuple[Backup, ...]]:
    """Delete the backups beyond the newest ``keep``; returns those that went, or would go, and those that stay."""
    if not folder.is_dir():
        return (), ()
    if dry_run:
        present, _ = backups.list(folder)
        gone = surplus(present, keep=keep)
    else:
        with backups.alone_in(folder):
            present, _ = backups.list(folder)
            gone = _delete_all(backups, surplus(present, keep=keep))
    return gone, tuple(each for each in present if each not in gone)


def delete(backups: BackupStore, folder: Path, chosen: Sequence[Backup]) -> None:
    """Delete these backups. Raises OSError at the first that cannot be deleted."""
    with backups.alone_in(folder):
        for each in chosen:
            backups.delete(each)


def _delete_all(backups: BackupStore, old: Iterable[Backup]) -> tuple[Backup, ...]:
    gone = []
    for each in old:
        try:
            backups.delete(each)
        except OSError as error:
            log.warning("backup.kept", operation=each.name, reason=error.strerror or str(error))
        else:
            gone.append(each)
    return tuple(gone)
