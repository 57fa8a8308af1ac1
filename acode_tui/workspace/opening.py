"""Opening a workspace: missing files are made, the schema is migrated, and every part is opened and closed together."""

import asyncio
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import NoReturn, cast

from msgspec.structs import replace

from acode_tui import logs
from acode_tui.config import (
    ConfigWatch,
    Misconfigured,
    Settings,
    current_user,
    load_settings,
    resolve_path,
    resolve_postgres,
)
from acode_tui.config.ownership import require_own
from acode_tui.config.postgres_address import is_postgres_url
from acode_tui.config.workspace_root import AGENT_DIR, ID_FILE, find_root, remember_id, require_plain
from acode_tui.domain.clock import MonotonicClock, WallClock, system_clock
from acode_tui.domain.errors import DatabaseConnectionError, SchemaMismatchError
from acode_tui.domain.ids import new_id
from acode_tui.files import PRIVATE_FILE, PRIVATE_FOLDER, replacing, tighten, tighten_folder
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.ports import TierMigrations
from acode_tui.storage.sqlite import meta
from acode_tui.storage.sqlite.checkpoints import Checkpoints
from acode_tui.storage.sqlite.connection import (
    SqliteConnectionFactory,
    has_content,
    make_private,
    prepare_file,
    require_sqlite,
)
from acode_tui.storage.sqlite.errors import require_content, require_rights, translated
from acode_tui.storage.sqlite.files.locks import share, was_opened
from acode_tui.storage.sqlite.files.open_unchanged import read_unchanged
from acode_tui.storage.sqlite.migrate import migrate, plan, require_workspace
from acode_tui.storage.sqlite.readers import Readers
from acode_tui.storage.sqlite.writer import Writer
from acode_tui.sync.wake import Sleep
from acode_tui.workspace.team import team_address
from acode_tui.workspace.workspace import Workspace, make_sync_target

_FOLDERS = ("backups", "exports", "locks", "logs")
_IGNORED = "# Written by acode-tui: what it records is not part of the repository.\n/*\n!/.gitignore\n!/config.toml\n"


@asynccontextmanager
async def open_workspace(
    path: str | Path | None = None,
    *,
    sync: bool = False,
    wall: WallClock = system_clock,
    settings: Settings | None = None,
    auto_migrate: bool | None = None,
    mode: str = "api",
    sleep: Sleep = asyncio.sleep,
    workspace_id: str | None = None,
    target: str | None = None,
) -> AsyncIterator[Workspace]:
    """Open the workspace in the folder ``path``, made if need be; without a path, the one that ``find_root`` finds.

    A ``postgresql://`` URL opens that database itself, without a file: see ``workspace.direct``. Its runs are those of
    ``workspace_id``, by default the login's own. ``target`` is the URL that the sync of a folder sends to, instead of
    what the settings say.

    Migrates the schema first; ``auto_migrate`` overrides the setting of that name. ``sync`` starts the worker and
    follows the configuration files; ``mode`` is what other processes see of this one when it holds the sync lease.
    Raises AcodeError: DatabaseConnectionError, SchemaMismatchError, MigrationError, IntegrityError, ConfigError.
    """
    url = os.environ.get("ACODE_WORKSPACE") if path is None else path
    if isinstance(url, str) and is_postgres_url(url):
        from acode_tui.workspace.direct import open_direct

        migrate_first = bool(auto_migrate)
        async with open_direct(
            url, workspace_id=workspace_id, settings=settings, migrate=migrate_first, wall=wall
        ) as direct:
            # The same parts under the same names; what needs a file raises.
            yield cast(Workspace, direct)
        return
    require_sqlite()
    root = find_root() if path is None else Path(path).expanduser().absolute()
    if "\0" in str(root):
        raise DatabaseConnectionError("the folder's name contains NUL", hint="choose another folder")
    require_own(root)
    require_plain(root)
    watch = ConfigWatch(root)
    settings = _sending_to(target, settings or load_settings(root))
    database = settings.persistence.sqlite.resolve(root)
    timeout = settings.persistence.sqlite.timeout_seconds
    known = packaged("sqlite")
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(_require_workspace, database, timeout)
        hold = await asyncio.to_thread(share, database, timeout_seconds=timeout)
        stack.callback(hold.close)
        is_new = await asyncio.to_thread(_prepare, root, database, settings)
        _start_log(stack, root, settings)

        def check(connection: sqlite3.Connection) -> None:
            require_workspace(connection, known)
            make_private(database)
            _keep_private(root / AGENT_DIR)

        connections = SqliteConnectionFactory(database, timeout_seconds=timeout)
        connection = await connections.open_writer(check=check)
        clock = MonotonicClock(wall)
        writer = Writer(connection, clock, Checkpoints(connections), timeout_seconds=timeout)
        stack.push_async_callback(writer.close)
        allowed = settings.migrations.auto_migrate if auto_migrate is None else auto_migrate
        user = asyncio.create_task(asyncio.to_thread(current_user, settings, root))
        stack.push_async_callback(_wait_for, user)
        with translated(f"cannot read {database}"):
            migrated = await connection.run(
                lambda raw: _migrate(raw, root, settings, allowed=allowed or is_new, wall=wall)
            )
            # A process that only reads need not wait for a writer's turn.
            known_id = await connection.run(lambda raw: meta.read(raw, meta.WORKSPACE_ID))
        workspace_id = await writer.run(_read_or_make_id) if known_id is None else known_id
        await asyncio.to_thread(remember_id, root / AGENT_DIR, workspace_id)
        readers = Readers(connections)
        stack.push_async_callback(readers.close)
        watcher = await connections.open_reader()
        stack.push_async_callback(watcher.close)
        workspace = Workspace(
            root=root,
            settings=settings,
            workspace_id=workspace_id,
            migrated=migrated,
            writer=writer,
            readers=readers,
            watcher=watcher,
            user=await user,
            mode=mode,
            wall=wall,
            sleep=sleep,
            target=target,
        )
        if sync or mode == "headless":
            workspace.log_withheld()
        indexing = asyncio.create_task(workspace.indexing.run(), name="acode-indexing")
        stack.push_async_callback(_cancel, indexing)
        stack.push_async_callback(workspace.sync.stop)
        if sync:
            await workspace.sync.start()
        if sync and target is None:
            follower = asyncio.create_task(workspace.follow_config(watch), name="acode-config")
            stack.push_async_callback(_cancel, follower)
        owner = os.getpid()
        try:
            yield workspace
        except SystemExit as end:
            if os.getpid() != owner:
                _end_child(end)
            raise
        finally:
            if os.getpid() != owner:
                # The connections and the locks are the parent's, and their threads do not exist here.
                stack.pop_all()


def _sending_to(target: str | None, settings: Settings) -> Settings:
    """The settings with the sync switched on where it has a target. Raises ConfigError for one that is no address."""
    if target is None:
        return settings
    from acode_tui.workspace.direct import direct_address

    direct_address(target, settings)
    persistence = settings.persistence
    return replace(
        settings,
        persistence=replace(
            persistence,
            postgres=replace(persistence.postgres, enabled=True),
            sync=replace(persistence.sync, enabled=True),
        ),
    )


def _start_log(stack: AsyncExitStack, root: Path, settings: Settings) -> None:
    """Log into the workspace while it is open, where ``ACODE_LOG_LEVEL`` is set and the program has no log yet.

    Raises ConfigError for an unknown level.
    """
    level = os.environ.get("ACODE_LOG_LEVEL")
    if not level or logs.is_configured():
        return
    logs.configure(root / AGENT_DIR, level=level)
    stack.callback(logs.shut_down)
    address = resolve_postgres(settings.persistence.postgres)
    if not isinstance(address, Misconfigured):
        logs.add_secrets(address.secrets)


def _end_child(end: SystemExit) -> NoReturn:
    """End a forked child that leaves the parent's block by ``sys.exit``.

    At once: an event loop that is closed in a child takes the parent's own wake-ups out of the epoll that they share.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    if end.code is None or isinstance(end.code, int):
        os._exit((end.code or 0) & 0xFF)
    with suppress(OSError):
        os.write(2, f"{end.code}\n".encode(errors="backslashreplace"))
    os._exit(1)


def _migrate(
    connection: sqlite3.Connection, root: Path, settings: Settings, *, allowed: bool, wall: WallClock
) -> TierMigrations:
    known = packaged("sqlite")
    planned = plan(connection, known)
    if planned.pending and not allowed:
        raise SchemaMismatchError(
            f"{len(planned.pending)} migrations are pending and migrations.auto_migrate is off",
            hint="run `acode-tui db migrate`",
        )

    def backup(version: str) -> None:
        from acode_tui.ops.backup.create import keep_newest
        from acode_tui.storage.sqlite.files.backup_copy import take_snapshot
        from acode_tui.workspace.maintenance import backup_store

        folder = resolve_path(root, settings.backup.directory)
        made = take_snapshot(connection, folder, now=wall(), suffix="_pre_migrate", schema_version=version)
        keep_newest(backup_store(), folder, keep=settings.backup.max_backups, made=made)

    return migrate(
        connection,
        known,
        lock_path=root / AGENT_DIR / "locks" / "migrate.lock",
        lock_timeout_seconds=settings.migrations.lock_timeout_seconds,
        backup=backup if settings.migrations.backup_before_migrate else None,
        wall=wall,
    )


def _require_workspace(database: Path, timeout_seconds: float) -> None:
    """Refuse another program's file before anything, even a lock, is made beside it. Raises AcodeError."""
    if database.is_file() and has_content(database) and not was_opened(database):
        require_rights(database)
        read_unchanged(
            database, lambda connection: require_workspace(connection, packaged("sqlite")), seconds=timeout_seconds
        )


def _prepare(root: Path, database: Path, settings: Settings) -> bool:
    """Make missing files with private modes; True if the database is new. Raises AcodeError.

    Existing files keep their modes until the database has been inspected.
    """
    agent_dir = root / AGENT_DIR
    if not has_content(database):
        from acode_tui.workspace.maintenance import Maintenance

        require_content(database, expected=Maintenance(root, settings).held_workspace())
    is_new = prepare_file(database)
    require_rights(database)
    if is_new:
        _keep_out_of_git(agent_dir)
    return is_new


def _keep_private(agent_dir: Path) -> None:
    """Tighten the modes of the program's own files; the configuration is the user's, and may be in a repository."""
    tighten(agent_dir, PRIVATE_FOLDER)
    tighten(agent_dir / ID_FILE, PRIVATE_FILE)
    for name in _FOLDERS:
        tighten_folder(agent_dir / name)


def _read_or_make_id(connection: sqlite3.Connection) -> str:
    """The workspace's id, which is made once and never changes."""
    known = meta.read(connection, meta.WORKSPACE_ID)
    if known is None:
        known = new_id()
        meta.store(connection, meta.WORKSPACE_ID, known)
    return known


def _keep_out_of_git(agent_dir: Path) -> None:
    """Write a .gitignore that keeps recorded runs out of the repository, unless there is one. Raises AcodeError."""
    if not agent_dir.is_dir():
        return
    try:
        with suppress(FileExistsError), replacing(agent_dir / ".gitignore", overwrite=False) as file:
            file.write(_IGNORED.encode())
    except OSError as error:
        raise DatabaseConnectionError(f"cannot begin a workspace in {agent_dir}: {error.strerror or error}") from error


async def _cancel(task: "asyncio.Task[None]") -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    await asyncio.wait([task])


async def _wait_for(task: "asyncio.Task[str]") -> None:
    """Wait for a task without raising its error."""
    await asyncio.wait([task])


async def migration_plan(root: Path, settings: Settings) -> tuple[TierMigrations, ...]:
    """What ``db migrate`` would do to both tiers, PostgreSQL only where it is enabled; changes nothing.

    A missing workspace file is not made. Raises AcodeError where PostgreSQL is enabled and cannot be used.
    """
    return (await file_plan(root, settings), *await _team_plan(settings))


async def _team_plan(settings: Settings) -> tuple[TierMigrations, ...]:
    postgres = settings.persistence.postgres
    if not postgres.enabled:
        return ()
    target = make_sync_target(team_address(settings), postgres)
    try:
        return (await target.migrate(distribute=postgres.distribute, dry_run=True),)
    finally:
        await target.close()


def _exists(root: Path, database: Path, settings: Settings) -> bool:
    """Whether the file exists. Raises IntegrityError where its content is gone: nothing is pending then."""
    if not has_content(database):
        from acode_tui.workspace.maintenance import Maintenance

        require_content(database, expected=Maintenance(root, settings).held_workspace())
    return database.exists()


async def file_plan(root: Path, settings: Settings) -> TierMigrations:
    """The workspace file's part of ``migration_plan``; without a version where there is no file."""
    known = packaged("sqlite")
    database = settings.persistence.sqlite.resolve(root)
    if not await asyncio.to_thread(_exists, root, database, settings):
        return TierMigrations(tier="sqlite", to_version=known[-1].version, pending=tuple(m.version for m in known))
    seconds = settings.persistence.sqlite.timeout_seconds
    return await asyncio.to_thread(read_unchanged, database, lambda raw: plan(raw, known), seconds=seconds)
