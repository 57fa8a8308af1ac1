"""The Conflicts pane: how often two versions of one row met, how the last one ended, whether clocks agree (AC-051)."""

from datetime import datetime, timedelta

from textual.content import Content

from acode_tui.tui.main.pane import Mood, Pane
from acode_tui.tui.records.record_text import entity_told
from acode_tui.tui.state import Overview
from acode_tui.tui.style.text import line, styled
from acode_tui.tui.style.times import ago, duration, number

MANY = 10
"""Conflicts that nobody has looked at from which it looks bad: two machines go on writing over each other."""

SKEW = timedelta(seconds=2)
"""What clocks may differ by: the later stamp wins, so a clock that is ahead wins wrongly."""


class ConflictsPane(Pane):
    """Conflicts, all and new."""

    TITLE = "Conflicts"
    OPENS = "conflicts"

    def mood(self, overview: Overview, now: datetime) -> Mood:
        if abs(_offset(overview)) > SKEW:
            return Mood("bad", "✗ clocks")
        new = overview.conflicts.unreviewed
        if new:
            return Mood("bad" if new >= MANY else "busy", f"{'✗' if new >= MANY else '◆'} {number(new)} new")
        return Mood("quiet", "✓ reviewed" if overview.conflicts.total else "✓ none")

    def lines(self, overview: Overview, now: datetime, width: int) -> list[Content]:
        counts = overview.conflicts
        last = overview.last_conflict
        lines: list[Content] = []
        if counts.total:
            total = Content.assemble((number(counts.total), "bold"), " total")
            if counts.unreviewed:
                total = Content.assemble(total, "  ", (f"◆ {number(counts.unreviewed)} new", "$text-warning"))
            lines.append(total)
        else:
            lines.append(Content.assemble(("✓ ", "$text-success"), "none"))
        if abs(_offset(overview)) > SKEW:
            told = f"clocks {duration(abs(_offset(overview)))} apart"
            lines.append(styled(told, "$text-error"))
        if last is None:
            both = ("both versions", "would be kept")
            return [*lines, *(styled(text, "$foreground-muted") for text in both)]
        kind = str(last.entity_type).replace("_", " ").removeprefix("session ")
        what = entity_told(kind, last.entity_id, last.local_payload)
        when = ago(last.detected_at, now)
        said = "last: " if width > 24 else ""
        fits = len(f"{last.winner} won {when}") <= width
        return [
            *lines,
            Content.assemble((said, "$foreground-muted"), line(what, width - len(said))),
            styled(f"{last.winner} won{f' {when}' if fits else ''}", "$foreground-muted"),
            styled("c shows both versions", "$foreground-muted"),
        ]


def _offset(overview: Overview) -> timedelta:
    return timedelta(milliseconds=overview.sync.clock_offset_ms or 0.0)
