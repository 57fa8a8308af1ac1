"""Backups of a workspace: making one while writers go on, keeping as many as the settings say, taking others away."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from acode_tui.logs import get_logger
from acode_tui.ops.in_thread import Check, in_thread, on_the_loop
from acode_tui.storage.sqlite.backup_files import Backup, alone_in, delete_backup, rotate
from acode_tui.storage.sqlite.snapshot import Progress, back_up_file

log = get_logger("acode_tui.ops")


async def create_backup(
    database: Path, folder: Path, *, now: datetime, keep: int, progress: Progress | None = None
) -> Backup:
    """Copy the workspace file into ``folder`` and take away what is beyond ``keep``. ``progress`` is told on the loop.

    Raises AcodeError, and leaves nothing behind then, nor when it is cancelled.
    """
    told = on_the_loop(progress)

    def work(check: Check) -> Backup:
        made = back_up_file(database, folder, now=now, progress=told, check=check)
        keep_newest(folder, keep=keep, made=made)
        return made

    return await in_thread(work)


def keep_newest(folder: Path, *, keep: int, made: Backup, spare: Iterable[str] = ()) -> tuple[Backup, ...]:
    """Rotation after a success: take away what is beyond ``keep``, never what was just made, nor what ``spare`` names.

    What cannot be taken away stays, and the log says so: the backup that was asked for is there.
    """
    gone = []
    with alone_in(folder):
        for old in rotate(folder, keep=keep, workspace_id=made.workspace_id, spare=frozenset({made.name, *spare})):
            try:
                delete_backup(old)
            except OSError as error:
                log.warning("backup.kept", operation=old.name, reason=error.strerror or str(error))
            else:
                gone.append(old)
    return tuple(gone)
