"""Records that the server refused: those waiting for another try, and the dead letters."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, ClassVar

import msgspec
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message

from acode_tui.domain.errors import AcodeError
from acode_tui.storage.ports import Outbox, OutboxRecord, OutboxStats
from acode_tui.tui.bindings import RETRIES
from acode_tui.tui.faults import told_fault
from acode_tui.tui.live import LiveScreen
from acode_tui.tui.styles import style_path
from acode_tui.tui.text import block, pretty_json, styled
from acode_tui.tui.times import countdown, counted, number, span, stamp
from acode_tui.tui.turning import Turning
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.keyed_table import Column, KeyedTable, Row
from acode_tui.tui.widgets.notice import Notice
from acode_tui.tui.widgets.scrolling import TextPanel
from acode_tui.tui.widgets.title import TitleLine

if TYPE_CHECKING:
    from acode_tui.tui.ports import DashboardWorkspace

PAGE_ROWS = 200
"""A page of the list: dead letters come first, those that are tried again follow them."""


class RecordTable(KeyedTable):
    """Refused records, dead letters first."""

    def columns_for(self, width: int) -> tuple[Column, ...]:
        narrow = width < 100
        entity = Column("entity", "entity", 20 if narrow else 24)
        tries = Column("tries", "tries", 5, right=True)
        due = Column("due", "next try", 11, right=True)
        error = Column("error", "the server said")
        if narrow:
            return (Column("state", "state", 12), entity, tries, error)
        return (Column("state", "state", 13), entity, tries, due, Column("age", "waiting", 9, right=True), error)


class RetriesScreen(LiveScreen[None]):
    """What was refused, why, and what to do about it."""

    CSS_PATH = style_path("screens.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [*RETRIES]
    AUTO_FOCUS = ""

    @dataclass
    class RecordsRead(Message):
        """A reading of the refused records."""

        records: Sequence[OutboxRecord]
        stats: OutboxStats
        after: OutboxRecord | None

    def __init__(self) -> None:
        super().__init__()
        self._records: dict[str, OutboxRecord] = {}
        self._pages: Turning[OutboxRecord] = Turning(PAGE_ROWS)
        self._turned = False

    def compose(self) -> ComposeResult:
        yield TitleLine("retries")
        with Vertical(classes="frame", id="list"):
            yield RecordTable(id="records")
            yield Notice()
        yield TextPanel("Record", id="detail")
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one("#list").border_title = "Refused records and dead letters"

    def troubled(self, error: AcodeError) -> None:
        if not self._records:
            self.query_one(TitleLine).say("could not be read", styled("tried again by itself", "$text-warning"))
            self.query_one("#detail", TextPanel).say(Content("\n").join(told_fault(error)))

    async def read(self, workspace: "DashboardWorkspace") -> None:
        after = self._pages.here
        found = await _refused(workspace.outbox, after, PAGE_ROWS + 1)
        stats = await workspace.outbox.stats()
        self.post_message(self.RecordsRead(found, stats, after))

    @on(RecordsRead)
    def _read(self, event: RecordsRead) -> None:
        if event.after is not self._pages.here:
            return
        if not event.records and self._pages.turn(-1):
            # What the last page held has been retried, discarded or sent.
            self.refresh_now()
            return
        now = self.dashboard.now()
        stats = event.stats
        self._records = {str(record.id): record for record in self._pages.take(event.records)}
        self.query_one(TitleLine).say(
            f"{number(stats.retrying)} waiting, {number(stats.failed)} dead letter{'' if stats.failed == 1 else 's'}",
            styled(f"{number(stats.pending)} pending in all", "$foreground-muted"),
        )
        self.query_one("#list").border_subtitle = self._pages.told(stats.retrying + stats.failed)
        self.refresh_bindings()
        table, notice = self.query_one(RecordTable), self.query_one(Notice)
        table.display = bool(event.records)
        notice.display = not event.records
        self.query_one("#detail").display = bool(event.records)
        if not event.records:
            notice.say(
                "Nothing was refused",
                "A record that the server refuses is tried again, ten times, ever more slowly.",
                "After that it waits here as a dead letter until you retry or discard it.",
                role="$text-success",
            )
            return
        table.lay_out(max(self.query_one("#list").content_size.width, 40))
        table.show([(key, _row(record, now)) for key, record in self._records.items()], at_once=self._turned)
        if self._turned:
            self._turned = False
            table.move_cursor(row=0)
        if self.focused is None:
            table.focus()
        self._describe()

    @on(KeyedTable.RowHighlighted)
    def _describe(self) -> None:
        record = self._under_cursor()
        if record is not None:
            self.query_one("#detail", TextPanel).say(_detail(record, self.dashboard.now(), self.dashboard.zone))

    def _under_cursor(self) -> OutboxRecord | None:
        key = self.query_one(RecordTable).cursor_key
        return self._records.get(key) if key is not None else None

    def action_copy(self) -> None:
        if self._under_cursor() is not None:
            self.dashboard.copy(self.query_one("#detail", TextPanel).shown.plain, "record")

    def action_copy_id(self) -> None:
        if (record := self._under_cursor()) is not None:
            self.dashboard.copy(record.entity_id, f"id of the {record.entity_type}")

    def action_page(self, direction: int) -> None:
        if self._pages.turn(direction):
            self._turned = True
            self.refresh_now()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "page":
            return self._pages.number > 1 or self._pages.last is not None
        if action in ("retry", "retry_all", "discard", "copy", "copy_id"):
            return bool(self._records) or None
        return True

    def action_retry(self) -> None:
        if (record := self._under_cursor()) is not None:
            self._retry([record.id])

    def action_retry_all(self) -> None:
        if self._records:
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
        from acode_tui.tui.screens.confirm import Confirm

        record = self._under_cursor()
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


def _row(record: OutboxRecord, now: datetime) -> Row:
    dead = record.failed_at is not None
    return {
        "state": ("✗ dead letter" if dead else "↻ retrying", "bad" if dead else "wait"),
        "entity": (f"{record.entity_type} {record.entity_id[:8]}…", "plain"),
        "tries": (str(record.attempts), "plain"),
        "due": ("never" if dead else countdown(record.next_attempt_at, now), "quiet" if dead else "plain"),
        "age": (span(now - record.created_at), "quiet"),
        "error": (record.last_error or "nothing", "plain"),
    }


def _detail(record: OutboxRecord, now: datetime, zone: tzinfo | None) -> Content:
    if record.failed_at is not None:
        due = Content.assemble(("never; given up ", "$text-error"), stamp(record.failed_at, zone))
    elif record.next_attempt_at is not None:
        due = Content.assemble(f"{stamp(record.next_attempt_at, zone)}, in ", countdown(record.next_attempt_at, now))
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
            Content(pretty_json(msgspec.json.decode(record.payload))),
        ]
    )
