"""A list of recorded things, a page at a time, above the whole of the one under the cursor.

What retries and conflicts share. A page is read again from where it began, so the cursor and the scroll stay where they
are; a page whose last row is gone gives way to the one before it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Generic, Protocol, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget

from acode_tui.domain.errors import AcodeError
from acode_tui.domain.states import EntityType
from acode_tui.tui.live_screen import LiveScreen
from acode_tui.tui.style.paths import style_path
from acode_tui.tui.style.text import error_lines, styled
from acode_tui.tui.widgets.keybar import KeyBar
from acode_tui.tui.widgets.keyed_table import KeyedTable, Row
from acode_tui.tui.widgets.notice import Notice, TextPanel, TitleLine

Item = TypeVar("Item")


@dataclass(slots=True)
class Turning(Generic[Item]):
    """The way from the front to the page that is shown: the last row of each page before it."""

    size: int
    way: list[Item | None] = field(default_factory=lambda: [None])
    last: Item | None = None
    """The last row of the page that is shown, where another page follows."""

    @property
    def here(self) -> Item | None:
        """The row that the page goes on behind; None at the front."""
        return self.way[-1]

    @property
    def number(self) -> int:
        return len(self.way)

    def restart(self) -> None:
        self.way, self.last = [None], None

    def turn(self, direction: int) -> bool:
        """Step to the next page (1) or to the one before (-1); False where there is none."""
        if direction > 0 and self.last is not None:
            self.way.append(self.last)
        elif direction < 0 and len(self.way) > 1:
            self.way.pop()
        else:
            return False
        self.last = None
        return True

    def take(self, found: Sequence[Item]) -> Sequence[Item]:
        """The page's rows, of one more than fit; the surplus one tells that another page follows."""
        page = found[: self.size]
        self.last = page[-1] if len(found) > self.size else None
        return page

    def told(self, total: int) -> str:
        """Where this is, for the list's frame; nothing where one page holds all."""
        if self.number == 1 and self.last is None:
            return ""
        count = max(-(-total // self.size), self.number + (self.last is not None))
        return f"page {self.number} of {count:,}   [ ] other pages"


PAGE_ROWS = 200


class Recorded(Protocol):
    """What is written about one row of the workspace."""

    @property
    def entity_type(self) -> EntityType: ...

    @property
    def entity_id(self) -> str: ...


RecordItem = TypeVar("RecordItem", bound=Recorded)


class RecordsScreen(LiveScreen[None], Generic[RecordItem]):
    """A subclass reads ``PAGE_ROWS + 1`` items behind ``pages.here`` and hands them to ``show_page``."""

    CSS_PATH = style_path("screens.tcss")
    AUTO_FOCUS = ""
    CRUMB: ClassVar[str]
    ITEM: ClassVar[str]
    """How one of them is called, such as in what was copied."""
    DETAIL: ClassVar[str]
    """The title of the panel below the list."""
    OF_A_ROW: ClassVar[frozenset[str]] = frozenset({"copy", "copy_id"})
    """Actions that there must be a row for."""
    DETAIL_TELLS_TIME: ClassVar[bool] = False
    """Whether the detail says something from now, and is to be written every second as the list is."""

    def __init__(self) -> None:
        super().__init__()
        self.items: dict[str, RecordItem] = {}
        self.pages: Turning[RecordItem] = Turning(PAGE_ROWS)
        self._turned = False
        self._described = ""
        self.told: dict[str, str] = {}
        """What each item is about, by its key: read from payloads once, not every second."""

    def on_mount(self) -> None:
        self.set_interval(1.0, self._pass_time)

    def table(self) -> KeyedTable:
        """A new table for the items."""
        raise NotImplementedError

    def key(self, item: RecordItem) -> str:
        """What is the item's alone."""
        raise NotImplementedError

    def tell(self, item: RecordItem) -> str:
        """What the item is about."""
        raise NotImplementedError

    def row(self, item: RecordItem, now: datetime) -> Row:
        """The item's line in the list."""
        raise NotImplementedError

    def detail(self, item: RecordItem, width: int) -> Content:
        """All of the item, for so many columns."""
        raise NotImplementedError

    def say_why_none(self, notice: Notice) -> None:
        """Say why the list is empty, and what would be in it."""
        raise NotImplementedError

    def above_list(self) -> Iterable[Widget]:
        """What stands between the title and the list."""
        return ()

    def compose(self) -> ComposeResult:
        yield TitleLine(self.CRUMB)
        yield from self.above_list()
        with Vertical(classes="frame", id="list"):
            yield self.table()
            yield Notice()
        yield TextPanel(self.DETAIL, id="detail")
        yield KeyBar()

    def troubled(self, error: AcodeError) -> None:
        if not self.items:
            self.query_one(TitleLine).say("could not be read", styled("tried again by itself", "$text-warning"))
            self.query_one("#detail", TextPanel).say(Content("\n").join(error_lines(error)))

    # What is shown

    def show_page(self, found: Sequence[RecordItem], *, after: RecordItem | None, total: int) -> bool:
        """Show what was read behind ``after``, one of ``total``; False if that is not what is asked for any more."""
        if after is not self.pages.here:
            return False
        if not found and self.pages.turn(-1):
            # What the last page held is gone.
            self.refresh_now()
            return False
        self.items = {self.key(item): item for item in self.pages.take(found)}
        self.told = {key: self.tell(item) for key, item in self.items.items()}
        self.query_one("#list").border_subtitle = self.pages.told(total)
        self.refresh_bindings()
        table, notice = self.query_one(KeyedTable), self.query_one(Notice)
        table.display = self.query_one("#detail").display = bool(found)
        notice.display = not found
        if not found:
            self.say_why_none(notice)
            return True
        self._fit()
        if self._turned:
            self._turned = False
            table.move_cursor(row=0)
        if self.focused is None:
            table.focus()
        return True

    def on_resize(self) -> None:
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        """Write the rows and the detail for the room that there is."""
        if self.items:
            self.query_one(KeyedTable).lay_out(max(self.query_one("#list").content_size.width, 40))
            self._draw_rows()
            self._describe()

    def _draw_rows(self) -> None:
        now = self.dashboard.now()
        rows = [(key, self.row(item, now)) for key, item in self.items.items()]
        self.query_one(KeyedTable).show(rows, at_once=self._turned)

    def _pass_time(self) -> None:
        """Another second: what is told from now is told anew, without reading anything."""
        if self.is_current and self.items:
            self._draw_rows()
            if self.DETAIL_TELLS_TIME:
                self._describe()

    @on(KeyedTable.RowHighlighted)
    def _describe(self) -> None:
        item, panel = self.under_cursor, self.query_one("#detail", TextPanel)
        if item is not None:
            before, self._described = self._described, self.key(item)
            panel.say(self.detail(item, max(panel.content_size.width, 40)), home=before != self._described)

    @property
    def under_cursor(self) -> RecordItem | None:
        return self.items.get(self.query_one(KeyedTable).cursor_key or "")

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "page":
            return self.pages.number > 1 or self.pages.last is not None
        if action in self.OF_A_ROW:
            return bool(self.items) or None
        return True

    def action_page(self, direction: int) -> None:
        if self.pages.turn(direction):
            self._turned = True
            self.refresh_now()

    def action_copy(self) -> None:
        if self.under_cursor is not None:
            self.dashboard.copy(self.query_one("#detail", TextPanel).shown.plain, self.ITEM)

    def action_copy_id(self) -> None:
        if (item := self.under_cursor) is not None:
            self.dashboard.copy(item.entity_id, f"id of the {item.entity_type}")
