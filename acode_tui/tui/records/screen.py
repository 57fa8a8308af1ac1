"""The base of the retries and conflicts screens: a list, one page at a time, above the record under the cursor.

A page is read again from the row after which it begins, so the cursor and the scroll stay where they are. A page that
has become empty is replaced by the one before it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import ClassVar, Generic, Protocol, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget

from acode_tui.domain.states import EntityType
from acode_tui.tui.list_screen import MIN_COLUMNS, ListScreen
from acode_tui.tui.messages import RunRequested
from acode_tui.tui.records.pager import RowPager
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.keyed_table import KeyedTable, Row
from acode_tui.tui.widgets.notice import Notice
from acode_tui.tui.widgets.text_panel import TextPanel
from acode_tui.tui.widgets.title_line import TitleLine

PAGE_ROWS = 200


class EntityRecord(Protocol):
    """A record about one entity."""

    @property
    def entity_type(self) -> EntityType: ...

    @property
    def entity_id(self) -> str: ...

    @property
    def session_id(self) -> str: ...


RecordItem = TypeVar("RecordItem", bound=EntityRecord)


class RecordsScreen(ListScreen, Generic[RecordItem]):
    """A subclass reads up to ``PAGE_ROWS + 1`` items after ``pages.after``, and passes them to ``show_page``."""

    AUTO_FOCUS = ""
    CRUMB: ClassVar[str]
    """The name of the screen, in its title."""
    ITEM: ClassVar[str]
    """What one record is called, in the message that it was copied."""
    DETAIL: ClassVar[str]
    """The title of the panel below the list."""
    ROW_ACTIONS: ClassVar[frozenset[str]] = frozenset({"copy", "copy_id"})
    """Actions that need a row; they are dim while the list is empty."""
    DETAIL_SHOWS_TIME: ClassVar[bool] = False
    """Whether the detail depends on the present time, and is drawn every second like the list."""

    def __init__(self) -> None:
        super().__init__()
        self.items: dict[str, RecordItem] = {}
        self.pages: RowPager[RecordItem] = RowPager(PAGE_ROWS)
        self.labels: dict[str, str] = {}
        """The label of each item, by its key. Payloads are decoded once a read, not every second."""
        self._page_changed = False
        self._described = ""

    def on_mount(self) -> None:
        self.set_interval(1.0, self._update_times)

    def key(self, item: RecordItem) -> str:
        """The key of the item's row."""
        raise NotImplementedError

    def label(self, item: RecordItem) -> str:
        """What the item is about, in a few words."""
        raise NotImplementedError

    def row(self, item: RecordItem, now: datetime) -> Row:
        """The item's row in the list."""
        raise NotImplementedError

    def detail(self, item: RecordItem, width: int) -> Content:
        """All of the item, laid out for ``width`` columns."""
        raise NotImplementedError

    def explain_empty(self, notice: Notice) -> None:
        """Say why the list is empty, and what would be in it."""
        raise NotImplementedError

    def above_list(self) -> Iterable[Widget]:
        """Widgets between the title and the list."""
        return ()

    def compose(self) -> ComposeResult:
        yield TitleLine(self.CRUMB)
        yield from self.above_list()
        with Vertical(classes="frame", id="list"):
            yield self.TABLE(id="records")
            yield Notice()
        yield TextPanel(self.DETAIL, id="detail")
        yield KeyBar()

    @property
    def is_loaded(self) -> bool:
        return bool(self.items)

    # The page

    def show_page(self, found: Sequence[RecordItem], *, after: RecordItem | None, total: int) -> bool:
        """Show the items that were read after ``after``. False if another page is asked for by now.

        ``total`` is the number of items on all pages.
        """
        if after is not self.pages.after:
            return False
        if not found and self.pages.step(-1):
            # The last page has become empty.
            self.refresh_now()
            return False
        self.items = {self.key(item): item for item in self.pages.take(found)}
        self.labels = {key: self.label(item) for key, item in self.items.items()}
        self.query_one("#list").border_subtitle = self.pages.label(total)
        self.refresh_bindings()
        table, notice = self.table, self.query_one(Notice)
        table.display = self.detail_panel.display = bool(found)
        notice.display = not found
        if not found:
            self.explain_empty(notice)
            return True
        self.fit()
        if self._page_changed:
            self._page_changed = False
            table.move_cursor(row=0)
        if self.focused is None:
            table.focus()
        return True

    def fit(self) -> None:
        """Draw the rows and the detail for the present width."""
        if self.items:
            super().fit()
            self._draw_rows()
            self._describe()

    def _draw_rows(self) -> None:
        now = self.dashboard.now()
        rows = [(key, self.row(item, now)) for key, item in self.items.items()]
        self.table.show(rows, at_once=self._page_changed)

    def _update_times(self) -> None:
        """Draw relative times again, without reading anything."""
        if self.is_current and self.items:
            self._draw_rows()
            if self.DETAIL_SHOWS_TIME:
                self._describe()

    @on(KeyedTable.RowHighlighted)
    def _describe(self) -> None:
        item, panel = self.under_cursor, self.detail_panel
        if item is not None:
            before, self._described = self._described, self.key(item)
            panel.update(self.detail(item, max(panel.content_size.width, MIN_COLUMNS)), home=before != self._described)

    @property
    def under_cursor(self) -> RecordItem | None:
        return self.items.get(self.table.cursor_key or "")

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "page":
            return self.pages.has_pages
        if action in self.ROW_ACTIONS:
            return bool(self.items) or None
        return True

    def action_page(self, direction: int) -> None:
        if self.pages.step(direction):
            self._page_changed = True
            self.refresh_now()

    @on(KeyedTable.RowSelected)
    def _open_run(self, event: KeyedTable.RowSelected) -> None:
        """Open the run that a record is about, at the entity."""
        item = self.items.get(event.key)
        if item is None:
            return
        if self.dashboard.team.is_open:
            # A refused record's run may not be in the team's database.
            self.notify("T shows this workspace's runs again; then enter opens it.", title="run", markup=False)
            return
        self.post_message(RunRequested(item.session_id, (item.entity_id,)))

    def action_copy(self) -> None:
        if self.under_cursor is not None:
            self.dashboard.copy(self.detail_panel.shown.plain, self.ITEM)

    def action_copy_id(self) -> None:
        if (item := self.under_cursor) is not None:
            self.dashboard.copy(item.entity_id, f"id of the {item.entity_type}")
