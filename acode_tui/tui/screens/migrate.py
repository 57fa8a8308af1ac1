"""What the schema of both tiers still needs, and running it. A backup is taken before."""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from acode_tui.domain.display import clean
from acode_tui.domain.errors import AcodeError
from acode_tui.storage.migrations.runner import TierMigrations
from acode_tui.storage.ports import SchemaStatus
from acode_tui.tui.app import Dashboard
from acode_tui.tui.bindings import MIGRATE
from acode_tui.tui.styles import style_path
from acode_tui.tui.text import line, styled
from acode_tui.tui.widgets.keybar import KeyBar

_IS_OFF = "off; persistence.postgres.enabled turns it on"


class MigrateScreen(ModalScreen[None]):
    """The plan for both tiers."""

    CSS_PATH = style_path("dialogs.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [*MIGRATE]

    def __init__(self) -> None:
        super().__init__()
        self._due = False

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Schema"
            yield Static("reading…", markup=False)
        yield KeyBar()

    @property
    def dashboard(self) -> Dashboard:
        app = self.app
        assert isinstance(app, Dashboard)
        return app

    def on_mount(self) -> None:
        self.run_worker(self._read(), exit_on_error=False)

    async def _read(self) -> None:
        workspace = self.dashboard.workspace
        if workspace is None:
            return
        with self.dashboard.reporting():
            schema = await workspace.schema()
            self._say(_here(schema), _remote("asking…"))
            enabled = workspace.settings.persistence.postgres.enabled
            try:
                tiers = await workspace.migration_plan()
                there = next((tier for tier in tiers if tier.tier == "postgres"), None)
                self._due = bool(schema.pending) or bool(there and there.pending)
                remote = _there(there) if there is not None else _remote(_IS_OFF if not enabled else "not seen yet")
                self._say(_here(schema), remote, _conclusion(self._due))
            except AcodeError as error:
                # What the workspace's own file needs is known and may be run all the same.
                self._due = bool(schema.pending)
                self._say(_here(schema), _refusal(error), _conclusion(self._due) if self._due else Content(""))
            self.refresh_bindings()

    def _say(self, *parts: Content) -> None:
        self.query_one(Static).update(Content("\n").join(part for part in parts if part))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "migrate":
            return self._due
        return True

    def action_migrate(self) -> None:
        if self.dashboard.migrate():
            self.dismiss()


def told(tiers: Sequence[TierMigrations]) -> str:
    """What a run did to each tier, a line a tier. The workspace file's migrations ran when it was opened."""
    lines = []
    for tier in tiers:
        done = ", ".join(migration.version for migration in tier.applied) if tier.tier == "postgres" else ""
        lines.append(f"{tier.tier}: {done} applied" if done else f"{tier.tier}: up to date at {tier.to_version}")
    return clean("\n".join(lines), keep_newlines=True)


def _here(schema: SchemaStatus) -> Content:
    return _tier("sqlite", schema.version, schema.target, schema.pending)


def _there(tier: TierMigrations) -> Content:
    return _tier("postgres", tier.from_version, tier.to_version or "", tier.pending)


def _remote(text: str) -> Content:
    return Content.assemble((f"{'postgres':<10}", "$foreground-muted"), styled(text, "$foreground-muted"))


def _refusal(error: AcodeError) -> Content:
    """Why PostgreSQL's plan is not known, and what to do about it."""
    said = Content.assemble(
        (f"{'postgres':<10}", "$foreground-muted"), styled(f"✗ {line(error.message)}", "$text-error")
    )
    return Content("\n").join([said, styled(line(error.hint), "$foreground-muted")]) if error.hint else said


def _conclusion(due: bool) -> Content:
    if not due:
        return Content.assemble("\n", ("✓ Nothing is due.", "$text-success"))
    return Content.assemble(
        "\n",
        (
            "The workspace file is backed up first; a migration that fails\nleaves its tier as it was.\n",
            "$foreground-muted",
        ),
        ("From a shell: acode-tui db migrate", "$foreground-muted"),
    )


def _tier(name: str, version: str | None, target: str, pending: Sequence[str]) -> Content:
    state = (f"→ {target}", "$text-warning") if pending else ("✓", "$text-success")
    row = Content.assemble((f"{name:<10}", "$foreground-muted"), (version or "none", "bold"), " ", state)
    if not pending:
        return row
    return Content.assemble(row, (f"\n          due: {', '.join(pending)}", "$foreground-muted"))
