"""The Schema pane: both tiers' versions, and whether migrations are due (AC-014)."""

from datetime import datetime

from textual.content import Content

from acode_tui.sync.ports import SyncState
from acode_tui.tui.state import Overview
from acode_tui.tui.text import styled
from acode_tui.tui.widgets.pane import Pane

_UNREACHED = {
    SyncState.DISABLED: "off",
    SyncState.MISCONFIGURED: "misconfigured",
    SyncState.AUTH_FAILED: "auth failed",
    SyncState.OFFLINE: "offline",
    SyncState.CONNECTING: "connecting",
}


class SchemaPane(Pane):
    """Versions of the workspace's schema here and in PostgreSQL."""

    TITLE = "Schema"
    OPENS = "migrate"

    def lines(self, overview: Overview, now: datetime, width: int) -> list[Content]:
        schema = overview.schema
        due = len(schema.pending)
        return [
            _tier("sqlite", schema.version, schema.target, "none"),
            self._remote(overview, width),
            styled(f"{due} due · m runs them", "$text-warning")
            if due
            else styled("no migrations due" if width > 18 else "up to date", "$foreground-muted"),
        ]

    def _remote(self, overview: Overview, width: int) -> Content:
        sync = overview.sync
        if sync.schema_version is None:
            state = _UNREACHED.get(sync.state, "not seen yet")
            name = f"{'pg':<7}" if 7 + len(state) <= width else "pg "
            return styled(name + state, "$foreground-muted")
        return _tier("pg", sync.schema_version, sync.target_schema_version or sync.schema_version, "none")


def _tier(name: str, version: str | None, target: str, missing: str) -> Content:
    same = version == target
    mark = ("✓", "$text-success") if same else (f"→ {target}", "$text-warning")
    return Content.assemble((f"{name:<7}", "$foreground-muted"), (version or missing, "bold"), " ", mark)
