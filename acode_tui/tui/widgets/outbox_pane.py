"""The Outbox pane: the backlog and its recent history, how long it will take, and how the way to PostgreSQL stands."""

from datetime import datetime

from textual.content import Content

from acode_tui.sync.ports import SyncState
from acode_tui.tui.main.pane import Look, Mood, Pane
from acode_tui.tui.standing import standing_told
from acode_tui.tui.state import DashboardState, Overview
from acode_tui.tui.style.palette import CONTENT_STYLE, SYNC
from acode_tui.tui.style.text import line, styled
from acode_tui.tui.style.times import ago, countdown, number, short_number, span
from acode_tui.tui.widgets.sparkline import sparkline

_ON = (SyncState.IDLE, SyncState.SYNCING, SyncState.CONNECTING)
_BAD = (
    SyncState.MISCONFIGURED,
    SyncState.AUTH_FAILED,
    SyncState.SCHEMA_MISMATCH,
    SyncState.READ_ONLY,
    SyncState.REMOTE_BEHIND,
    SyncState.STOPPED,
)


class OutboxPane(Pane):
    """What waits to be sent, where to, and who sends it."""

    TITLE = "Outbox"
    OPENS = "retries"

    def __init__(self, state: DashboardState) -> None:
        super().__init__(state)
        self._hint = ""

    def mood(self, overview: Overview, now: datetime) -> Mood:
        sync = overview.sync
        mark = SYNC[sync.state]
        if self.state.refusal is not None or (sync.state in _ON and sync.reason):
            return Mood("bad", "✗ cannot write")
        if sync.state in _BAD:
            return Mood("bad", mark.label)
        if sync.state is SyncState.OFFLINE:
            return Mood("bad" if overview.outbox.pending else "busy", mark.label)
        if sync.state in (SyncState.SYNCING, SyncState.CONNECTING, SyncState.PAUSED):
            return Mood("busy", mark.label)
        if sync.state is SyncState.DISABLED:
            return Mood("quiet", "○ kept here")
        look: Look = "busy" if overview.outbox.pending else "quiet"
        return Mood(look, "↑ waiting" if overview.outbox.pending else "✓ empty")

    def show(self, now: datetime) -> None:
        super().show(now)
        overview = self.state.overview
        told = standing_told(overview.sync) if overview is not None else None
        # Only what is another: a tooltip that is given again is taken away under the mouse.
        if (told.plain if told else "") != self._hint:
            self._hint = told.plain if told else ""
            self.tooltip = told

    def lines(self, overview: Overview, now: datetime, width: int) -> list[Content]:
        lines = [self._count(overview, now, width), self._history(width), self._pace(overview, now, width)]
        if self.size.height > 3:
            lines += [*self._target(overview, width), self._holder(overview, now, width)]
        return lines

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
        bars = sparkline(self.state.backlog.samples, width)
        return Content.assemble(("▁" * (width - len(bars)), "$foreground-muted 40%"), (bars, "$primary"))

    def _pace(self, overview: Overview, now: datetime, width: int) -> Content:
        sync = overview.sync
        if self.state.refusal is not None:
            return styled(line(self.state.refusal.message, width), "$text-error")
        if sync.state is SyncState.DISABLED:
            return styled("kept here; sync is off" if width > 22 else "sync is off", "$foreground-muted")
        if sync.state in _ON and sync.reason:
            return styled(line(sync.reason, width), "$text-error")
        if sync.state in _ON and sync.state is not SyncState.CONNECTING:
            if overview.outbox.pending:
                return self._rate(overview)
            return styled("everything is sent", "$foreground-muted")
        mark = SYNC[sync.state]
        told = mark.label
        if sync.next_attempt_at is not None:
            told += f", next try {countdown(sync.next_attempt_at, now)}"
        return styled(line(told, width), CONTENT_STYLE[mark.role])

    def _rate(self, overview: Overview) -> Content:
        rate = f"{number(round(overview.sync.rate))} rec/s"
        eta = overview.eta
        tail = f"   ETA {span(eta)}" if eta is not None else ""
        return Content.assemble((rate, "$foreground"), (tail, "$foreground-muted"))

    def _target(self, overview: Overview, width: int) -> list[Content]:
        """Where to; or why not, which is more than one would say of a place that is well."""
        sync = overview.sync
        if sync.state is SyncState.DISABLED:
            key = "persistence.postgres.enabled"
            told = f"{key} sends it"
            return [styled(line(told if len(told) <= width else key, width), "$foreground-muted")]
        if sync.reason and sync.state not in _ON:
            # Where to is known and stands in the whole sentence; why not must not be cut away behind it.
            fits = len(sync.reason) <= width
            told = sync.reason if fits else sync.reason.removeprefix(f"{sync.target} ")
            return [styled(line(told, width), "$foreground")]
        return [styled(line(f"to {sync.target}", width), "$foreground-muted")] if sync.target else []

    def _holder(self, overview: Overview, now: datetime, width: int) -> Content:
        sync = overview.sync
        last = f"last sync {ago(sync.last_sync_at, now)}"
        if sync.holder is None:
            return styled(line(last, width), "$foreground-muted")
        held = f"{last} · by {sync.holder}"
        return styled(line(held if len(held) <= width else f"{sync.holder}", width), "$foreground-muted")
