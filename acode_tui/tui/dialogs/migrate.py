"""The migration dialog: the pending migrations of both tiers, the backup before them, and the result."""

from collections.abc import Sequence
from typing import Any, ClassVar

from textual.content import Content

from acode_tui.config import Settings, resolve_path
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.quantities import duration
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.ports import SchemaStatus, TierMigrations
from acode_tui.tui.actions import migration_summary
from acode_tui.tui.dialogs.job import JobDialog
from acode_tui.tui.jobs import JobRun
from acode_tui.tui.style.text import line, styled

_IS_OFF = "off; persistence.postgres.enabled turns it on"
_INDENT = " " * 10


class MigrateDialog(JobDialog):
    """Migrates the workspace file and PostgreSQL."""

    JOB: ClassVar[str] = "migrate"
    TITLE: ClassVar[str] = "Schema"

    async def show_plan(self) -> None:
        workspace = self.dashboard.workspace
        if workspace is None:
            return
        schema = await workspace.schema()
        self.show_text(_local(schema), _remote_text("asking…"))
        settings = workspace.settings
        try:
            tiers = await workspace.migration_plan()
        except AcodeError as error:
            # The pending migrations of the workspace file are known, and can run without PostgreSQL.
            due = bool(schema.pending)
            self.show_text(_local(schema), _plan_error(error), *(self._conclusion(settings, due) if due else ()))
            self.set_ready(due)
            return
        remote = next((tier for tier in tiers if tier.tier == "postgres"), None)
        due = bool(schema.pending) or bool(remote and remote.pending)
        off = _IS_OFF if not settings.persistence.postgres.enabled else "not seen yet"
        self.show_text(
            _local(schema), _remote(remote) if remote else _remote_text(off), *self._conclusion(settings, due)
        )
        self.set_ready(due)

    def _conclusion(self, settings: Settings, due: bool) -> list[Content]:
        if not due:
            return [Content(""), styled("✓ Nothing is due.", "$text-success")]
        backup = "migrations.backup_before_migrate is off: no backup is taken."
        if settings.migrations.backup_before_migrate:
            folder = resolve_path(self.dashboard.root, settings.backup.directory)
            backup = f"First a backup of the workspace file is taken, into {_relative(folder, self.dashboard.root)}/"
        return [
            Content(""),
            styled(backup, "$foreground"),
            styled("A migration that fails leaves its tier as it was.", "$foreground-muted"),
            styled("From a shell: acode-tui db migrate", "$foreground-muted"),
        ]

    def start(self) -> JobRun | None:
        return self.dashboard.actions.migrate()

    def result_lines(self, result: Any) -> list[Content]:
        tiers: Sequence[TierMigrations] = result
        rows = [styled("✓ Both tiers are up to date." if len(tiers) > 1 else "✓ Up to date.", "bold $text-success")]
        rows += [styled(row, "$foreground") for row in migration_summary(tiers).split("\n")]
        for tier in tiers:
            for done in tier.applied if tier.tier == "postgres" else ():
                rows.append(
                    styled(f"{_INDENT}{done.version}  {duration(done.duration_ms / 1_000)}", "$foreground-muted")
                )
        return rows


def _relative(path: object, root: object) -> str:
    """A path relative to the workspace's root; a path outside it unchanged."""
    return str(path).removeprefix(f"{root}/")


def _local(schema: SchemaStatus) -> Content:
    return _tier("sqlite", schema.version, schema.target, schema.pending)


def _remote(tier: TierMigrations) -> Content:
    return _tier("postgres", tier.from_version, tier.to_version or "", tier.pending)


def _remote_text(text: str) -> Content:
    return Content.assemble((f"{'postgres':<10}", "$foreground-muted"), styled(text, "$foreground-muted"))


def _plan_error(error: AcodeError) -> Content:
    """Why the plan of PostgreSQL is not known, and what to do about it."""
    text = Content.assemble(
        (f"{'postgres':<10}", "$foreground-muted"), styled(f"✗ {line(error.message)}", "$text-error")
    )
    return Content("\n").join([text, styled(line(error.hint), "$foreground-muted")]) if error.hint else text


def _tier(name: str, version: str | None, target: str, pending: Sequence[str]) -> Content:
    state = (f"→ {target}", "$text-warning") if pending else ("✓", "$text-success")
    row = Content.assemble((f"{name:<10}", "$foreground-muted"), (version or "none", "bold"), " ", state)
    descriptions = {
        migration.version: migration.description for migration in packaged("sqlite" if name == "sqlite" else "postgres")
    }
    steps = [
        styled(f"{_INDENT}due: {version:<7} {descriptions.get(version, '')}", "$foreground-muted")
        for version in pending
    ]
    return Content("\n").join([row, *steps])
