"""A table whose rows are known by key: a refresh changes the cells that differ, and moves neither cursor nor scroll.

Textual's own table keeps the cursor's *index* when rows come and go, so it would silently sit on another row, and it
scrolls the cursor into view whenever that index changes. Both are put right here, for every list of the dashboard.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.binding import BindingType
from textual.strip import Strip
from textual.widgets import DataTable

from acode_tui.domain.display import cell_width
from acode_tui.tui.bindings import TABLE
from acode_tui.tui.palette import Colours, Role
from acode_tui.tui.text import cell, line

PADDING = 2
"""Columns that the padding of one cell takes."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its key, its title, its width in terminal columns (0 takes what is left) and which way it leans."""

    key: str
    title: str
    width: int = 0
    right: bool = False


Cell = tuple[str, Role]
Row = dict[str, Cell]
"""A row's cells by column key: text as recorded, and the role whose colour it takes."""


class KeyedTable(DataTable[Text]):
    """Rows by key, fixed column widths, a row cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [*TABLE]

    def __init__(self, *, id: str | None = None) -> None:
        self._holding = False
        self._laid_out: tuple[tuple[Column, ...], int] | None = None
        self._shown: dict[str, Row] = {}
        self._order: list[str] = []
        self._widths: list[int] = []
        self._drawn: dict[str, tuple[tuple[object, ...], Strip]] = {}
        super().__init__(id=id, cursor_type="row", zebra_stripes=False, show_header=True)

    @property
    def cursor_key(self) -> str | None:
        """The key of the row under the cursor."""
        if not self.row_count or not 0 <= self.cursor_row < self.row_count:
            return None
        return self.ordered_rows[self.cursor_row].key.value

    @property
    def keys_shown(self) -> list[str]:
        """The keys of all rows, from the top."""
        return [row.key.value or "" for row in self.ordered_rows]

    def columns_for(self, width: int) -> tuple[Column, ...]:
        """The columns that suit so many terminal columns."""
        raise NotImplementedError

    def lay_out(self, width: int) -> bool:
        """Set the columns for a width; answers whether they changed, in which case the rows are gone."""
        chosen = self.columns_for(width)
        if self._laid_out == (chosen, width):
            return False
        self._laid_out = (chosen, width)
        self.clear(columns=True)
        self._shown = {}
        self._order = []
        self._drawn = {}
        self._widths = []
        fixed = sum(column.width + PADDING for column in chosen)
        for column in chosen:
            room = column.width or max(width - fixed, 12)
            self._widths.append(room)
            title = cell(column.title, right=column.right)
            self.add_column(title, key=column.key, width=room)
        return True

    def show(self, rows: Sequence[tuple[str, Row]], *, keep: str | None = None) -> None:
        """Show these rows in this order. The cursor stays on its row; if that is gone it stays at its height.

        ``keep`` names the row to stand on after ``lay_out`` has emptied the table.
        """
        if self._laid_out is None or (self._is_shown(rows) and keep in (None, self.cursor_key)):
            return
        under, index, scroll = keep or self.cursor_key, self.cursor_row, self.scroll_offset
        self._holding = True
        with self.app.batch_update():
            wanted = {key for key, _ in rows}
            gone = [key for key in self._shown if key not in wanted]
            if len(gone) > len(self._shown) // 2:
                # Another page: rows are faster made anew than taken out one by one.
                self.clear()
                self._shown, self._drawn, gone = {}, {}, []
            for key in gone:
                self.remove_row(key)
                del self._shown[key]
                self._drawn.pop(key, None)
            for key, row in rows:
                self._put(key, row)
            self._arrange([key for key, _ in rows])
            self._order = [key for key, _ in rows]
            if rows:
                row_index = self.get_row_index(under) if under in wanted and under else min(index, len(rows) - 1)
                self.move_cursor(row=row_index, scroll=False)
            self.scroll_to(scroll.x, scroll.y, animate=False, force=True)
        self.call_after_refresh(self._release)

    def _is_shown(self, rows: Sequence[tuple[str, Row]]) -> bool:
        return self._order == [key for key, _ in rows] and all(self._shown[key] == row for key, row in rows)

    def restyle(self) -> None:
        """Write every cell anew, after the theme changed."""
        colours = self._colours()
        self._drawn = {}
        for key, row in self._shown.items():
            for column in self._columns:
                self.update_cell(key, column.key, self._text(row[column.key], column, colours))

    def render_line(self, y: int) -> Strip:
        """One row, drawn straight from its cells: widths are fixed and a row is one line, so nothing is measured.

        Textual's own way renders every cell as a document of its own, which takes a page of fifty rows past a frame.
        """
        if y < self.header_height or self._laid_out is None:
            return super().render_line(y)
        index = y - self.header_height + round(self.scroll_y)
        width = self.size.width
        if index >= len(self._order):
            return Strip.blank(width, self.rich_style)
        row = self._shown[self._order[index]]
        marked = index == self.cursor_row
        hovered = index == self.hover_row and self._show_hover_cursor
        state = (index, marked, hovered, width, self.has_focus, self.app.theme)
        known = self._drawn.get(self._order[index])
        if known is not None and known[0] == state:
            return known[1]
        strip = self._draw(row, index, marked, hovered).adjust_cell_length(width, self.rich_style)
        self._drawn[self._order[index]] = (state, strip)
        return strip

    def _draw(self, row: Row, index: int, marked: bool, hovered: bool) -> Strip:
        base = self.rich_style
        if marked or hovered:
            base += self.get_component_rich_style("datatable--cursor" if marked else "datatable--hover")
        base += Style.from_meta({"row": index, "column": 0})
        colours = self._colours()
        segments = []
        for column, width in zip(self._columns, self._widths, strict=True):
            value, role = row[column.key]
            shown = line(value, width)
            gap = " " * (width - cell_width(shown))
            text = f" {gap}{shown} " if column.right else f" {shown}{gap} "
            segments.append(Segment(text, base if marked else base + Style.parse(colours.style(role))))
        return Strip(segments, sum(self._widths) + PADDING * len(segments))

    @property
    def _columns(self) -> tuple[Column, ...]:
        return self._laid_out[0] if self._laid_out is not None else ()

    def _put(self, key: str, row: Row) -> None:
        before = self._shown.get(key)
        if before == row:
            return
        colours = self._colours()
        self._shown[key] = row
        self._drawn.pop(key, None)
        if before is None:
            self.add_row(*(self._text(row[column.key], column, colours) for column in self._columns), key=key)
            return
        for column in self._columns:
            if before[column.key] != row[column.key]:
                self.update_cell(key, column.key, self._text(row[column.key], column, colours))

    def _arrange(self, order: list[str]) -> None:
        if self.keys_shown == order:
            return
        first = self._columns[0].key
        rank = {id(self.get_cell(key, first)): position for position, key in enumerate(order)}
        self.sort(first, key=lambda shown: rank[id(shown)])

    def _colours(self) -> Colours:
        return Colours.of(self.app.theme_variables)

    @staticmethod
    def _text(shown: Cell, column: Column, colours: Colours) -> Text:
        value, role = shown
        return cell(value, colours.style(role), right=column.right)

    def _release(self) -> None:
        self._holding = False

    def _scroll_cursor_into_view(self, animate: bool = False) -> None:
        if not self._holding:
            super()._scroll_cursor_into_view(animate=animate)

    def action_half_page(self, direction: int) -> None:
        step = max((self.size.height - self.header_height) // 2, 1)
        self.move_cursor(row=self.cursor_row + direction * step)
