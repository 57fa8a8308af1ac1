"""The conflicts screen: both versions of each conflict side by side, which one won, and a key to let the other win."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import BindingType
from textual.content import Content
from textual.message import Message

from acode_tui.domain.quantities import ago, duration, number, span
from acode_tui.storage.ports import Conflict, ConflictCounts
from acode_tui.tui.bindings import CONFLICTS, OPENING_RUN
from acode_tui.tui.records.compare import compare, side_by_side
from acode_tui.tui.records.record_text import entity_label
from acode_tui.tui.records.screen import PAGE_ROWS, RecordsScreen
from acode_tui.tui.style.text import styled
from acode_tui.tui.style.times import fine_stamp, stamp
from acode_tui.tui.widgets.keyed_table import Column, KeyedTable, Row
from acode_tui.tui.widgets.notice import Notice
from acode_tui.tui.widgets.title_line import TitleLine

if TYPE_CHECKING:
    from acode_tui.tui.ports import DashboardWorkspace


_SECOND = timedelta(seconds=1)


class ConflictTable(KeyedTable):
    """Conflicts, the newest first."""

    BINDINGS: ClassVar[list[BindingType]] = [*OPENING_RUN]

    def columns_for(self, width: int) -> tuple[Column, ...]:
        difference = (Column("difference", "apart", 8, right=True),) if width >= 100 else ()
        return (
            Column("state", "state", 10),
            Column("entity", "entity"),
            Column("winner", "winner", 6),
            *difference,
            Column("when", "met", 10, right=True),
        )


class ConflictsScreen(RecordsScreen[Conflict]):
    """The conflict log, both versions of the conflict under the cursor, and the keys to review or reverse it."""

    BINDINGS: ClassVar[list[BindingType]] = [*CONFLICTS]
    CRUMB, ITEM, DETAIL = "conflicts", "conflict", "Both versions"
    TABLE = ConflictTable
    ROW_ACTIONS = frozenset({*RecordsScreen.ROW_ACTIONS, "reviewed", "take_other"})

    @dataclass
    class ConflictsRead(Message):
        """A page of the conflict log was read."""

        conflicts: Sequence[Conflict]
        counts: ConflictCounts
        target: str | None
        after: Conflict | None
        only_new: bool

    def __init__(self) -> None:
        super().__init__()
        self._only_new = False
        self._target: str | None = None
        self._counts = ConflictCounts()

    def key(self, item: Conflict) -> str:
        return item.id

    def row(self, item: Conflict, now: datetime) -> Row:
        return _row(item, self.labels[item.id], now)

    def label(self, item: Conflict) -> str:
        return entity_label(item.entity_type, item.entity_id, item.local_payload)

    def detail(self, item: Conflict, width: int) -> Content:
        return _detail(item, width, self._target, self.dashboard.zone)

    def explain_empty(self, notice: Notice) -> None:
        notice.update(
            "Nothing is left to review" if self._counts.total else "No two versions have met",
            "When two machines change one row, the later change wins on both.",
            "The version that lost is kept here, and can be made to win.",
            role="$text-success",
        )

    async def read(self, workspace: "DashboardWorkspace") -> None:
        after, only_new = self.pages.after, self._only_new
        conflicts = await workspace.conflicts.list(unreviewed_only=only_new, limit=PAGE_ROWS + 1, after=after)
        status = await workspace.sync.status()
        counts = await workspace.conflicts.counts()
        self.post_message(self.ConflictsRead(conflicts, counts, status.target, after, only_new))

    @on(ConflictsRead)
    def _conflicts_read(self, event: ConflictsRead) -> None:
        if event.only_new is not self._only_new:
            return
        self._target, self._counts = event.target, event.counts
        total = event.counts.unreviewed if self._only_new else event.counts.total
        if self.show_page(event.conflicts, after=event.after, total=total):
            self.query_one("#list").border_title = "Not reviewed" if self._only_new else "All conflicts"
            self.query_one(TitleLine).update(
                f"{number(event.counts.total)} in all, {number(event.counts.unreviewed)} not reviewed"
            )

    def action_only_new(self) -> None:
        self._only_new = not self._only_new
        self.pages.restart()
        self.refresh_now()

    def action_reviewed(self) -> None:
        workspace, conflict = self.workspace, self.under_cursor
        if workspace is None or conflict is None:
            return

        async def review() -> None:
            await workspace.conflicts.mark_reviewed(conflict.id)

        self.dashboard.start_job("review", review)

    def action_take_other(self) -> None:
        from acode_tui.tui.dialogs.confirm import ConfirmDialog

        workspace, conflict = self.workspace, self.under_cursor
        if workspace is None or conflict is None:
            return
        loser = "local" if conflict.winner == "remote" else "remote"

        async def take() -> None:
            await workspace.conflicts.take_other(conflict.id)
            self.dashboard.notify(f"the {loser} version wins now", title="conflicts", markup=False)

        def answered(yes: bool | None) -> None:
            if yes:
                self.dashboard.start_job("take", take)

        question = f"The {loser} version is written again, later than both, and reaches every machine at its next sync."
        self.app.push_screen(ConfirmDialog("Take the other version?", question, yes=f"take {loser}"), answered)


def _time_difference(conflict: Conflict) -> timedelta:
    """The time between the last changes of the two versions."""
    return abs(conflict.local_updated_at - conflict.remote_updated_at)


def _row(conflict: Conflict, label: str, now: datetime) -> Row:
    difference = _time_difference(conflict)
    return {
        "state": ("✓ reviewed", "quiet") if conflict.reviewed_at else ("◆ new", "wait"),
        "entity": (label, "plain"),
        "winner": (conflict.winner, "plain"),
        "difference": (duration(difference) if difference < _SECOND else span(difference), "quiet"),
        "when": (ago(conflict.detected_at, now), "quiet"),
    }


def _detail(conflict: Conflict, width: int, target: str | None, zone: tzinfo | None) -> Content:
    won = "  ✓ won"
    stamped = fine_stamp if _time_difference(conflict) < _SECOND else stamp
    reviewed = f"reviewed {stamp(conflict.reviewed_at, zone)}" if conflict.reviewed_at else "not reviewed"
    head = [
        Content.assemble(
            ("local   ", "$text-error"),
            stamped(conflict.local_updated_at, zone),
            ("  this machine", "$foreground-muted"),
            (won if conflict.winner == "local" else "", "$text-success"),
        ),
        Content.assemble(
            ("remote  ", "$text-success"),
            stamped(conflict.remote_updated_at, zone),
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
