"""The Schema pane: both tiers' versions, whether migrations are due, and which came last (AC-014)."""

from datetime import datetime

from textual.content import Content

from acode_tui.storage.migrations.runner import version_key
from acode_tui.sync.ports import SyncState
from acode_tui.tui.main.pane import Mood, Pane
from acode_tui.tui.state import Overview
from acode_tui.tui.style.text import line, styled
from acode_tui.tui.style.times import ago

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

    def mood(self, overview: Overview, now: datetime) -> Mood:
        if overview.schema_fault is not None:
            return Mood("bad", "✗ unusable")
        if _is_newer(overview):
            return Mood("bad", "✗ newer")
        if overview.sync.state is SyncState.SCHEMA_MISMATCH:
            return Mood("bad", "✗ mismatch")
        if _due(overview):
            return Mood("busy", "→ due")
        return Mood("quiet", "✓ ok")

    def lines(self, overview: Overview, now: datetime, width: int) -> list[Content]:
        schema, fault = overview.schema, overview.schema_fault
        if fault is not None:
            why, advice = line(fault.message, width), line(fault.hint or "update acode-tui", width)
            return [styled(why, "$text-error"), styled(advice, "$foreground")]
        lines = [_tier("sqlite", schema.version, schema.target, width), self._remote(overview, width)]
        if _is_newer(overview):
            return [
                *lines,
                styled("update acode-tui" if width < 26 else "pg is newer: update acode-tui", "$text-error"),
            ]
        lines.append(self._due(overview, width))
        if schema.applied_at is not None:
            when = ago(schema.applied_at, now)
            lines.append(Content.assemble(("last applied ", "$foreground-muted"), (when, "$foreground")))
            lines.append(styled(line(schema.description, width), "$foreground-muted"))
        return lines

    def _due(self, overview: Overview, width: int) -> Content:
        due = _due(overview)
        if due:
            return styled(f"{due} due · m runs them" if width > 18 else f"{due} due · m", "$text-warning")
        return styled("no migrations due" if width > 18 else "up to date", "$foreground-muted")

    def _remote(self, overview: Overview, width: int) -> Content:
        sync = overview.sync
        if sync.schema_version is None:
            state = _UNREACHED.get(sync.state, "not seen yet")
            name = f"{'pg':<7}" if 7 + len(state) <= width else "pg "
            return styled(name + state, "$foreground-muted")
        return _tier("pg", sync.schema_version, sync.target_schema_version or sync.schema_version, width)


def _due(overview: Overview) -> int:
    """Migrations that are known to wait; the team's count as one, since only a look at it tells how many."""
    sync = overview.sync
    behind = (
        sync.schema_version is not None
        and sync.target_schema_version is not None
        and version_key(sync.schema_version) < version_key(sync.target_schema_version)
    )
    return len(overview.schema.pending) + behind


def _is_newer(overview: Overview) -> bool:
    sync = overview.sync
    if sync.schema_version is None or sync.target_schema_version is None:
        return False
    return version_key(sync.schema_version) > version_key(sync.target_schema_version)


def _tier(name: str, version: str | None, target: str, width: int) -> Content:
    if version == target:
        mark = ("✓", "$text-success")
    elif version is not None and version_key(version) > version_key(target):
        mark = (f"✗ > {target}" if width > 20 else "✗", "$text-error")
    else:
        mark = (f"→ {target}", "$text-warning")
    return Content.assemble((f"{name:<7}", "$foreground-muted"), (version or "none", "bold"), " ", mark)
