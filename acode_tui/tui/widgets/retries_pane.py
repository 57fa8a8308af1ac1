"""The Retries pane: records that the server refused, and those that were given up on."""

from datetime import datetime

from textual.content import Content

from acode_tui.tui.main.pane import Mood, Pane
from acode_tui.tui.records.record_text import refusal_told
from acode_tui.tui.state import Overview
from acode_tui.tui.style.text import line, styled
from acode_tui.tui.style.times import ago, countdown, number


class RetriesPane(Pane):
    """Refused records: waiting for another try, or dead letters."""

    TITLE = "Retries"
    OPENS = "retries"

    def mood(self, overview: Overview, now: datetime) -> Mood:
        if overview.outbox.failed:
            return Mood("bad", "✗ dead")
        return Mood("busy", "↻ waiting") if overview.outbox.retrying else Mood("quiet", "✓ none")

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
            due = _next(countdown(stats.next_attempt_at, now))
        else:
            due = styled("none is due", "$foreground-muted")
        word = "dead letter" if stats.failed == 1 else "dead letters"
        dead = styled(f"✗ {number(stats.failed)} {word}", "$text-error" if stats.failed else "$foreground-muted")
        lines = [retrying, due, dead if stats.failed else styled(f"no {word}", "$foreground-muted")]
        last = overview.last_refused
        if last is not None and last.last_error:
            lines.append(styled(line(refusal_told(last.last_error), width), "$foreground"))
            lines.append(styled(line(f"refused {ago(last.updated_at, now)}", width), "$foreground-muted"))
        return lines


def _next(left: str) -> Content:
    return Content("due now") if left == "now" else Content.assemble(("next in ", "$foreground-muted"), left)
