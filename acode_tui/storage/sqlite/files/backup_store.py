"""``BackupStore`` over SQLite."""

from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

from acode_tui.domain.progress import CheckCancelled, ReportProgress, never_cancelled
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.ports import Backup, Check, IncompleteBackup
from acode_tui.storage.sqlite.files import backup_catalog, backup_copy, backup_verify


class SqliteBackupStore:
    """See ``BackupStore``, and the functions of the three modules."""

    def list(self, folder: Path) -> tuple[tuple[Backup, ...], tuple[IncompleteBackup, ...]]:
        return backup_catalog.read_backups(folder)

    def find(self, folder: Path, name: str) -> Backup | IncompleteBackup:
        return backup_catalog.find_backup(folder, name)

    def copy(
        self,
        database: Path,
        folder: Path,
        *,
        now: datetime,
        suffix: str = "",
        on_progress: ReportProgress | None = None,
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> Backup:
        return backup_copy.back_up_file(
            database, folder, now=now, suffix=suffix, on_progress=on_progress, check_cancelled=check_cancelled
        )

    def verify(
        self,
        backup: Backup | IncompleteBackup,
        *,
        deep: bool = False,
        on_progress: ReportProgress | None = None,
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> tuple[Check, ...]:
        return backup_verify.verify(
            backup, packaged("sqlite"), deep=deep, on_progress=on_progress, check_cancelled=check_cancelled
        )

    def verify_copy(self, database: Path, *, check_cancelled: CheckCancelled = never_cancelled) -> tuple[Check, ...]:
        return (
            backup_verify.check_integrity(database, check_cancelled),
            backup_verify.check_schema(database, packaged("sqlite")),
        )

    def delete(self, backup: Backup) -> None:
        backup_catalog.delete_backup(backup)

    def alone_in(
        self, folder: Path, *, check_cancelled: CheckCancelled = never_cancelled
    ) -> AbstractContextManager[None]:
        return backup_catalog.alone_in(folder, check_cancelled=check_cancelled)
