"""A table whose rows are known by key: a refresh paints the lines that differ, and moves neither cursor nor scroll.

The cursor is on a key, not on an index. Headings between rows are not rows: the cursor is never on one, and a click on
one does nothing.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.timer import Timer

from acode_tui.domain.display import cell_width
from acode_tui.tui.bindings import TABLE
from acode_tui.tui.messages import FieldsMessage
from acode_tui.tui.style.palette import Colours, Role
from acode_tui.tui.style.text import line

PADDING = 2
"""Columns that the padding of one cell takes."""

_MIN_WIDTH = 12
"""The least width of the column that takes the remaining width."""


class Column(msgspec.Struct, frozen=True):
    """A column: its key, its title, its width in terminal columns (0 for the remaining width) and its alignment."""

    key: str
    title: str
    width: int = 0
    right: bool = False


Cell = tuple[str, Role]
Row = dict[str, Cell]
"""A row's cells by column key: the recorded text, and the role that gives its colour."""


class LineRow(msgspec.Struct, frozen=True):
    """A row that is one line across all columns: its parts, each with its role and whether it is marked as found."""

    parts: tuple[tuple[str, Role, bool], ...]


def draw_line(row: LineRow, width: int, base: Style, colours: Colours | None, found: Style) -> Strip:
    """A line row of ``width`` columns, truncated where it does not fit."""
    segments: list[Segment] = []
    left = width
    for text, role, is_found in row.parts:
        shown = line(text, left)
        style = base if colours is None else base + Style.parse(colours.style(role))
        segments.append(Segment(shown, style + found if is_found else style))
        left -= cell_width(shown)
        if left <= 0:
            break
    return Strip(segments)


def widths(columns: Sequence[Column], width: int) -> tuple[int, ...]:
    """The width of each column where all of them together are ``width`` terminal columns wide."""
    fixed = sum(column.width + PADDING for column in columns)
    return tuple(column.width or max(width - fixed, _MIN_WIDTH) for column in columns)


def draw_row(
    row: Mapping[str, Cell],
    columns: Sequence[Column],
    room: Sequence[int],
    base: Style,
    colours: Colours | None,
) -> Strip:
    """A row; without ``colours`` every cell has the base style, as under the cursor."""
    segments = []
    for column, width in zip(columns, room, strict=True):
        value, role = row[column.key]
        style = base if colours is None else base + Style.parse(colours.style(role))
        segments.append(Segment(_fitted(value, width, column.right), style))
    return Strip(segments, sum(room) + PADDING * len(segments))


def draw_titles(columns: Sequence[Column], room: Sequence[int], base: Style) -> Strip:
    """The line of the column titles."""
    text = "".join(_fitted(column.title, width, column.right) for column, width in zip(columns, room, strict=True))
    return Strip([Segment(text, base)], len(text))


def draw_heading(text: str, width: int, base: Style, rule: Style) -> Strip:
    """A heading between rows, with a rule up to the end of the line."""
    title = f" {line(text, max(width - 4, 1))} "
    return Strip([Segment(title, base), Segment("─" * max(width - cell_width(title) - 1, 0), rule)])


def _fitted(value: str, width: int, right: bool) -> str:
    shown = line(value, width)
    gap = " " * (width - cell_width(shown))
    return f" {gap}{shown} " if right else f" {shown}{gap} "


__all__ = ["Cell", "Column", "KeyedTable", "LineRow", "Row"]

HEADER = 1
"""Lines above the rows: the column titles."""


class KeyedTable(ScrollView, can_focus=True):
    """Rows by key, fixed column widths, a row cursor."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [*TABLE]
    HOLDS_ROWS: ClassVar[bool] = False
    """Whether a refresh moves no row while the user moves the cursor or the mouse over the table."""
    HOLD_SECONDS: ClassVar[float] = 1.0
    """How long rows stay in place after the last key or move of the mouse."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--titles",
        "table--heading",
        "table--rule",
        "table--cursor",
        "table--hover",
        "table--found",
    }

    class RowHighlighted(FieldsMessage):
        """The cursor moved to another row."""

        table: "KeyedTable"
        key: str

        @property
        def control(self) -> "KeyedTable":
            return self.table

    class TitleClicked(FieldsMessage):
        """The user clicked on the title of a column."""

        table: "KeyedTable"
        column: str

        @property
        def control(self) -> "KeyedTable":
            return self.table

    class RowSelected(FieldsMessage):
        """The user selected a row: enter, or a click on the row under the cursor."""

        table: "KeyedTable"
        key: str

        @property
        def control(self) -> "KeyedTable":
            return self.table

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._columns: tuple[Column, ...] = ()
        self._room: tuple[int, ...] = ()
        self._width = 0
        self._rows: dict[str, Row | LineRow] = {}
        self._order: list[str] = []
        self._lines: list[int | str] = []
        """The content of each line below the titles: the index of a row, or the text of a heading."""
        self._line_of: list[int] = []
        self._cursor: str | None = None
        self._index = 0
        self._body_before = 0
        self._hovered: int | None = None
        self._drawn: dict[str, tuple[tuple[object, ...], Strip]] = {}
        self._headings: Mapping[str, str] | None = None
        self._hold_timer: Timer | None = None
        self._held: tuple[Sequence[tuple[str, Row | LineRow]], Mapping[str, str] | None] | None = None

    # Rows and columns

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns at the present width."""
        return self._columns

    @property
    def row_count(self) -> int:
        return len(self._order)

    @property
    def row_keys(self) -> list[str]:
        """The keys of all rows, from the top."""
        return list(self._order)

    @property
    def cursor_key(self) -> str | None:
        """The key of the row under the cursor."""
        return self._cursor

    @property
    def cursor_row(self) -> int:
        """The index of the row under the cursor; 0 where there are none."""
        return self._index

    def columns_for(self, width: int) -> tuple[Column, ...]:
        """The columns for ``width`` terminal columns."""
        raise NotImplementedError

    def lay_out(self, width: int) -> bool:
        """Choose the columns for a width; True if they changed."""
        chosen = self.columns_for(width)
        if (self._columns, self._width) == (chosen, width):
            return False
        self._columns, self._width, self._room = chosen, width, widths(chosen, width)
        self._drawn = {}
        self._measure()
        self.refresh()
        return True

    def show(
        self,
        rows: Sequence[tuple[str, Row | LineRow]],
        *,
        headings: Mapping[str, str] | None = None,
        at_once: bool = False,
    ) -> None:
        """Show these rows in this order, with a heading above each row whose key is in ``headings``.

        The cursor stays on its row, or at its index if that row is gone; the scroll position stays. While rows are held
        (``HOLDS_ROWS``) a new order waits, unless ``at_once``; new contents of the rows do not.
        """
        self._held = None
        if self._hold_timer and not at_once and [key for key, _ in rows] != self._order:
            self._held = (rows, headings)
            later = dict(rows)
            rows, headings = [(key, later.get(key, self._rows[key])) for key in self._order], self._headings
        self._headings = headings
        order = [key for key, _ in rows]
        lines: list[int | str] = []
        line_of: list[int] = []
        for index, key in enumerate(order):
            if headings and key in headings:
                lines.append(headings[key])
            line_of.append(len(lines))
            lines.append(index)
        changed = {key for key, row in rows if self._rows.get(key) != row}
        dirty = [y for y, line in enumerate(lines) if self._differs(y, line, lines, order, changed)]
        shorter = len(lines) < len(self._lines)
        resized = len(lines) != len(self._lines)
        self._rows, self._order, self._lines, self._line_of = dict(rows), order, lines, line_of
        self._drawn = {key: drawn for key, drawn in self._drawn.items() if key in self._rows and key not in changed}
        if resized:
            self._measure()
        before = self._cursor
        if order:
            self._index = order.index(before) if before in self._rows and before else min(self._index, len(order) - 1)
            self._cursor = order[self._index]
        else:
            self._index, self._cursor = 0, None
        self._paint(dirty, everything=shorter)
        if self._cursor != before and self._cursor is not None:
            self.post_message(self.RowHighlighted(self, self._cursor))

    @property
    def cursor_y(self) -> int:
        """The cursor's line, counted from the top of the table as it is scrolled now."""
        return HEADER + (self._line_of[self._index] if self._line_of else 0) - round(self.scroll_y)

    def move_cursor(self, *, row: int, scroll: bool = True) -> None:
        """Move the cursor to a row by its index, which is limited to the first and the last row."""
        if not self._order:
            return
        index = max(0, min(row, len(self._order) - 1))
        moved = index != self._index or self._cursor is None
        if moved:
            before, self._index, self._cursor = self._index, index, self._order[index]
            self._paint([self._line_of[before], self._line_of[index]])
            self.post_message(self.RowHighlighted(self, self._cursor))
        if scroll:
            self._scroll_to_cursor()

    def on_resize(self) -> None:
        """Keep the cursor in sight where the table gets smaller, if it was in sight."""
        before, self._body_before = self._body_before, self._body
        if self._line_of and round(self.scroll_y) <= self._line_of[self._index] < round(self.scroll_y) + before:
            self._scroll_to_cursor()

    def restyle(self) -> None:
        """Draw everything again, after the theme changed."""
        self._drawn = {}
        self.refresh()

    # Drawing

    def render_line(self, y: int) -> Strip:
        """A line of the widget: the titles, then the visible rows and headings."""
        width = self.size.width
        base = self.rich_style
        if y < HEADER:
            titles = draw_titles(self._columns, self._room, self.get_component_rich_style("table--titles"))
            return titles.adjust_cell_length(width, base)
        at = y - HEADER + round(self.scroll_y)
        if not self._columns or at >= len(self._lines):
            return Strip.blank(width, base)
        shown = self._lines[at]
        if isinstance(shown, str):
            style, rule = (self.get_component_rich_style(f"table--{name}") for name in ("heading", "rule"))
            return draw_heading(shown, width, style, rule).adjust_cell_length(width, base)
        return self._row_line(shown, at, width)

    def _row_line(self, index: int, at: int, width: int) -> Strip:
        key = self._order[index]
        marked, hovered = index == self._index, at == self._hovered
        state = (marked, hovered, width, self.has_focus, self.app.theme)
        known = self._drawn.get(key)
        if known is not None and known[0] == state:
            return known[1]
        base = self.rich_style
        if marked or hovered:
            base += self.get_component_rich_style("table--cursor" if marked else "table--hover")
        colours = None if marked else Colours.of(self.app.theme_variables)
        row = self._rows[key]
        if isinstance(row, LineRow):
            found = self.get_component_rich_style("table--found", partial=True)
            drawn = draw_line(row, self._width, base, colours, found).adjust_cell_length(width, base)
        else:
            drawn = draw_row(row, self._columns, self._room, base, colours).adjust_cell_length(width, base)
        self._drawn[key] = (state, drawn)
        return drawn

    def _differs(self, y: int, line: int | str, lines: list[int | str], order: list[str], changed: set[str]) -> bool:
        """Whether a line changes."""
        if y >= len(self._lines):
            return True
        now = self._lines[y]
        if isinstance(line, str) or isinstance(now, str):
            return line != now
        key = order[line]
        # A row that moved has another key on this line; the cursor moves with its row.
        return key != self._order[now] or key in changed

    def _paint(self, lines: Sequence[int], *, everything: bool = False) -> None:
        """Refresh these lines, of which those out of sight cost nothing; the whole widget if there are many."""
        top = round(self.scroll_y)
        seen = [y for y in lines if top <= y < top + self._body]
        if everything or len(seen) > self._body // 2:
            self.refresh()
            return
        for y in seen:
            self.refresh_line(y + HEADER)

    @property
    def _body(self) -> int:
        """The number of lines for rows and headings."""
        return max(self.size.height - HEADER, 0)

    def _measure(self) -> None:
        self.virtual_size = Size(self._width, HEADER + len(self._lines))

    # Holding rows in place while the user moves the cursor or the mouse

    def _hold_rows(self) -> None:
        """Hold the rows in place for a moment, from now on."""
        if not self.HOLDS_ROWS:
            return
        if self._hold_timer is not None:
            self._hold_timer.stop()
        self._hold_timer = self.set_timer(self.HOLD_SECONDS, self._release_rows)

    def _release_rows(self) -> None:
        self._hold_timer = None
        if self._held is not None:
            rows, headings = self._held
            self.show(rows, headings=headings)

    # The mouse

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self._hold_rows()
        self._hover(event.y - HEADER + round(self.scroll_y) if event.y >= HEADER else None)

    def on_leave(self) -> None:
        self._hover(None)

    def _hover(self, at: int | None) -> None:
        if at == self._hovered:
            return
        before, self._hovered = self._hovered, at
        self._paint([y for y in (before, at) if y is not None and y < len(self._lines)])

    def on_click(self, event: events.Click) -> None:
        event.stop()
        at = event.y - HEADER + round(self.scroll_y)
        if event.y < HEADER:
            self._title_clicked(event.x)
            return
        if at >= len(self._lines):
            return
        index = self._lines[at]
        if isinstance(index, str):
            return
        if index == self._index:
            self.action_select_cursor()
        else:
            self.move_cursor(row=index, scroll=False)

    def _title_clicked(self, x: int) -> None:
        end = 0
        for column, room in zip(self._columns, self._room, strict=True):
            end += room + PADDING
            if x < end:
                self.post_message(self.TitleClicked(self, column.key))
                return

    # Keys

    def action_select_cursor(self) -> None:
        if self._cursor is not None:
            self.post_message(self.RowSelected(self, self._cursor))

    def action_cursor_down(self) -> None:
        self._step_to(self._index + 1)

    def action_cursor_up(self) -> None:
        self._step_to(self._index - 1)

    def action_top(self) -> None:
        self._step_to(0)

    def action_bottom(self) -> None:
        self._step_to(len(self._order) - 1)

    def action_half_page(self, direction: int) -> None:
        self._step_to(self._index + direction * max(self._body // 2, 1))

    def action_turn(self, direction: int) -> None:
        self._step_to(self._index + direction * max(self._body - 1, 1))

    def _step_to(self, row: int) -> None:
        self._hold_rows()
        self.move_cursor(row=row)

    def _scroll_to_cursor(self) -> None:
        """Scroll the cursor's line into sight, with a heading right above it, and no further."""
        at = self._line_of[self._index]
        # Before the first layout the height is 0.
        first = at - 1 if at and isinstance(self._lines[at - 1], str) else at
        top = round(self.scroll_y)
        if first < top or not self._body:
            self.scroll_to(y=first, animate=False, force=True)
        elif at >= top + self._body:
            self.scroll_to(y=at - self._body + 1, animate=False, force=True)
