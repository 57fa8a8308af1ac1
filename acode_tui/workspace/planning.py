"""What ``db migrate`` would do, found out without opening the workspace."""

import asyncio
from pathlib import Path

from acode_tui.config import Misconfigured, Settings, resolve_postgres
from acode_tui.domain.errors import SyncError
from acode_tui.storage.migrations.runner import TierMigrations, packaged
from acode_tui.storage.sqlite.connection import has_content
from acode_tui.storage.sqlite.errors import require_content
from acode_tui.storage.sqlite.files.inspect import look
from acode_tui.storage.sqlite.migrate import plan
from acode_tui.sync import conflict as conflict_rules


async def migration_plan(root: Path, settings: Settings) -> tuple[TierMigrations, ...]:
    """What ``db migrate`` would do to both tiers, PostgreSQL only where it is enabled; touches nothing.

    The workspace file is not even made. Raises AcodeError where PostgreSQL is enabled and cannot be used.
    """
    return (await file_plan(root, settings), *await _team_plan(settings))


async def _team_plan(settings: Settings) -> tuple[TierMigrations, ...]:
    postgres = settings.persistence.postgres
    if not postgres.enabled:
        return ()
    address = resolve_postgres(postgres)
    if isinstance(address, Misconfigured):
        raise SyncError(address.reason, hint=address.hint)
    from acode_tui.storage.postgres.sync_target import SyncTarget

    target = SyncTarget(address, conflict_rules, schema=postgres.schema)
    try:
        return (await target.migrate(distribute=postgres.distribute, dry_run=True),)
    finally:
        await target.close()


def _is_there(root: Path, database: Path, settings: Settings) -> bool:
    """Raises IntegrityError where the file's content is gone: nothing is pending then, something is lost."""
    if not has_content(database):
        from acode_tui.ops.lived import has_lived

        require_content(database, has_lived=has_lived(root, settings))
    return database.exists()


async def file_plan(root: Path, settings: Settings) -> TierMigrations:
    """The workspace file's part of it; without a version where there is no file."""
    known = packaged("sqlite")
    database = settings.persistence.sqlite.resolve(root)
    if not await asyncio.to_thread(_is_there, root, database, settings):
        return TierMigrations(tier="sqlite", to_version=known[-1].version, pending=tuple(m.version for m in known))
    seconds = settings.persistence.sqlite.timeout_seconds
    return await asyncio.to_thread(look, database, lambda raw: plan(raw, known), seconds=seconds)
