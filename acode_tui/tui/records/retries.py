"""Records that the server refused: those waiting for another try, and the dead letters."""

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

from acode_tui.storage.ports import Outbox, OutboxRecord, OutboxStats
from acode_tui.sync.ports import SyncStatus
from acode_tui.tui.bindings import RETRIES
from acode_tui.tui.records.record_text import entity_told, payload_told, refusal_told, standing_told
from acode_tui.tui.records.screen import PAGE_ROWS, RecordsScreen
from acode_tui.tui.style.text import block, styled
from acode_tui.tui.style.times import countdown, counted, due_in, number, span, stamp
from acode_tui.tui.widgets.keyed_table import Column, KeyedTable, Row
from acode_tui.tui.widgets.notice import Notice, TitleLine

if TYPE_CHECKING:
    from acode_tui.tui.ports import DashboardWorkspace


class RecordTable(KeyedTable):
    """Refused records, dead letters first."""

    def columns_for(self, width: int) -> tuple[Column, ...]:
        state, tries = Column("state", "state", 13), Column("tries", "tries", 5, right=True)
        error = Column("error", "the server said")
        if width < 100:
            return (state, Column("entity", "entity", 20 if width > 70 else 12), tries, error)
        due, age = Column("due", "next try", 8, right=True), Column("age", "waiting", 8, right=True)
        return (state, Column("entity", "entity", 28 if width < 160 else 56), tries, due, age, error)


class RetriesScreen(RecordsScreen[OutboxRecord]):
    """What was refused, why, and what to do about it."""

    BINDINGS: ClassVar[list[BindingType]] = [*RETRIES]
    CRUMB, ITEM, DETAIL = "retries", "record", "Record"
    OF_A_ROW = frozenset({*RecordsScreen.OF_A_ROW, "retry", "retry_all", "discard"})

    @dataclass
    class RecordsRead(Message):
        """A reading of the refused records."""

        records: Sequence[OutboxRecord]
        stats: OutboxStats
        after: OutboxRecord | None

    @dataclass
    class StandingRead(Message):
        """How the worker stands, which no commit tells of."""

        sync: SyncStatus

    DETAIL_TELLS_TIME = True

    def __init__(self) -> None:
        super().__init__()
        self._payload: tuple[msgspec.Raw, Content] | None = None
        self._standing = ""

    def on_mount(self) -> None:
        self.query_one("#list").border_title = "Refused records and dead letters"

    def above_list(self) -> Iterable[Widget]:
        yield Static(id="standing", markup=False)

    def table(self) -> KeyedTable:
        return RecordTable(id="records")

    def key(self, item: OutboxRecord) -> str:
        return str(item.id)

    def row(self, item: OutboxRecord, now: datetime) -> Row:
        return _row(item, self.told[self.key(item)], now)

    def tell(self, item: OutboxRecord) -> str:
        return entity_told(item.entity_type, item.entity_id, item.payload)

    def detail(self, item: OutboxRecord, width: int) -> Content:
        if self._payload is None or self._payload[0] is not item.payload:
            self._payload = item.payload, payload_told(item.payload)
        return _detail(item, self._payload[1], self.dashboard.now(), self.dashboard.zone)

    def say_why_none(self, notice: Notice) -> None:
        notice.say(
            "Nothing was refused",
            "A record that the server refuses is tried again, ten times, ever more slowly.",
            "After that it waits here as a dead letter until you retry or discard it.",
            role="$text-success",
        )

    async def read(self, workspace: "DashboardWorkspace") -> None:
        after = self.pages.here
        found = await _refused(workspace.outbox, after, PAGE_ROWS + 1)
        stats = await workspace.outbox.stats()
        self.post_message(self.RecordsRead(found, stats, after))
        await self.read_idle(workspace)

    async def read_idle(self, workspace: "DashboardWorkspace") -> None:
        self.post_message(self.StandingRead(await workspace.sync.status()))

    @on(StandingRead)
    def _standing_read(self, event: StandingRead) -> None:
        told, standing = standing_told(event.sync), self.query_one("#standing", Static)
        standing.display = told is not None
        if told is not None and told.plain != self._standing:
            standing.update(told)
        self._standing = told.plain if told is not None else ""

    @on(RecordsRead)
    def _read(self, event: RecordsRead) -> None:
        stats = event.stats
        if self.show_page(event.records, after=event.after, total=stats.retrying + stats.failed):
            self.query_one(TitleLine).say(
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
        from acode_tui.tui.dialogs.confirm import Confirm

        record = self.under_cursor
        if record is None:
            return
        if record.failed_at is None:
            said = "Only a dead letter can be discarded; this record will be tried again."
            self.notify(said, title="discard", severity="warning", markup=False)
            return
        question = (
            f"{record.entity_type} {record.entity_id}\n\nThe record ends unsent: PostgreSQL will not have this change. "
            "What is stored in the workspace stays."
        )

        def answered(yes: bool | None) -> None:
            if yes:
                self._discard(record.id)

        self.app.push_screen(Confirm("Discard this dead letter?", question, yes="discard"), answered)

    def _discard(self, record_id: int) -> None:
        workspace = self.workspace
        if workspace is None:
            return

        async def discard() -> None:
            count = await workspace.outbox.discard([record_id])
            self.dashboard.notify(f"{number(count)} discarded", title="dead letters", markup=False)

        self.dashboard.start_job("discard", discard)


async def _refused(outbox: Outbox, after: OutboxRecord | None, limit: int) -> tuple[OutboxRecord, ...]:
    """Refused records behind one of them: the dead letters, then those that wait for another try."""
    dead: tuple[OutboxRecord, ...] = ()
    if after is None or after.failed_at is not None:
        dead = await outbox.list(status="failed", limit=limit, after=after)
        after = None
    waiting = await outbox.list(status="retrying", limit=limit - len(dead), after=after) if len(dead) < limit else ()
    return (*dead, *waiting)


def _row(record: OutboxRecord, told: str, now: datetime) -> Row:
    dead = record.failed_at is not None
    return {
        "state": ("✗ dead letter" if dead else "↻ retrying", "bad" if dead else "wait"),
        "entity": (told, "plain"),
        "tries": (str(record.attempts), "plain"),
        "due": ("never" if dead else countdown(record.next_attempt_at, now), "quiet" if dead else "plain"),
        "age": (span(now - record.created_at), "quiet"),
        "error": (refusal_told(record.last_error or "nothing"), "plain"),
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
            Content.assemble(("key      ", "$foreground-muted"), styled(record.idempotency_key)),
            Content.assemble(("session  ", "$foreground-muted"), styled(record.session_id)),
            Content.assemble(("written  ", "$foreground-muted"), stamp(record.created_at, zone)),
            Content.assemble(("refused  ", "$foreground-muted"), counted(record.attempts, "time")),
            Content.assemble(("next try ", "$foreground-muted"), due),
            Content.assemble(("error    ", "$foreground-muted"), block(record.last_error or "none", "$text-error")),
            Content(""),
            payload,
        ]
    )
