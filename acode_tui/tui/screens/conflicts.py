"""The audit of conflicts: both versions side by side, which one won, and the means to let the other win."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message

from acode_tui.domain.errors import AcodeError
from acode_tui.storage.ports import Conflict, ConflictCounts
from acode_tui.tui.bindings import CONFLICTS
from acode_tui.tui.comparing import compare, side_by_side
from acode_tui.tui.faults import told_fault
from acode_tui.tui.live import LiveScreen
from acode_tui.tui.styles import style_path
from acode_tui.tui.text import styled
from acode_tui.tui.times import ago, duration, number, span, stamp
from acode_tui.tui.turning import Turning
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.keyed_table import Column, KeyedTable, Row
from acode_tui.tui.widgets.notice import Notice
from acode_tui.tui.widgets.scrolling import TextPanel
from acode_tui.tui.widgets.title import TitleLine

if TYPE_CHECKING:
    from acode_tui.tui.ports import DashboardWorkspace

PAGE_ROWS = 200


class ConflictTable(KeyedTable):
    """Conflicts, the newest first."""

    def columns_for(self, width: int) -> tuple[Column, ...]:
        return (
            Column("state", "state", 10),
            Column("entity", "entity"),
            Column("winner", "winner", 8),
            Column("apart", "apart", 8, right=True),
            Column("when", "met", 10, right=True),
        )


class ConflictsScreen(LiveScreen[None]):
    """Both versions of every row that met another."""

    CSS_PATH = style_path("screens.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [*CONFLICTS]
    AUTO_FOCUS = ""

    @dataclass
    class ConflictsRead(Message):
        """A reading of the log."""

        conflicts: Sequence[Conflict]
        counts: ConflictCounts
        target: str | None
        after: Conflict | None
        only_new: bool

    def __init__(self) -> None:
        super().__init__()
        self._conflicts: dict[str, Conflict] = {}
        self._pages: Turning[Conflict] = Turning(PAGE_ROWS)
        self._turned = False
        self._only_new = False
        self._target: str | None = None

    def compose(self) -> ComposeResult:
        yield TitleLine("conflicts")
        with Vertical(classes="frame", id="list"):
            yield ConflictTable(id="records")
            yield Notice()
        yield TextPanel("Both versions", id="detail")
        yield KeyBar()

    def troubled(self, error: AcodeError) -> None:
        if not self._conflicts:
            self.query_one(TitleLine).say("could not be read", styled("tried again by itself", "$text-warning"))
            self.query_one("#detail", TextPanel).say(Content("\n").join(told_fault(error)))

    async def read(self, workspace: "DashboardWorkspace") -> None:
        after, only_new = self._pages.here, self._only_new
        found = await workspace.conflicts.list(unreviewed_only=only_new, limit=PAGE_ROWS + 1, after=after)
        status = await workspace.sync.status()
        counts = await workspace.conflicts.counts()
        self.post_message(self.ConflictsRead(found, counts, status.target, after, only_new))

    @on(ConflictsRead)
    def _read(self, event: ConflictsRead) -> None:
        if event.after is not self._pages.here or event.only_new is not self._only_new:
            return
        if not event.conflicts and self._pages.turn(-1):
            # What the last page held has been reviewed.
            self.refresh_now()
            return
        now = self.dashboard.now()
        self._conflicts = {conflict.id: conflict for conflict in self._pages.take(event.conflicts)}
        self._target = event.target
        self.query_one(TitleLine).say(
            f"{number(event.counts.total)} in all, {number(event.counts.unreviewed)} not reviewed"
        )
        self.query_one("#list").border_title = "Not reviewed" if self._only_new else "All conflicts"
        of_kind = event.counts.unreviewed if self._only_new else event.counts.total
        self.query_one("#list").border_subtitle = self._pages.told(of_kind)
        self.refresh_bindings()
        table, notice = self.query_one(ConflictTable), self.query_one(Notice)
        table.display = bool(event.conflicts)
        notice.display = not event.conflicts
        self.query_one("#detail").display = bool(event.conflicts)
        if not event.conflicts:
            notice.say(
                "Nothing is left to review" if event.counts.total else "No two versions have met",
                "When two machines change one row, the later change wins on both.",
                "The version that lost is kept here, and can be made to win.",
                role="$text-success",
            )
            return
        table.lay_out(max(self.query_one("#list").content_size.width, 40))
        table.show([(key, _row(conflict, now)) for key, conflict in self._conflicts.items()], at_once=self._turned)
        if self._turned:
            self._turned = False
            table.move_cursor(row=0)
        if self.focused is None:
            table.focus()
        self._describe()

    @on(KeyedTable.RowHighlighted)
    def _describe(self) -> None:
        conflict = self._under_cursor()
        if conflict is not None:
            panel = self.query_one("#detail", TextPanel)
            width = max(panel.content_size.width, 40)
            panel.say(_detail(conflict, width, self._target, self.dashboard.zone))

    def on_resize(self) -> None:
        self.call_after_refresh(self._describe)

    def _under_cursor(self) -> Conflict | None:
        key = self.query_one(ConflictTable).cursor_key
        return self._conflicts.get(key) if key is not None else None

    def action_copy(self) -> None:
        if self._under_cursor() is not None:
            self.dashboard.copy(self.query_one("#detail", TextPanel).shown.plain, "conflict")

    def action_copy_id(self) -> None:
        if (conflict := self._under_cursor()) is not None:
            self.dashboard.copy(conflict.entity_id, f"id of the {conflict.entity_type}")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "page":
            return self._pages.number > 1 or self._pages.last is not None
        if action in ("reviewed", "take_other", "copy", "copy_id"):
            return bool(self._conflicts) or None
        return True

    def action_page(self, direction: int) -> None:
        if self._pages.turn(direction):
            self._turned = True
            self.refresh_now()

    def action_only_new(self) -> None:
        self._only_new = not self._only_new
        self._pages.restart()
        self.refresh_now()

    def action_reviewed(self) -> None:
        workspace, conflict = self.workspace, self._under_cursor()
        if workspace is None or conflict is None:
            return

        async def review() -> None:
            await workspace.conflicts.mark_reviewed(conflict.id)

        self.dashboard.start_job("review", review)

    def action_take_other(self) -> None:
        from acode_tui.tui.screens.confirm import Confirm

        workspace, conflict = self.workspace, self._under_cursor()
        if workspace is None or conflict is None:
            return
        loser = "local" if conflict.winner == "remote" else "remote"

        async def take() -> None:
            await workspace.conflicts.take_other(conflict.id)
            self.dashboard.notify(f"the {loser} version wins now", title="conflicts", markup=False)

        def answered(yes: bool | None) -> None:
            if yes:
                self.dashboard.start_job("take", take)

        question = f"The {loser} version is written anew, later than both, and reaches every machine at its next sync."
        self.app.push_screen(Confirm("Take the other version?", question, yes=f"take {loser}"), answered)


def _row(conflict: Conflict, now: datetime) -> Row:
    apart = abs(conflict.local_updated_at - conflict.remote_updated_at)
    return {
        "state": ("✓ reviewed", "quiet") if conflict.reviewed_at else ("◆ new", "wait"),
        "entity": (f"{conflict.entity_type} {conflict.entity_id}", "plain"),
        "winner": (conflict.winner, "plain"),
        "apart": (span(apart) if apart.total_seconds() >= 1 else duration(apart), "quiet"),
        "when": (ago(conflict.detected_at, now), "quiet"),
    }


def _detail(conflict: Conflict, width: int, target: str | None, zone: tzinfo | None) -> Content:
    won = "  ✓ won"
    reviewed = f"reviewed {stamp(conflict.reviewed_at, zone)}" if conflict.reviewed_at else "nobody has reviewed it"
    head = [
        Content.assemble(
            ("here    ", "$text-error"),
            stamp(conflict.local_updated_at, zone),
            ("  this machine", "$foreground-muted"),
            (won if conflict.winner == "local" else "", "$text-success"),
        ),
        Content.assemble(
            ("central ", "$text-success"),
            stamp(conflict.remote_updated_at, zone),
            styled(f"  {target or 'PostgreSQL'}", "$foreground-muted"),
            (won if conflict.winner == "remote" else "", "$text-success"),
        ),
        Content.assemble(("met     ", "$foreground-muted"), stamp(conflict.detected_at, zone), f", {reviewed}"),
        styled(f"{conflict.entity_type} {conflict.entity_id}", "$foreground-muted"),
    ]
    if conflict.session_id != conflict.entity_id:
        head.append(styled(f"session {conflict.session_id}", "$foreground-muted"))
    head.append(Content(""))
    fields = compare(conflict.local_payload, conflict.remote_payload)
    return Content("\n").join([*head, side_by_side(fields, width)])
