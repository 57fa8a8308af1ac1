"""How the dashboard opens its workspace, and where it saves a chosen theme."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path

from msgspec.structs import replace

from acode_tui.config import Settings
from acode_tui.tui.ports import DashboardWorkspace, MigrateOnly, Opening


def open_for_dashboard(root: Path, settings: Settings, *, migrate: bool | None = None) -> Opening:
    """An opening of the workspace at ``root`` with its sync worker; storage is imported only when it is called.

    ``migrate`` overrides ``migrations.auto_migrate``.
    """

    @asynccontextmanager
    async def opening() -> AsyncIterator[DashboardWorkspace]:
        # Imported in a thread, so that the first frames go on being drawn.
        module = await asyncio.to_thread(import_module, "acode_tui.workspace")
        async with module.open_workspace(
            root, sync=True, settings=settings, mode="dashboard", auto_migrate=migrate
        ) as workspace:
            yield workspace

    return opening


def migrate_only(root: Path, settings: Settings) -> MigrateOnly | None:
    """What asks before migrations run, where the settings say that they may not run by themselves."""
    if settings.migrations.auto_migrate:
        return None

    async def due() -> Sequence[str]:
        module = await asyncio.to_thread(import_module, "acode_tui.workspace")
        if not settings.persistence.sqlite.resolve(root).exists():
            return ()
        plans = await module.migration_plan(root, _without_postgres(settings))
        return [version for plan in plans for version in plan.pending]

    return MigrateOnly(due, open_for_dashboard(root, settings, migrate=True))


def _without_postgres(settings: Settings) -> Settings:
    """The same for the workspace file alone: whether it may be opened does not hang on the network."""
    persistence = settings.persistence
    off = replace(persistence.postgres, enabled=False)
    return replace(settings, persistence=replace(persistence, postgres=off))


def theme_keeper(root: Path) -> Callable[[str], None]:
    """Writes ``tui.theme`` where it is set for this workspace, else into the user's own file. Raises ConfigError."""

    def keep(name: str) -> None:
        from acode_tui.config import Origin, keys, load
        from acode_tui.tui.tools.preferences import write_preference

        of_workspace = load(root).origins["tui.theme"] is Origin.WORKSPACE
        write_preference(root, keys.find("tui.theme"), name, "workspace" if of_workspace else "user")

    return keep
