"""``BackupStore`` over SQLite."""

from pathlib import Path

from acode_tui.domain.progress import CheckCancelled, ReportProgress, never_cancelled
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.ports import Backup, Check, IncompleteBackup
from acode_tui.storage.sqlite.files import backup_catalog, backup_copy, backup_verify


class SqliteBackupStore:
    """See ``BackupStore``, and the functions of the three modules that it is made of."""

    list = staticmethod(backup_catalog.read_backups)
    find = staticmethod(backup_catalog.find_backup)
    delete = staticmethod(backup_catalog.delete_backup)
    alone_in = staticmethod(backup_catalog.alone_in)
    copy = staticmethod(backup_copy.back_up_file)

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
