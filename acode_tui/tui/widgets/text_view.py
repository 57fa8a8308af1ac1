"""A view of long text. Only the lines on screen are rendered, however long the text and its lines are."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.binding import BindingType
from textual.content import Content, Span
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from acode_tui.tui.bindings import SCROLL, SIDEWAYS

MAX_WIDTH = 10_000
"""Columns that can be scrolled to; the rest of a longer line is seen when lines are wrapped."""

_MIN_WIDTH = 20
_LABEL_GAP = 2
"""Columns between a line's label and the line."""

_MATCH = "underline $match-text on $match-background"
_SELECTED_MATCH = "bold underline $selected-match-text on $selected-match-background"


@dataclass(frozen=True, slots=True)
class TextLayout:
    """A text laid out for a view: its lines; its rows, each with the index of its line; the width of the widest row;
    and a label for each line, such as its number, all of one width, or none.
    """

    lines: list[Content] = field(default_factory=list)
    rows: list[tuple[int, Content]] = field(default_factory=list)
    widest: int = 0
    labels: list[str] = field(default_factory=list)

    @property
    def gutter(self) -> int:
        """Columns that the labels take."""
        return _gutter(self.labels)


class TextView(ScrollView, can_focus=True):
    """Cleaned lines, wrapped or scrolled sideways, with labels beside them and one marked line."""

    BINDINGS: ClassVar[list[BindingType]] = [*SCROLL, *SIDEWAYS]

    class Resized(Message):
        """The width changed: wrapped lines must be laid out again."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, classes="frame")
        self._text_layout = TextLayout()
        self._marked = -1
        self._needle = ""

    @property
    def lines(self) -> Sequence[Content]:
        return self._text_layout.lines

    @property
    def numbered(self) -> bool:
        """Whether the lines have labels."""
        return bool(self._text_layout.labels)

    def show(self, layout: TextLayout) -> None:
        """Show another text from its beginning."""
        self._marked = -1
        self._set_text_layout(layout)
        self.scroll_to(0, 0, animate=False, force=True)

    def reflow(self, layout: TextLayout) -> None:
        """Show the same text laid out again; the line at the top stays there."""
        top = self.first_visible
        self._set_text_layout(layout)
        if (row := self._row_of(top)) != round(self.scroll_y):
            self.scroll_to(y=row, animate=False, force=True)

    def _set_text_layout(self, layout: TextLayout) -> None:
        self._text_layout = layout
        self.virtual_size = Size(layout.widest + layout.gutter, len(layout.rows))
        self.refresh()

    @property
    def room(self) -> int:
        """Columns for lines and their labels."""
        return self.scrollable_content_region.width

    def highlight(self, needle: str) -> None:
        """Highlight every occurrence of a text, ignoring case; an empty one highlights nothing."""
        self._needle = needle.casefold()
        self._marked = -1
        self.refresh()

    def mark(self, index: int) -> None:
        """Scroll to a line and mark it."""
        self._marked = index
        self._show_marked()

    @property
    def first_visible(self) -> int:
        """The index of the line at the top."""
        rows = self._text_layout.rows
        return rows[min(max(round(self.scroll_y), 0), len(rows) - 1)][0] if rows else 0

    def _show_marked(self) -> None:
        row = self._row_of(self._marked)
        self.scroll_to(y=max(row - self.size.height // 2, 0), animate=False, force=True)
        self.refresh()

    def _row_of(self, line: int) -> int:
        """The first row of a line; the last row of all if there is no such line."""
        rows = self._text_layout.rows
        return min(bisect_left(rows, line, key=itemgetter(0)), max(len(rows) - 1, 0))

    def on_resize(self, event: events.Resize) -> None:
        self.post_message(self.Resized())

    def render_line(self, y: int) -> Strip:
        scroll_x, scroll_y = self.scroll_offset
        width, text = self.scrollable_content_region.width, self._text_layout
        base = self.visual_style
        row = scroll_y + y
        if row >= len(text.rows):
            return Strip.blank(width, base.rich_style)
        index, line = text.rows[row]
        room = width - text.gutter
        body = self._body(line, scroll_x, room, index == self._marked)
        if not text.labels:
            return body
        first = row == 0 or text.rows[row - 1][0] != index
        label = f"{text.labels[index] if first else '':<{text.gutter}}"
        return Strip([Segment(label, (base + self._get_style("$foreground-muted")).rich_style), *body], width)

    def _body(self, line: Content, start: int, room: int, marked: bool) -> Strip:
        """The visible columns of a line, which may be very long: it is cut to about these before it is rendered."""
        base = self.visual_style
        first, last, skipped = _visible_part(line.plain, start, room)
        if self._needle:
            line = _highlighted(line, self._needle, marked, first, last)
        line = line[first:last] if (first, last) != (0, len(line)) else line
        segments = [
            Segment(text, (base + style).rich_style)
            for text, style in line.render(base, end="", parse_style=self._get_style)
        ]
        return Strip(segments).crop_extend(start - skipped, start - skipped + room, base.rich_style)

    def action_half_page(self, direction: int) -> None:
        self.scroll_relative(y=direction * max(self.size.height // 2, 1), animate=False)


def _visible_part(plain: str, start: int, room: int) -> tuple[int, int, int]:
    """The range of characters to render for ``room`` columns from column ``start`` on, and the columns before it."""
    if len(plain) <= room:
        return 0, len(plain), 0
    # A character takes two columns at most, and some take none.
    first = start // 2
    skipped = cell_len(plain[:first])
    last = first + start - skipped + room
    while last < len(plain) and cell_len(plain[first:last]) < start - skipped + room:
        last += room
    return first, min(last, len(plain)), skipped


def _highlighted(line: Content, needle: str, marked: bool, first: int, last: int) -> Content:
    """The line with the needle highlighted between two characters."""
    plain = line.plain.casefold()
    at = plain.find(needle, max(first - len(needle), 0))
    # A letter that casefolds to several would shift the positions: such a line is highlighted as a whole.
    if at >= 0 and len(plain) != len(line.plain):
        return line.stylize(_MATCH)
    found: list[tuple[int, int]] = []
    while 0 <= at < last:
        if found and found[-1][1] == at:
            found[-1] = (found[-1][0], at + len(needle))
        else:
            found.append((at, at + len(needle)))
        at = plain.find(needle, at + len(needle))
    style = _SELECTED_MATCH if marked else _MATCH
    return Content(line.plain, [*line.spans, *(Span(*positions, style) for positions in found)]) if found else line


def lay_out_text(lines: list[Content], columns: int | None, labels: Sequence[str] = ()) -> TextLayout:
    """Lay lines out beside their labels: wrapped to ``columns`` columns, or one row each with None.

    Slow for long texts: call it in a thread.
    """
    all_labels = list(labels)
    if columns is None:
        widest = min(max((line.cell_length for line in lines), default=0), MAX_WIDTH)
        return TextLayout(lines, [(index, _head(line)) for index, line in enumerate(lines)], widest, all_labels)
    width = max(columns - _gutter(all_labels), _MIN_WIDTH)
    return TextLayout(
        lines, [(index, row) for index, line in enumerate(lines) for row in _fold(line, width)], width, all_labels
    )


def _gutter(labels: Sequence[str]) -> int:
    return len(labels[0]) + _LABEL_GAP if labels else 0


def _head(line: Content) -> Content:
    return line if len(line) <= MAX_WIDTH else line[:MAX_WIDTH]


def _fold(line: Content, width: int) -> list[Content]:
    return [line] if line.cell_length <= width else line.wrap(width)
