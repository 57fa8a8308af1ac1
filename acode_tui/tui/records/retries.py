"""The retries screen: records that the server refused, both those that are tried again and the dead letters."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, ClassVar

import msgspec
from textual import on
from textual.binding import BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from acode_tui.domain.quantities import countdown, counted, due_in, number, span
from acode_tui.storage.ports import Outbox, OutboxRecord, OutboxStats
from acode_tui.sync.ports import SyncStatus
from acode_tui.tui.bindings import OPENING_RUN, RETRIES
from acode_tui.tui.records.record_text import entity_label, payload_text, short_refusal, sync_problem
from acode_tui.tui.records.screen import PAGE_ROWS, RecordsScreen
from acode_tui.tui.style.text import block, labelled, styled
from acode_tui.tui.style.times import stamp
from acode_tui.tui.widgets.keyed_table import Column, KeyedTable, Row
from acode_tui.tui.widgets.notice import Notice
from acode_tui.tui.widgets.title_line import TitleLine

if TYPE_CHECKING:
    from acode_tui.tui.ports import DashboardWorkspace


class RecordTable(KeyedTable):
    """Refused records, dead letters first."""

    BINDINGS: ClassVar[list[BindingType]] = [*OPENING_RUN]

    def columns_for(self, width: int) -> tuple[Column, ...]:
        state, tries = Column("state", "state", 13), Column("tries", "tries", 5, right=True)
        error = Column("error", "the server said")
        if width < 100:
            return (state, Column("entity", "entity", 20 if width > 70 else 12), tries, error)
        due, age = Column("due", "next try", 8, right=True), Column("age", "waiting", 8, right=True)
        return (state, Column("entity", "entity", 28 if width < 160 else 56), tries, due, age, error)


class RetriesScreen(RecordsScreen[OutboxRecord]):
    """The refused records, why each was refused, and the keys to retry or discard it."""

    BINDINGS: ClassVar[list[BindingType]] = [*RETRIES]
    CRUMB, ITEM, DETAIL = "retries", "record", "Record"
    DETAIL_SHOWS_TIME = True
    TABLE = RecordTable
    ROW_ACTIONS = frozenset({*RecordsScreen.ROW_ACTIONS, "retry", "retry_all", "discard"})

    @dataclass
    class RecordsRead(Message):
        """A page of refused records was read."""

        records: Sequence[OutboxRecord]
        stats: OutboxStats
        after: OutboxRecord | None

    @dataclass
    class SyncStatusRead(Message):
        """The state of the worker was read. It changes without a commit."""

        sync: SyncStatus

    def __init__(self) -> None:
        super().__init__()
        self._payload: tuple[msgspec.Raw, Content] | None = None
        self._problem = ""

    def on_mount(self) -> None:
        self.query_one("#list").border_title = "Refused records and dead letters"

    def above_list(self) -> Iterable[Widget]:
        yield Static(id="sync-problem", markup=False)

    def key(self, item: OutboxRecord) -> str:
        return str(item.id)

    def row(self, item: OutboxRecord, now: datetime) -> Row:
        return _row(item, self.labels[self.key(item)], now)

    def label(self, item: OutboxRecord) -> str:
        return entity_label(item.entity_type, item.entity_id, item.payload)

    def detail(self, item: OutboxRecord, width: int) -> Content:
        if self._payload is None or self._payload[0] is not item.payload:
            self._payload = item.payload, payload_text(item.payload)
        return _detail(item, self._payload[1], self.dashboard.now(), self.dashboard.zone)

    def explain_empty(self, notice: Notice) -> None:
        notice.update(
            "Nothing was refused",
            "A record that the server refuses is tried again, ten times, ever more slowly.",
            "After that it waits here as a dead letter until you retry or discard it.",
            role="$text-success",
        )

    async def read(self, workspace: "DashboardWorkspace") -> None:
        after = self.pages.after
        records = await _refused(workspace.outbox, after, PAGE_ROWS + 1)
        stats = await workspace.outbox.stats()
        self.post_message(self.RecordsRead(records, stats, after))
        await self.read_idle(workspace)

    async def read_idle(self, workspace: "DashboardWorkspace") -> None:
        self.post_message(self.SyncStatusRead(await workspace.sync.status()))

    @on(SyncStatusRead)
    def _sync_status_read(self, event: SyncStatusRead) -> None:
        problem, widget = sync_problem(event.sync), self.query_one("#sync-problem", Static)
        widget.display = problem is not None
        if problem is not None and problem.plain != self._problem:
            widget.update(problem)
        self._problem = problem.plain if problem is not None else ""

    @on(RecordsRead)
    def _records_read(self, event: RecordsRead) -> None:
        stats = event.stats
        if self.show_page(event.records, after=event.after, total=stats.retrying + stats.failed):
            self.query_one(TitleLine).update(
                f"{number(stats.retrying)} waiting, {counted(stats.failed, 'dead letter')}",
                styled(f"{number(stats.pending)} pending in all", "$foreground-muted"),
            )

    def action_retry(self) -> None:
        if (record := self.under_cursor) is not None:
            self._retry([record.id])

    def action_retry_all(self) -> None:
        if self.items:
            self._retry(None)

    def _retry(self, ids: list[int] | None) -> None:
        workspace = self.workspace
        if workspace is None:
            return

        async def retry() -> None:
            due = await workspace.outbox.retry(ids)
            self.dashboard.notify(f"{number(len(due))} due now", title="retry", markup=False)

        self.dashboard.start_job("retry", retry)

    def action_discard(self) -> None:
        from acode_tui.tui.dialogs.confirm import ConfirmDialog

        record = self.under_cursor
        if record is None:
            return
        if record.failed_at is None:
            text = "Only a dead letter can be discarded; this record will be tried again."
            self.notify(text, title="discard", severity="warning", markup=False)
            return
        question = (
            f"{record.entity_type} {record.entity_id}\n\nThe record ends unsent: PostgreSQL will not have this change. "
            "What is stored in the workspace stays."
        )

        def answered(yes: bool | None) -> None:
            if yes:
                self._discard(record.id)

        self.app.push_screen(ConfirmDialog("Discard this dead letter?", question, yes="discard"), answered)

    def _discard(self, record_id: int) -> None:
        workspace = self.workspace
        if workspace is None:
            return

        async def discard() -> None:
            count = await workspace.outbox.discard([record_id])
            self.dashboard.notify(f"{number(count)} discarded", title="dead letters", markup=False)

        self.dashboard.start_job("discard", discard)


async def _refused(outbox: Outbox, after: OutboxRecord | None, limit: int) -> tuple[OutboxRecord, ...]:
    """At most ``limit`` refused records after one of them: the dead letters, then those that are tried again."""
    dead: tuple[OutboxRecord, ...] = ()
    if after is None or after.failed_at is not None:
        dead = await outbox.list(status="failed", limit=limit, after=after)
        after = None
    retrying = await outbox.list(status="retrying", limit=limit - len(dead), after=after) if len(dead) < limit else ()
    return (*dead, *retrying)


def _row(record: OutboxRecord, label: str, now: datetime) -> Row:
    dead = record.failed_at is not None
    return {
        "state": ("✗ dead letter" if dead else "↻ retrying", "bad" if dead else "wait"),
        "entity": (label, "plain"),
        "tries": (str(record.attempts), "plain"),
        "due": ("never" if dead else countdown(record.next_attempt_at, now), "quiet" if dead else "plain"),
        "age": (span(now - record.created_at), "quiet"),
        "error": (short_refusal(record.last_error or "nothing"), "plain"),
    }


def _detail(record: OutboxRecord, payload: Content, now: datetime, zone: tzinfo | None) -> Content:
    if record.failed_at is not None:
        due = Content.assemble(("never; given up ", "$text-error"), stamp(record.failed_at, zone))
    elif record.next_attempt_at is not None:
        due = Content(f"{stamp(record.next_attempt_at, zone)}, {due_in(record.next_attempt_at, now)}")
    else:
        due = Content("at the next sync")
    return Content("\n").join(
        [
            labelled("key", record.idempotency_key, width=9),
            labelled("session", record.session_id, width=9),
            labelled("written", stamp(record.created_at, zone), width=9),
            labelled("refused", counted(record.attempts, "time"), width=9),
            Content.assemble(("next try ", "$foreground-muted"), due),
            Content.assemble(("error    ", "$foreground-muted"), block(record.last_error or "none", "$text-error")),
            Content(""),
            payload,
        ]
    )
