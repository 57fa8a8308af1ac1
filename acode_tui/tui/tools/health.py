"""The health screen: every check, what it found, and the command that helps."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message

from acode_tui.domain.quantities import duration
from acode_tui.tui.bindings import HEALTH
from acode_tui.tui.list_screen import ListScreen
from acode_tui.tui.style.palette import CONTENT_STYLE
from acode_tui.tui.style.palette import HEALTH as HEALTH_MARKS
from acode_tui.tui.style.text import block, pretty_json, styled
from acode_tui.tui.style.times import clock
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.keyed_table import Column, KeyedTable, Row
from acode_tui.tui.widgets.text_panel import TextPanel
from acode_tui.tui.widgets.title_line import TitleLine

if TYPE_CHECKING:
    from acode_tui.ops.health import HealthCheck, HealthReport
    from acode_tui.tui.ports import DashboardWorkspace

CHECK_EVERY = timedelta(seconds=20)
"""How often the checks run while the screen is open; ``R`` runs them at once."""

_STATUSES = tuple(HEALTH_MARKS)
"""From the best to the worst. The cursor begins on the worst check."""


class CheckTable(KeyedTable):
    """The checks, in their fixed order."""

    def columns_for(self, width: int) -> tuple[Column, ...]:
        state, name = Column("state", "state", 12), Column("name", "check", 14)
        found = Column("found", "found")
        return (state, name, found) if width < 100 else (state, name, found, Column("took", "took", 9, right=True))


class HealthScreen(ListScreen):
    """Runs the checks when it is opened, every CHECK_EVERY, and on request."""

    TABLE = CheckTable
    BINDINGS: ClassVar[list[BindingType]] = [*HEALTH]
    AUTO_FOCUS = "CheckTable"

    @dataclass
    class ReportReady(Message):
        """The checks ran."""

        report: "HealthReport"

    def __init__(self) -> None:
        super().__init__()
        self._checks: dict[str, HealthCheck] = {}
        self._requested = True
        self._checked_at: datetime | None = None

    def compose(self) -> ComposeResult:
        yield TitleLine("health")
        with Vertical(classes="frame", id="list"):
            yield CheckTable(id="records")
        yield TextPanel("Finding", id="detail")
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one("#list").border_title = "Checks"
        self.query_one(TitleLine).update("checking…")
        self.detail_panel.update(styled("The checks run side by side…", "$foreground-muted"))

    def refresh_now(self) -> None:
        self._requested = True
        super().refresh_now()

    async def read(self, workspace: "DashboardWorkspace") -> None:
        await self._run_checks(workspace)

    async def read_idle(self, workspace: "DashboardWorkspace") -> None:
        await self._run_checks(workspace)

    async def _run_checks(self, workspace: "DashboardWorkspace") -> None:
        """Run the checks if it is time or they were requested. Commits of other programs are no reason to."""
        now = self.dashboard.now()
        if not self._requested and self._checked_at is not None and now - self._checked_at < CHECK_EVERY:
            return
        fresh, self._requested, self._checked_at = self._requested, False, now
        self.post_message(self.ReportReady(await workspace.health(fresh=fresh)))

    @on(ReportReady)
    def _report_ready(self, event: ReportReady) -> None:
        report = event.report
        mark = HEALTH_MARKS[report.status.value]
        self._checks = {check.name: check for check in report.checks}
        bad = sum(check.status.value != "Healthy" for check in report.checks)
        at = clock(self._checked_at or self.dashboard.now(), self.dashboard.zone)
        self.query_one(TitleLine).update(
            "everything is as it should be" if not bad else f"{bad} of {len(report.checks)} checks found something",
            styled(mark.label, CONTENT_STYLE[mark.role]),
            styled(f"checked at {at}", "$foreground-muted"),
        )
        table = self.table
        self.fit()
        first = not table.row_count
        table.show([(name, _row(check)) for name, check in self._checks.items()])
        if first:
            worst = max(report.checks, key=lambda check: _STATUSES.index(check.status.value))
            table.move_cursor(row=report.checks.index(worst))
        self._describe()

    @property
    def is_loaded(self) -> bool:
        return bool(self._checks)

    @property
    def _under_cursor(self) -> "HealthCheck | None":
        return self._checks.get(self.table.cursor_key or "")

    @on(KeyedTable.RowHighlighted)
    def _describe(self) -> None:
        check = self._under_cursor
        if check is not None:
            panel = self.detail_panel
            panel.border_title = styled(check.name)
            panel.update(_detail(check))

    def action_copy(self) -> None:
        check = self._under_cursor
        if check is not None:
            what = "suggestion" if check.suggestion else "finding"
            self.dashboard.copy(check.suggestion or f"{check.name}: {check.description}", what)


def _row(check: "HealthCheck") -> Row:
    mark = HEALTH_MARKS[check.status.value]
    return {
        "state": (mark.label, mark.role),
        "name": (check.name, "plain"),
        "found": (check.description, "quiet" if mark.role == "good" else "plain"),
        "took": (duration(timedelta(milliseconds=check.duration_ms)), "quiet"),
    }


def _detail(check: "HealthCheck") -> Content:
    mark = HEALTH_MARKS[check.status.value]
    parts = [
        Content.assemble((f"{mark.label}  ", CONTENT_STYLE[mark.role]), block(check.description, "bold")),
    ]
    if check.suggestion:
        parts += [Content(""), styled("suggestion", "bold $text-primary"), block(check.suggestion)]
    if check.details:
        numbers = Content(pretty_json(check.details))
        parts += [Content(""), styled("the numbers behind it", "bold $text-primary"), numbers]
    return Content("\n").join(parts)
