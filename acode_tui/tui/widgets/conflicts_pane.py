"""The Conflicts pane: how often two versions of one row met, and how the last one ended (AC-051)."""

from datetime import datetime

from textual.content import Content

from acode_tui.tui.state import Overview
from acode_tui.tui.text import styled
from acode_tui.tui.times import ago, number
from acode_tui.tui.widgets.pane import Pane


class ConflictsPane(Pane):
    """Conflicts, all and new."""

    TITLE = "Conflicts"
    OPENS = "conflicts"

    def lines(self, overview: Overview, now: datetime, width: int) -> list[Content]:
        counts = overview.conflicts
        last = overview.last_conflict
        if not counts.total:
            return [
                Content.assemble(("✓ ", "$text-success"), "none"),
                styled("both versions", "$foreground-muted"),
                styled("would be kept", "$foreground-muted"),
            ]
        total = Content.assemble((number(counts.total), "bold"), " total")
        if counts.unreviewed:
            total = Content.assemble(total, "  ", (f"◆ {number(counts.unreviewed)} new", "$text-warning"))
        if last is None:
            return [total]
        what = str(last.entity_type).replace("_", " ").removeprefix("session ")
        when = ago(last.detected_at, now)
        roomy = width > 24
        fits = len(f"{last.winner} won {when}") <= width
        return [
            total,
            Content.assemble(("last: " if roomy else "", "$foreground-muted"), f"{what} {last.entity_id[:8]}…"),
            styled(
                f"{last.winner} won, {when}" if roomy else f"{last.winner} won {when if fits else ''}",
                "$foreground-muted",
            ),
        ]
