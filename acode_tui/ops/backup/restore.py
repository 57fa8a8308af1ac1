"""Putting a backup in the workspace file's place: checked first, the present file kept, all of it or nothing.

Killed at any moment it leaves the old file or the new one, whole; what lies about then goes with the next restore.
"""

import os
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from time import perf_counter

import msgspec

from acode_tui.domain.errors import IntegrityError, SchemaMismatchError, TransactionError
from acode_tui.domain.progress import ReportProgress, ReportStep, progress_after
from acode_tui.domain.quantities import number
from acode_tui.files import PRIVATE_FILE, require_space, sync_file
from acode_tui.logs import get_logger
from acode_tui.ops.backup.create import keep_newest
from acode_tui.ops.cancellable_thread import Check, in_thread, on_the_loop
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.ports import Check as Finding
from acode_tui.storage.sqlite.errors import require_file
from acode_tui.storage.sqlite.files import replace as swap
from acode_tui.storage.sqlite.files.backup_catalog import Backup
from acode_tui.storage.sqlite.files.backup_copy import back_up_file
from acode_tui.storage.sqlite.files.backup_verify import check_integrity, check_schema, verify
from acode_tui.storage.sqlite.files.inspect import StandingFile, look_at
from acode_tui.storage.sqlite.files.locks import exclusive, holders, in_use, share_if_known
from acode_tui.storage.sqlite.files.paths import remove_database, size_with_wal

_BLOCK_BYTES = 1 << 20

log = get_logger("acode_tui.ops")


class Restored(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The backup that was put in place (or, in a dry run, would be), and where the file before it is now.

    ``safety_backup`` names the backup of it; ``kept_as`` is its path where it was too damaged for one.
    """

    name: str
    path: str
    size_bytes: int
    sha256: str
    schema_version: str | None
    counts: dict[str, int]
    created_at: str
    safety_backup: str | None
    kept_as: str | None
    replaced_workspace_id: str | None
    workspace_id: str | None
    dry_run: bool


async def restore_backup(
    database: Path,
    backup: Backup,
    folder: Path,
    *,
    now: datetime,
    keep: int,
    wait_seconds: float,
    dry_run: bool = False,
    on_step: ReportStep | None = None,
    on_progress: ReportProgress | None = None,
) -> Restored:
    """Replace the workspace file by a backup; ``folder`` gets the safety backup.

    ``on_step`` receives each step as it begins, ``on_progress`` how far the step is, in bytes or pages.

    Raises TransactionError while others have the file open, or without room; IntegrityError for a backup that is not
    what its manifest says; SchemaMismatchError for one of a newer program. Nothing is changed then.
    """
    begin, report = on_the_loop(on_step) or _ignore, on_the_loop(on_progress) or _ignore

    def work(check: Check) -> Restored:
        if dry_run:
            return _rehearse(database, backup, folder, check, begin, report)
        return _restore(database, backup, folder, now, keep, wait_seconds, check, begin, report)

    return await in_thread(work)


def _rehearse(
    database: Path, backup: Backup, folder: Path, check: Check, begin: ReportStep, report: ReportProgress
) -> Restored:
    """Everything short of writing."""
    require_file(database)
    known = packaged("sqlite")
    begin("checking the backup")
    findings = verify(backup, known, go_on=check, on_progress=report, deep=True)
    _require_sound(backup, findings)
    with closing(share_if_known(database, timeout_seconds=1)):
        present = look_at(database)
    _require_room(database, backup, folder, present)
    if holders(database):
        raise in_use(database)
    return _answer(backup, present, safety=None, kept=None, dry_run=True)


def _restore(
    database: Path,
    backup: Backup,
    folder: Path,
    now: datetime,
    keep: int,
    wait_seconds: float,
    check: Check,
    begin: ReportStep,
    report: ReportProgress,
) -> Restored:
    with exclusive(database, timeout_seconds=wait_seconds):
        new = database.with_name(f".{database.name}.restoring")
        remove_database(new)
        present = look_at(database)
        _require_room(database, backup, folder, present)
        try:
            _copy(backup, new, check, begin, report)
            begin("checking the copy")
            _require_sound(backup, [check_integrity(new, check), check_schema(new, packaged("sqlite"))])
            safety = None
            if present.is_sound:
                begin("safety backup")
                safety = back_up_file(
                    database,
                    folder,
                    now=now,
                    suffix="_pre_restore",
                    on_progress=report,
                    check=check,
                )
            check()
            keep_as = None if present.is_sound else f"corrupted-{now:%Y%m%d_%H%M%S}"
            kept = swap.replace(database, new, keep_as=keep_as)
        except BaseException:
            remove_database(new)
            raise
    log.info("database.restored", operation=backup.name, safety=safety and safety.name)
    if safety is not None:
        keep_newest(folder, keep=keep, made=safety, spare=(backup.name,))
    return _answer(backup, present, safety=safety, kept=kept, dry_run=False)


def _copy(backup: Backup, new: Path, check: Check, begin: ReportStep, report: ReportProgress) -> None:
    """Copy and hash in one go: what is checked is what will be in place. Raises IntegrityError, TransactionError."""
    begin("copying")
    digest, done, started = sha256(), 0, perf_counter()
    try:
        handle = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE)
        with open(handle, "wb") as copy, backup.database.open("rb") as source:
            while block := source.read(_BLOCK_BYTES):
                check()
                digest.update(block)
                copy.write(block)
                done += len(block)
                report(progress_after(perf_counter() - started, done, backup.size_bytes, "bytes"))
            sync_file(copy)
    except OSError as error:
        raise TransactionError(
            f"the backup could not be copied: {error.strerror or error}", hint="nothing was changed"
        ) from error
    if digest.hexdigest() != backup.sha256:
        held = f"{number(done)} bytes of sha256 {digest.hexdigest()}"
        description = f"it has {held}, not those that its manifest describes"
        _require_sound(backup, [Finding(name="hash", ok=False, description=description)])


def _require_sound(backup: Backup, findings: Sequence[Finding]) -> None:
    for finding in findings:
        if finding.ok:
            continue
        what = f"the backup {backup.name} cannot be restored: {finding.name}: {finding.description}"
        if finding.name == "schema":
            raise SchemaMismatchError(what, hint="use the acode-tui that made it; nothing was changed")
        raise IntegrityError(what, hint="take another one: `acode-tui db backup list`; nothing was changed")


def _require_room(database: Path, backup: Backup, folder: Path, present: StandingFile) -> None:
    """Room for the copy beside the file, and for the safety backup in its folder."""
    beside, safety = backup.size_bytes, size_with_wal(database) if present.is_sound else 0
    needs: list[tuple[Path, int]] = [(database.parent, beside), (folder, safety)]
    if _same_device(database.parent, folder):
        needs = [(database.parent, beside + safety)]
    for place, size in needs:
        require_space(place, size, purpose="a restore")


def _same_device(first: Path, second: Path) -> bool:
    try:
        return first.stat().st_dev == second.stat().st_dev
    except FileNotFoundError:
        return True  # a folder yet to be made, most likely beside the file


def _answer(
    backup: Backup, present: StandingFile, *, safety: Backup | None, kept: Path | None, dry_run: bool
) -> Restored:
    return Restored(
        name=backup.name,
        path=backup.path,
        size_bytes=backup.size_bytes,
        sha256=backup.sha256,
        schema_version=backup.schema_version,
        counts=backup.counts,
        created_at=backup.created_at,
        safety_backup=safety.name if safety is not None else None,
        kept_as=str(kept) if kept is not None else None,
        replaced_workspace_id=present.workspace_id,
        workspace_id=backup.workspace_id,
        dry_run=dry_run,
    )


def _ignore(value: object) -> None:
    """Report nothing."""
