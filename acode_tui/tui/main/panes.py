"""The four panes of the main screen: Schema (AC-014), Retries, Conflicts and Outbox."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from textual.content import Content

from acode_tui.domain.quantities import ago, countdown, counted, duration, number, short_number, span
from acode_tui.domain.schema import version_key
from acode_tui.sync.ports import SyncState
from acode_tui.tui.main.pane import Look, Pane, PaneStatus
from acode_tui.tui.records.record_text import entity_label, short_refusal, sync_problem
from acode_tui.tui.state import DashboardState, Overview
from acode_tui.tui.style.palette import CONTENT_STYLE, SYNC
from acode_tui.tui.style.text import line, styled

_NOT_CONNECTED = {
    SyncState.DISABLED: "off",
    SyncState.MISCONFIGURED: "misconfigured",
    SyncState.AUTH_FAILED: "auth failed",
    SyncState.OFFLINE: "offline",
    SyncState.CONNECTING: "connecting",
}


class SchemaPane(Pane):
    """The schema versions of both tiers, the migrations that are due, and the last one that ran."""

    TITLE = "Schema"
    OPENS = "migrate"

    def status(self, overview: Overview, now: datetime) -> PaneStatus:
        if overview.schema_error is not None:
            return PaneStatus("bad", "✗ unusable")
        if _is_newer(overview):
            return PaneStatus("bad", "✗ newer")
        if overview.sync.state is SyncState.SCHEMA_MISMATCH:
            return PaneStatus("bad", "✗ mismatch")
        if _due(overview):
            return PaneStatus("busy", "→ due")
        return PaneStatus("quiet", "✓ ok")

    def figure(self, overview: Overview, look: Look) -> str:
        version = overview.schema.version or "none"
        return f"{version} ok" if look == "quiet" else version

    def lines(self, overview: Overview, now: datetime, width: int) -> list[Content]:
        schema, error = overview.schema, overview.schema_error
        if error is not None:
            why, advice = line(error.message, width), line(error.hint or "update acode-tui", width)
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
            state = _NOT_CONNECTED.get(sync.state, "not seen yet")
            if sync.switched_off_by == "persistence.sync.enabled":
                state = "worker off"
            name = f"{'pg':<7}" if 7 + len(state) <= width else "pg "
            return styled(name + state, "$foreground-muted")
        return _tier("pg", sync.schema_version, sync.target_schema_version or sync.schema_version, width)


def _due(overview: Overview) -> int:
    """How many migrations are known to be due. All of PostgreSQL's count as one: the sync status has no number."""
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


class RetriesPane(Pane):
    """Refused records: those that are tried again, and the dead letters."""

    TITLE = "Retries"
    OPENS = "retries"

    def status(self, overview: Overview, now: datetime) -> PaneStatus:
        if overview.outbox.failed:
            return PaneStatus("bad", "✗ dead")
        return PaneStatus("busy", "↻ waiting") if overview.outbox.retrying else PaneStatus("quiet", "✓ none")

    def figure(self, overview: Overview, look: Look) -> str:
        return number(overview.outbox.retrying + overview.outbox.failed)

    def lines(self, overview: Overview, now: datetime, width: int) -> list[Content]:
        stats = overview.outbox
        if not stats.retrying and not stats.failed:
            return [
                Content.assemble(("✓ ", "$text-success"), "none"),
                styled("refused records", "$foreground-muted"),
                styled("would wait here", "$foreground-muted"),
            ]
        retrying = Content.assemble((f"{number(stats.retrying)}", "bold"), " retrying")
        if stats.retrying and stats.next_attempt_at is not None:
            due = _next_attempt(countdown(stats.next_attempt_at, now))
        else:
            due = styled("none is due", "$foreground-muted")
        word = "dead letter" if stats.failed == 1 else "dead letters"
        dead = styled(f"✗ {number(stats.failed)} {word}", "$text-error" if stats.failed else "$foreground-muted")
        lines = [retrying, due, dead if stats.failed else styled(f"no {word}", "$foreground-muted")]
        last = overview.last_refused
        if last is not None and last.last_error:
            lines.append(styled(line(short_refusal(last.last_error), width), "$foreground"))
            lines.append(styled(line(f"refused {ago(last.updated_at, now)}", width), "$foreground-muted"))
        return lines


def _next_attempt(left: str) -> Content:
    return Content("due now") if left == "now" else Content.assemble(("next in ", "$foreground-muted"), left)


MANY_CONFLICTS = 10
"""Unreviewed conflicts from which the pane is bad: two machines keep overwriting each other's rows."""

MAX_CLOCK_SKEW = timedelta(seconds=2)
"""The tolerated difference of the clocks. The later stamp wins a conflict, so a clock that is ahead wins wrongly."""


class ConflictsPane(Pane):
    """The number of conflicts, and the last one."""

    TITLE = "Conflicts"
    OPENS = "conflicts"

    def status(self, overview: Overview, now: datetime) -> PaneStatus:
        if abs(_offset(overview)) > MAX_CLOCK_SKEW:
            return PaneStatus("bad", "✗ clocks")
        if overview.sync.stamps_ahead_seconds:
            return PaneStatus("bad", "✗ clock")
        new = overview.conflicts.unreviewed
        if new:
            return PaneStatus(
                "bad" if new >= MANY_CONFLICTS else "busy", f"{'✗' if new >= MANY_CONFLICTS else '◆'} {number(new)} new"
            )
        if aside := overview.conflicts.quarantined:
            return PaneStatus("busy", f"◆ {number(aside)} aside")
        return PaneStatus("quiet", "✓ reviewed" if overview.conflicts.total else "✓ none")

    def figure(self, overview: Overview, look: Look) -> str:
        return "0" if look == "quiet" else ""

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
        if abs(_offset(overview)) > MAX_CLOCK_SKEW:
            lines.append(styled(f"clocks {duration(abs(_offset(overview)))} apart", "$text-error"))
        if ahead := overview.sync.stamps_ahead_seconds:
            lines.append(styled(f"stamps {span(ahead)} ahead", "$text-error"))
        if counts.quarantined:
            lines.append(styled(f"◆ {counted(counts.quarantined, 'row')} kept aside", "$text-warning"))
        if last is None:
            both = ("both versions", "would be kept")
            return [*lines, *(styled(text, "$foreground-muted") for text in both)]
        kind = str(last.entity_type).replace("_", " ").removeprefix("session ")
        what = entity_label(kind, last.entity_id, last.local_payload)
        when = ago(last.detected_at, now)
        label = "last: " if width > 24 else ""
        fits = len(f"{last.winner} won {when}") <= width
        return [
            *lines,
            Content.assemble((label, "$foreground-muted"), line(what, width - len(label))),
            styled(f"{last.winner} won{f' {when}' if fits else ''}", "$foreground-muted"),
            styled("c shows both versions", "$foreground-muted"),
        ]


def _offset(overview: Overview) -> timedelta:
    return timedelta(milliseconds=overview.sync.clock_offset_ms or 0.0)


BARS = "▁▂▃▄▅▆▇█"


def sparkline(samples: Sequence[int], width: int) -> str:
    """The newest ``width`` samples as bars, scaled from zero to the highest of them; zero is the lowest bar."""
    recent = list(samples)[-width:] if width > 0 else []
    top = max(recent, default=0)
    if top <= 0:
        return BARS[0] * len(recent)
    return "".join(BARS[-(-sample * (len(BARS) - 1) // top)] for sample in recent)


_CONNECTED = (SyncState.IDLE, SyncState.SYNCING, SyncState.CONNECTING)
_BAD = (
    SyncState.MISCONFIGURED,
    SyncState.AUTH_FAILED,
    SyncState.SCHEMA_MISMATCH,
    SyncState.READ_ONLY,
    SyncState.REMOTE_BEHIND,
    SyncState.STOPPED,
)


def is_off(overview: Overview) -> bool:
    """Whether there is no PostgreSQL to send to: the records that are there then wait for nothing."""
    return overview.sync.switched_off_by is not None and overview.sync.target is None


class OutboxPane(Pane):
    """The backlog, how fast it is sent, where to, and who sends it."""

    TITLE = "Outbox"
    OPENS = "retries"

    def __init__(self, state: DashboardState, *, folded: bool = False) -> None:
        super().__init__(state, folded=folded)
        self._problem = ""

    def status(self, overview: Overview, now: datetime) -> PaneStatus:
        sync = overview.sync
        mark = SYNC[sync.state]
        if self.state.write_error is not None or (sync.state in _CONNECTED and sync.reason):
            return PaneStatus("bad", "✗ cannot write")
        if sync.state in _BAD:
            return PaneStatus("bad", mark.label)
        if sync.state is SyncState.OFFLINE:
            return PaneStatus("bad" if overview.outbox.pending else "busy", mark.label)
        if sync.state in (SyncState.SYNCING, SyncState.CONNECTING, SyncState.PAUSED):
            return PaneStatus("busy", mark.label)
        if sync.state is SyncState.DISABLED:
            return PaneStatus("quiet", "○ off")
        look: Look = "busy" if overview.outbox.pending else "quiet"
        return PaneStatus(look, "↑ waiting" if overview.outbox.pending else "✓ empty")

    def figure(self, overview: Overview, look: Look) -> str:
        return "off" if is_off(overview) else number(overview.outbox.pending)

    def show(self, now: datetime) -> None:
        super().show(now)
        overview = self.state.overview
        problem = sync_problem(overview.sync) if overview is not None else None
        # Set only if it changed: setting a tooltip hides the one under the mouse.
        if (problem.plain if problem else "") != self._problem:
            self._problem = problem.plain if problem else ""
            self.tooltip = problem

    def lines(self, overview: Overview, now: datetime, width: int) -> list[Content]:
        history = Content("") if is_off(overview) else self._history(width)
        lines = [self._count(overview, now, width), history, self._pace(overview, now, width)]
        if self.size.height > 3:
            lines += [*self._target(overview, width), self._holder(overview, now, width)]
        return lines

    def _count(self, overview: Overview, now: datetime, width: int) -> Content:
        stats = overview.outbox
        if is_off(overview):
            return styled("PostgreSQL is off", "$foreground-muted")
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
        if self.state.write_error is not None:
            return styled(line(self.state.write_error.message, width), "$text-error")
        if sync.state is SyncState.DISABLED:
            return styled("kept here; sync is off" if width > 22 else "sync is off", "$foreground-muted")
        if sync.state in _CONNECTED and sync.reason:
            return styled(line(sync.reason, width), "$text-error")
        if sync.state in _CONNECTED and sync.state is not SyncState.CONNECTING:
            if overview.outbox.pending:
                return self._rate(overview)
            return styled("everything is sent", "$foreground-muted")
        mark = SYNC[sync.state]
        label = mark.label
        if sync.next_attempt_at is not None:
            label += f", next try {countdown(sync.next_attempt_at, now)}"
        return styled(line(label, width), CONTENT_STYLE[mark.role])

    def _rate(self, overview: Overview) -> Content:
        rate = f"{number(round(overview.sync.rate))} rec/s"
        eta = overview.eta
        tail = f"   ETA {span(eta)}" if eta is not None else ""
        return Content.assemble((rate, "$foreground"), (tail, "$foreground-muted"))

    def _target(self, overview: Overview, width: int) -> list[Content]:
        """The server that records are sent to, or why they are not sent."""
        sync = overview.sync
        if (key := sync.switched_off_by) is not None:
            advice = "settings not trusted: A" if self.state.withheld else f"{key} sends it"
            return [styled(line(advice if len(advice) <= width else key, width), "$foreground-muted")]
        if sync.reason and sync.state not in _CONNECTED:
            # A reason that does not fit is cut at its end: it begins with the server only if it fits.
            fits = len(sync.reason) <= width
            reason = sync.reason if fits else sync.reason.removeprefix(f"{sync.target} ")
            return [styled(line(reason, width), "$foreground")]
        return [styled(line(f"to {sync.target}", width), "$foreground-muted")] if sync.target else []

    def _holder(self, overview: Overview, now: datetime, width: int) -> Content:
        sync = overview.sync
        last = f"last sync {ago(sync.last_sync_at, now)}"
        if sync.holder is None:
            return styled(line(last, width), "$foreground-muted")
        text = f"{last} · by {sync.holder}"
        return styled(line(text if len(text) <= width else f"{sync.holder}", width), "$foreground-muted")
