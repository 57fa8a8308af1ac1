"""The Outbox pane: the backlog, its recent history, and how long it will take at the present rate."""

from datetime import datetime

from textual.content import Content

from acode_tui.sync.ports import SyncState, SyncStatus
from acode_tui.tui.palette import CONTENT_STYLE, SYNC
from acode_tui.tui.state import Backlog, Overview
from acode_tui.tui.text import styled
from acode_tui.tui.times import countdown, number, short_number, span
from acode_tui.tui.widgets.pane import Pane
from acode_tui.tui.widgets.sparkline import sparkline


class OutboxPane(Pane):
    """What waits to be sent."""

    TITLE = "Outbox"
    OPENS = "retries"

    def __init__(self, backlog: Backlog, *, id: str) -> None:
        super().__init__(id=id)
        self._backlog = backlog

    def lines(self, overview: Overview, now: datetime, width: int) -> list[Content]:
        return [self._count(overview, now, width), self._history(width), self._pace(overview, now, width)]

    def _count(self, overview: Overview, now: datetime, width: int) -> Content:
        stats = overview.outbox
        if not stats.pending:
            return Content.assemble(("✓ ", "$text-success"), "nothing waiting")
        count = number(stats.pending) if width > 22 else short_number(stats.pending)
        oldest = span(now - stats.oldest_pending_at) if stats.oldest_pending_at is not None else ""
        word = "   oldest " if width > 28 else " · "
        head = " pending" if len(count) + len(" pending") + len(word) + len(oldest) <= width else " due"
        return Content.assemble(
            (count, "bold"), head, (word if oldest else "", "$foreground-muted"), (oldest, "$foreground")
        )

    def _history(self, width: int) -> Content:
        bars = sparkline(self._backlog.samples, width)
        return Content.assemble(("▁" * (width - len(bars)), "$foreground-muted 40%"), (bars, "$primary"))

    def _pace(self, overview: Overview, now: datetime, width: int) -> Content:
        sync = overview.sync
        if sync.state is SyncState.DISABLED:
            return styled("kept here; sync is off" if width > 22 else "sync is off", "$foreground-muted")
        if sync.state in (SyncState.IDLE, SyncState.SYNCING, SyncState.CONNECTING):
            return (
                self._rate(overview) if overview.outbox.pending else styled("everything is sent", "$foreground-muted")
            )
        mark = SYNC[sync.state]
        return styled(self._trouble(sync, now), CONTENT_STYLE[mark.role])

    def _rate(self, overview: Overview) -> Content:
        rate = f"{number(round(overview.sync.rate))} rec/s"
        eta = overview.eta
        tail = f"   ETA {span(eta)}" if eta is not None else ""
        return Content.assemble((rate, "$foreground"), (tail, "$foreground-muted"))

    def _trouble(self, sync: SyncStatus, now: datetime) -> str:
        mark = SYNC[sync.state]
        if sync.next_attempt_at is not None:
            return f"{mark.label}, next try {countdown(sync.next_attempt_at, now)}"
        return mark.label
