"""The options before a command: workspace, settings and log, and how commands open the workspace."""

import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from acode_tui.domain.errors import ConfigError

if TYPE_CHECKING:
    import click

    from acode_tui.config import Settings
    from acode_tui.domain.secrets.known import Secret
    from acode_tui.workspace import Workspace
    from acode_tui.workspace.maintenance import Maintenance


T = TypeVar("T")
Parameters = ParamSpec("Parameters")


class Invocation:
    """One run of the program: its workspace, its settings, and the secrets that must not be shown."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.environ = environ
        self.log_level = environ.get("ACODE_LOG_LEVEL") or "info"
        self.secrets: tuple[Secret, ...] = ()
        self._workspace: Path | str | None = None
        self._settings: Settings | None = None

    def apply_options(self, workspace: Path | str | None, log_level: str | None) -> None:
        """Apply the options of the command line."""
        self._workspace = workspace
        self.log_level = log_level or self.log_level

    @property
    def is_workspace_named(self) -> bool:
        """Whether the user named the workspace, instead of starting in it."""
        return self._workspace is not None or bool(self.environ.get("ACODE_WORKSPACE"))

    @property
    def database_url(self) -> str | None:
        """The URL of the database that is the workspace; None where the workspace is a folder."""
        from acode_tui.config.postgres_address import is_postgres_url

        named = self.environ.get("ACODE_WORKSPACE") if self._workspace is None else self._workspace
        return named if isinstance(named, str) and is_postgres_url(named) else None

    def require_file(self) -> None:
        """Raise ConfigError where the workspace is a database, and no folder."""
        if self.database_url is not None:
            from acode_tui.workspace.no_file import needs_file

            raise needs_file()

    @property
    def root(self) -> Path:
        """The workspace's folder. Raises ConfigError if it is not a folder."""
        self.require_file()
        if isinstance(self._workspace, Path):
            root = self._workspace
        else:
            from acode_tui.config.workspace_root import find_root

            try:
                root = find_root(environ=self.environ)
            except FileNotFoundError:
                raise ConfigError(
                    "the current folder does not exist any more", hint="change to another one, or use --workspace"
                ) from None
        if not root.is_dir():
            raise ConfigError(f"workspace {root}: not a directory", hint="give one with --workspace or ACODE_WORKSPACE")
        return root.resolve()

    @property
    def settings(self) -> "Settings":
        """The workspace's settings. Loading them also adds the database password to ``secrets``."""
        if self._settings is None and (url := self.database_url) is not None:
            from acode_tui.config import load_settings
            from acode_tui.config.workspace_root import find_folder
            from acode_tui.workspace.direct import direct_address

            self._settings = load_settings(find_folder(), environ=self.environ)
            self.secrets = direct_address(url, self._settings, self.environ).secrets
        if self._settings is None:
            from acode_tui.config import PostgresTarget, load_settings, resolve_postgres

            self._settings = load_settings(self.root, environ=self.environ)
            target = resolve_postgres(self._settings.persistence.postgres, self.environ)
            if isinstance(target, PostgresTarget):
                self.secrets = target.secrets
        return self._settings

    @property
    def maintenance(self) -> "Maintenance":
        """Work on the workspace's file that does not open the workspace."""
        from acode_tui.workspace.maintenance import Maintenance

        return Maintenance(self.root, self.settings, environ=self.environ)

    def start_log(self, *, stderr: bool = False) -> None:
        """Start to log into the workspace."""
        from acode_tui import logs

        logs.configure(self.root / ".agent", level=self.log_level, stderr=stderr)
        logs.add_secrets(self.secrets)

    def with_workspace(
        self,
        work: Callable[["Workspace"], Awaitable[T]],
        *,
        auto_migrate: bool | None = None,
        log_to_stderr: bool = False,
    ) -> T:
        """Open the workspace, run ``work`` with it, close it, and return the result."""
        from acode_tui.workspace import open_workspace

        settings = self.settings
        place = self.database_url or self.root
        if isinstance(place, Path):
            self.start_log(stderr=log_to_stderr)

        async def run() -> T:
            async with open_workspace(place, settings=settings, auto_migrate=auto_migrate) as workspace:
                return await work(workspace)

        from acode_tui.cli.event_loop import run_async

        return run_async(run())

    def with_empty_workspace(self, work: Callable[["Workspace"], Awaitable[T]]) -> T:
        """The same with an empty workspace of these settings in a temporary folder, which is deleted afterwards."""
        from tempfile import TemporaryDirectory

        import msgspec

        from acode_tui.workspace import open_workspace

        async def run(folder: str) -> T:
            tiers = self.settings.persistence
            sqlite = msgspec.structs.replace(tiers.sqlite, path=os.path.join(folder, "workspace.db"))
            tiers = msgspec.structs.replace(tiers, sqlite=sqlite)
            async with open_workspace(
                folder, settings=msgspec.structs.replace(self.settings, persistence=tiers)
            ) as workspace:
                return await work(workspace)

        from acode_tui.cli.event_loop import run_async

        with TemporaryDirectory(prefix="acode-") as folder:
            return run_async(run(folder))


_MOST_COMPLETED = 200


def complete_session_id(context: "click.Context", parameter: "click.Parameter", incomplete: str) -> list[str]:
    """The newest sessions whose id begins so."""

    async def read(workspace: "Workspace") -> list[str]:
        return [each.id for each in await workspace.store.list(limit=_MOST_COMPLETED)]

    return [each for each in _of_workspace(context, read) if each.startswith(incomplete)]


def complete_query(context: "click.Context", parameter: "click.Parameter", incomplete: str) -> list[str]:
    """The fields of a query that begin so, or the values of a field."""
    from acode_tui.domain.search.completion import STORED_FIELDS, proposals, typed_at_end

    typed = typed_at_end(incomplete)
    field = typed.field if typed is not None else ""

    async def read(workspace: "Workspace") -> list[str]:
        return list(await workspace.field_values(field))

    stored = _of_workspace(context, read) if field in STORED_FIELDS else []
    return [each.query.rstrip() for each in proposals(incomplete, stored)]


def _of_workspace(context: "click.Context", read: Callable[["Workspace"], Awaitable[list[str]]]) -> list[str]:
    """What ``read`` answers. Makes no workspace, and no error: a shell that completes shows neither."""
    from acode_tui.domain.errors import AcodeError

    invocation = Invocation()
    # The callback of the top command does not run while a shell completes.
    invocation.apply_options(context.find_root().params.get("workspace"), None)
    try:
        if not invocation.settings.persistence.sqlite.resolve(invocation.root).is_file():
            return []
        return invocation.with_workspace(read, auto_migrate=False)
    except (AcodeError, OSError):
        return []


def pass_invocation(command: Callable[Concatenate[Invocation, Parameters], T]) -> Callable[Parameters, T]:
    """Give a command its invocation as the first argument."""
    import click

    return click.make_pass_decorator(Invocation, ensure=True)(command)
