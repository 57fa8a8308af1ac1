"""How the dashboard opens its workspace, and where it saves a chosen theme."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace
from textual.notifications import SeverityLevel

from acode_tui.config import Settings
from acode_tui.config.trust_store import read_approval, update_approval
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.quantities import counted
from acode_tui.storage.ports import Backup, SessionFilter
from acode_tui.tui.following import FollowConsent
from acode_tui.tui.layout import Layout
from acode_tui.tui.ports import DashboardWorkspace, MigrationConsent, WorkspaceOpener

if TYPE_CHECKING:
    from acode_tui.workspace.first_page import FirstPage


def open_for_dashboard(root: Path | str, settings: Settings, *, migrate: bool | None = None) -> WorkspaceOpener:
    """What opens the workspace at ``root``, a folder with its sync worker or the URL of a database. Storage is imported
    when it is called, not before.

    ``migrate`` overrides ``migrations.auto_migrate``.
    """

    @asynccontextmanager
    async def opening() -> AsyncIterator[DashboardWorkspace]:
        # Imported in a thread: frames are drawn meanwhile.
        module = await asyncio.to_thread(import_module, "acode_tui.workspace.opening")
        async with module.open_workspace(
            root, sync=True, settings=settings, mode="dashboard", auto_migrate=migrate
        ) as workspace:
            yield workspace

    return opening


def first_page_of(root: Path, settings: Settings, layout: Layout) -> "FirstPage | None":
    """The page that a dashboard with this layout begins with, read at once; None where there is none to show yet.

    Not in a thread while Textual is imported: two threads wait for the interpreter's lock after every file, and the
    first frame comes later than after one and then the other.
    """
    from acode_tui.workspace.first_page import read_first_page

    return read_first_page(root, settings, SessionFilter(folded=True, sort=layout.sort), settings.tui.page_size)


def migration_consent(root: Path, settings: Settings) -> MigrationConsent | None:
    """What the user is asked before migrations run; None if ``migrations.auto_migrate`` lets them run unasked."""
    if settings.migrations.auto_migrate:
        return None

    async def due() -> Sequence[str]:
        module = await asyncio.to_thread(import_module, "acode_tui.workspace.opening")
        if not settings.persistence.sqlite.resolve(root).exists():
            return ()
        plans = await module.migration_plan(root, _without_postgres(settings))
        return [version for plan in plans for version in plan.pending]

    return MigrationConsent(due, open_for_dashboard(root, settings, migrate=True))


def is_own_checkout(root: Path) -> bool:
    """Whether ``root`` is a checkout of this program that is no workspace yet.

    Who only tries the program starts it there, and would make the checkout a workspace without wanting one.
    """
    return not (root / ".agent").exists() and (root / "acode_tui" / "tui" / "opening.py").is_file()


def _without_postgres(settings: Settings) -> Settings:
    """The settings for the workspace file alone: its opening must not depend on the network."""
    persistence = settings.persistence
    off = replace(persistence.postgres, enabled=False)
    return replace(settings, persistence=replace(persistence, postgres=off))


def follow_consent(root: Path) -> FollowConsent:
    """The user's decision whether the transcripts of the folder ``root`` are followed, kept with the trust in it."""

    def read() -> bool | None:
        return read_approval(root).follow

    def write(agreed: bool) -> None:
        update_approval(root, follow=agreed)

    return FollowConsent(read, write)


def theme_saver(root: Path) -> Callable[[str], None]:
    """What writes ``tui.theme`` to the workspace's file if that sets it, else to the user's. It raises ConfigError."""

    def save(name: str) -> None:
        from acode_tui.config import Origin, keys, load
        from acode_tui.tui.tools.preferences import write_preference

        of_workspace = load(root).origins["tui.theme"] is Origin.WORKSPACE
        write_preference(root, keys.find("tui.theme"), name, "workspace" if of_workspace else "user")

    return save


RESTORE_WAIT = 5.0
"""Seconds to wait until other programs close the workspace, as they do between two commands."""


def restore_backup(root: Path, settings: Settings, backup: Backup) -> tuple[str, str, SeverityLevel]:
    """Put a backup in place of the workspace file, which is not open, and say how that ended: title, text, severity.

    Nothing is changed where it fails.
    """
    from acode_tui.workspace.maintenance import Maintenance

    def show(step: str) -> None:
        sys.stderr.write(f"restoring {backup.name}: {step}\n")

    try:
        done = asyncio.run(Maintenance(root, settings).restore(backup, wait_seconds=RESTORE_WAIT, on_step=show))
    except AcodeError as error:
        return "not restored", "\n".join(filter(None, (error.message, error.hint))), "error"
    before = f"\nthe database before it is the backup {done.safety_backup}" if done.safety_backup else ""
    kept = f"\nthe file before it was damaged, and is kept as {done.kept_as}" if done.kept_as else ""
    return "restored", f"{done.name}, {counted(done.counts.get('sessions', 0), 'session')}{before}{kept}", "information"
