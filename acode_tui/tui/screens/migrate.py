"""What the schema of both tiers still needs, and running it. A backup is taken before."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from acode_tui.sync.ports import SyncState
from acode_tui.tui.app import Dashboard
from acode_tui.tui.bindings import MIGRATE
from acode_tui.tui.reading import read_overview
from acode_tui.tui.state import Overview
from acode_tui.tui.styles import style_path
from acode_tui.tui.text import styled
from acode_tui.tui.widgets.keybar import KeyBar


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
            overview = await read_overview(workspace)
            self._due = any(_remaining(overview))
            self.query_one(Static).update(_plan(overview))
            self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "migrate":
            return self._due and hasattr(self.dashboard.workspace, "migrate")
        return True

    def action_migrate(self) -> None:
        if self.dashboard.migrate():
            self.dismiss()


def _remaining(overview: Overview) -> tuple[bool, bool]:
    sync = overview.sync
    remote = sync.schema_version is not None and sync.schema_version != (
        sync.target_schema_version or sync.schema_version
    )
    return bool(overview.schema.pending), remote or sync.state is SyncState.SCHEMA_MISMATCH


def _plan(overview: Overview) -> Content:
    schema, sync = overview.schema, overview.sync
    here, there = _remaining(overview)
    rows = [_tier("sqlite", schema.version or "none", schema.target, here)]
    if schema.pending:
        rows.append(styled(f"          due: {', '.join(schema.pending)}", "$foreground-muted"))
    if sync.schema_version is not None or there:
        rows.append(
            _tier("postgres", sync.schema_version or "none", sync.target_schema_version or schema.target, there)
        )
    else:
        why = sync.reason or sync.state.value.replace("_", " ")
        rows.append(Content.assemble(("postgres  ", "$foreground-muted"), styled(why, "$foreground")))
    rows.append(Content(""))
    if here or there:
        rows.append(
            styled("A backup is taken first; a migration that fails leaves the tier as it was.", "$foreground-muted")
        )
        rows.append(styled("From a shell: acode-tui db migrate", "$foreground-muted"))
    else:
        rows.append(styled("✓ Nothing is due.", "$text-success"))
    return Content("\n").join(rows)


def _tier(name: str, version: str, target: str, due: bool) -> Content:
    state = (f"→ {target}", "$text-warning") if due else ("✓", "$text-success")
    return Content.assemble((f"{name:<10}", "$foreground-muted"), (version, "bold"), " ", state)
