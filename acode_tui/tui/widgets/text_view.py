"""Long text, shown line by line: only what is on screen is rendered, however long the text and its lines are."""

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
"""Columns that can be scrolled to; what stands beyond them shows when lines are wrapped."""

_LEAST_ROOM = 20
_BESIDE = 2
"""Columns between a line's number and the line."""

_MATCH = "$match-text on $match-background"
_SELECTED_MATCH = "bold $selected-match-text on $selected-match-background"


@dataclass(frozen=True, slots=True)
class TextLayout:
    """Lines, the rows that they are shown as with the line that each belongs to, the width of the widest, and what
    stands beside each line: a text of the same width for all, or nothing at all.
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
    """Cleaned, coloured lines, wrapped or scrolled sideways, with what stands beside them and one marked line."""

    BINDINGS: ClassVar[list[BindingType]] = [*SCROLL, *SIDEWAYS]

    class Resized(Message):
        """The width changed: wrapped lines want laying out anew."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, classes="frame")
        self._flow = TextLayout()
        self._marked = -1
        self._needle = ""

    @property
    def lines(self) -> Sequence[Content]:
        return self._flow.lines

    @property
    def numbered(self) -> bool:
        """Whether something stands beside the lines."""
        return bool(self._flow.labels)

    def show(self, flow: TextLayout) -> None:
        """Show other lines, from their beginning."""
        self._marked = -1
        self._take(flow)
        self.scroll_to(0, 0, animate=False, force=True)

    def reflow(self, flow: TextLayout) -> None:
        """The same lines, laid out anew; the one at the top stays there."""
        top = self.first_seen
        self._take(flow)
        if (row := self._row_of(top)) != round(self.scroll_y):
            self.scroll_to(y=row, animate=False, force=True)

    def _take(self, flow: TextLayout) -> None:
        self._flow = flow
        self.virtual_size = Size(flow.widest + flow.gutter, len(flow.rows))
        self.refresh()

    @property
    def room(self) -> int:
        """Columns for lines and what stands beside them."""
        return self.scrollable_content_region.width

    def highlight(self, needle: str) -> None:
        """Set off a text wherever it stands; empty for nothing."""
        self._needle = needle.casefold()
        self._marked = -1
        self.refresh()

    def mark(self, index: int) -> None:
        """Go to a line, and set it off."""
        self._marked = index
        self._show_marked()

    @property
    def first_seen(self) -> int:
        """The index of the line at the top."""
        rows = self._flow.rows
        return rows[min(max(round(self.scroll_y), 0), len(rows) - 1)][0] if rows else 0

    def _show_marked(self) -> None:
        row = self._row_of(self._marked)
        self.scroll_to(y=max(row - self.size.height // 2, 0), animate=False, force=True)
        self.refresh()

    def _row_of(self, line: int) -> int:
        """The first row of a line; of one that is not there any more the last row of all."""
        rows = self._flow.rows
        return min(bisect_left(rows, line, key=itemgetter(0)), max(len(rows) - 1, 0))

    def on_resize(self, event: events.Resize) -> None:
        self.post_message(self.Resized())

    def render_line(self, y: int) -> Strip:
        scroll_x, scroll_y = self.scroll_offset
        width, flow = self.scrollable_content_region.width, self._flow
        base = self.visual_style
        row = scroll_y + y
        if row >= len(flow.rows):
            return Strip.blank(width, base.rich_style)
        index, line = flow.rows[row]
        room = width - flow.gutter
        body = self._body(line, scroll_x, room, index == self._marked)
        if not flow.labels:
            return body
        first = row == 0 or flow.rows[row - 1][0] != index
        label = f"{flow.labels[index] if first else '':<{flow.gutter}}"
        return Strip([Segment(label, (base + self._get_style("$foreground-muted")).rich_style), *body], width)

    def _body(self, line: Content, start: int, room: int, marked: bool) -> Strip:
        """The columns of a line that are seen. It is cut to about these before it is rendered: it may be very long."""
        base = self.visual_style
        first, last, skipped = _seen(line.plain, start, room)
        if self._needle:
            line = _set_off(line, self._needle, marked, first, last)
        line = line[first:last] if (first, last) != (0, len(line)) else line
        segments = [
            Segment(text, (base + style).rich_style)
            for text, style in line.render(base, end="", parse_style=self._get_style)
        ]
        return Strip(segments).crop_extend(start - skipped, start - skipped + room, base.rich_style)

    def action_half_page(self, direction: int) -> None:
        self.scroll_relative(y=direction * max(self.size.height // 2, 1), animate=False)


def _seen(plain: str, start: int, room: int) -> tuple[int, int, int]:
    """From which character to which a line must be rendered for so many columns from ``start`` on, and how many columns
    are left out before.
    """
    if len(plain) <= room:
        return 0, len(plain), 0
    # A character takes two columns at most, and some take none.
    first = start // 2
    skipped = cell_len(plain[:first])
    last = first + start - skipped + room
    while last < len(plain) and cell_len(plain[first:last]) < start - skipped + room:
        last += room
    return first, min(last, len(plain)), skipped


def _set_off(line: Content, needle: str, marked: bool, first: int, last: int) -> Content:
    """The line with the needle set off where it stands between two characters."""
    plain = line.plain.casefold()
    at = plain.find(needle, max(first - len(needle), 0))
    # Letters that casefold to several would shift the places; such a line is set off as a whole.
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
    return Content(line.plain, [*line.spans, *(Span(*place, style) for place in found)]) if found else line


def lay_out_text(lines: list[Content], columns: int | None, labels: Sequence[str] = ()) -> TextLayout:
    """Lay lines out beside their labels: wrapped to so many columns, or with None one row each.

    Slow for long texts: meant for a worker thread.
    """
    beside = list(labels)
    if columns is None:
        widest = min(max((line.cell_length for line in lines), default=0), MAX_WIDTH)
        return TextLayout(lines, [(index, _head(line)) for index, line in enumerate(lines)], widest, beside)
    width = max(columns - _gutter(beside), _LEAST_ROOM)
    return TextLayout(
        lines, [(index, row) for index, line in enumerate(lines) for row in _fold(line, width)], width, beside
    )


def _gutter(labels: Sequence[str]) -> int:
    return len(labels[0]) + _BESIDE if labels else 0


def _head(line: Content) -> Content:
    return line if len(line) <= MAX_WIDTH else line[:MAX_WIDTH]


def _fold(line: Content, width: int) -> list[Content]:
    return [line] if line.cell_length <= width else line.wrap(width)
