"""Putting a backup in the workspace file's place: checked first, the present file kept, all of it or nothing.

Killed at any moment it leaves the old file or the new one, whole; what lies about then goes with the next restore.
"""

import os
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from time import perf_counter

import msgspec

from acode_tui.domain.errors import IntegrityError, SchemaMismatchError, TransactionError
from acode_tui.domain.progress import CheckCancelled, ReportProgress, ReportStep, progress_after
from acode_tui.domain.quantities import number
from acode_tui.files import PRIVATE_FILE, require_space, sync_file
from acode_tui.logs import get_logger
from acode_tui.ops.backup.create import keep_newest
from acode_tui.ops.cancellable_thread import on_loop, run_cancellable
from acode_tui.storage.ports import Backup, BackupStore, Check, DatabaseFiles, Depth, FileReport

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
    files: DatabaseFiles,
    backups: BackupStore,
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
    """Replace the workspace file by a backup; ``folder`` gets the safety backup of what was there.

    ``on_step`` receives each step as it begins, ``on_progress`` how far the step is, in bytes or pages. Raises
    TransactionError while others have the file open for ``wait_seconds``, or without room; IntegrityError for a backup
    that is not what its manifest says; SchemaMismatchError for one of a newer program. Nothing is changed then.
    """
    begin, report = on_loop(on_step), on_loop(on_progress)

    def work(check_cancelled: CheckCancelled) -> Restored:
        restore = _Restore(files, backups, database, backup, folder, begin, report, check_cancelled)
        return restore.rehearse() if dry_run else restore.run(now, keep=keep, wait_seconds=wait_seconds)

    return await run_cancellable(work)


class _Restore:
    """One restore. Blocks: for a thread."""

    def __init__(
        self,
        files: DatabaseFiles,
        backups: BackupStore,
        database: Path,
        backup: Backup,
        folder: Path,
        begin: ReportStep,
        report: ReportProgress,
        check_cancelled: CheckCancelled,
    ) -> None:
        self._files = files
        self._backups = backups
        self._database = database
        self._backup = backup
        self._folder = folder
        self._begin = begin
        self._report = report
        self._check_cancelled = check_cancelled

    def rehearse(self) -> Restored:
        """Do everything short of writing."""
        self._files.require_file(self._database)
        self._begin("checking the backup")
        findings = self._backups.verify(
            self._backup, deep=True, on_progress=self._report, check_cancelled=self._check_cancelled
        )
        _require_sound(self._backup, findings)
        with self._files.shared(self._database, seconds=1):
            present = self._files.inspect(self._database, Depth.CONTENT)
        self._require_space(present)
        self._files.require_unused(self._database)
        return _answer(self._backup, present, safety=None, kept=None, dry_run=True)

    def run(self, now: datetime, *, keep: int, wait_seconds: float) -> Restored:
        """Restore the backup."""
        database, files = self._database, self._files
        with files.exclusive(database, seconds=wait_seconds):
            new = database.with_name(f".{database.name}.restoring")
            files.remove(new)
            present = files.inspect(database, Depth.CONTENT)
            self._require_space(present)
            try:
                self._copy(new)
                self._begin("checking the copy")
                _require_sound(self._backup, self._backups.verify_copy(new, check_cancelled=self._check_cancelled))
                safety = self._back_up_present(now) if present.is_sound else None
                self._check_cancelled()
                keep_as = None if present.is_sound else f"corrupted-{now:%Y%m%d_%H%M%S}"
                kept = files.replace(database, new, keep_as=keep_as)
            except BaseException:
                files.remove(new)
                raise
        log.info("database.restored", operation=self._backup.name, safety=safety and safety.name)
        if safety is not None:
            keep_newest(self._backups, self._folder, keep=keep, made=safety, spare=(self._backup.name,))
        return _answer(self._backup, present, safety=safety, kept=kept, dry_run=False)

    def _back_up_present(self, now: datetime) -> Backup:
        self._begin("safety backup")
        return self._backups.copy(
            self._database,
            self._folder,
            now=now,
            suffix="_pre_restore",
            on_progress=self._report,
            check_cancelled=self._check_cancelled,
        )

    def _copy(self, new: Path) -> None:
        """Copy and hash in one pass: what is checked is what will be in place.

        Raises IntegrityError, TransactionError.
        """
        self._begin("copying")
        backup, digest, done, started = self._backup, sha256(), 0, perf_counter()
        try:
            handle = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE)
            with open(handle, "wb") as copy, backup.database.open("rb") as source:
                while block := source.read(_BLOCK_BYTES):
                    self._check_cancelled()
                    digest.update(block)
                    copy.write(block)
                    done += len(block)
                    self._report(progress_after(perf_counter() - started, done, backup.size_bytes, "bytes"))
                sync_file(copy)
        except OSError as error:
            raise TransactionError(
                f"the backup could not be copied: {error.strerror or error}", hint="nothing was changed"
            ) from error
        if digest.hexdigest() != backup.sha256:
            found = f"it has {number(done)} bytes of sha256 {digest.hexdigest()}, not those that its manifest describes"
            _require_sound(backup, [Check(name="hash", ok=False, description=found)])

    def _require_space(self, present: FileReport) -> None:
        """Space for the copy beside the file, and for the safety backup in its folder."""
        beside = self._backup.size_bytes
        safety = self._files.size(self._database) if present.is_sound else 0
        needs = [(self._database.parent, beside), (self._folder, safety)]
        if _same_device(self._database.parent, self._folder):
            needs = [(self._database.parent, beside + safety)]
        for folder, size in needs:
            require_space(folder, size, purpose="a restore")


def _require_sound(backup: Backup, findings: Sequence[Check]) -> None:
    for finding in findings:
        if finding.ok:
            continue
        what = f"the backup {backup.name} cannot be restored: {finding.name}: {finding.description}"
        if finding.name == "schema":
            runs = f"`acode-tui --workspace NEW db import {backup.database}`"
            raise SchemaMismatchError(
                what, hint=f"use the acode-tui that made it, or import its runs with {runs}; nothing was changed"
            )
        raise IntegrityError(what, hint="take another one: `acode-tui db backup list`; nothing was changed")


def _same_device(first: Path, second: Path) -> bool:
    try:
        return first.stat().st_dev == second.stat().st_dev
    except FileNotFoundError:
        return True  # a folder that does not exist yet is most likely made beside the file


def _answer(
    backup: Backup, present: FileReport, *, safety: Backup | None, kept: Path | None, dry_run: bool
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
