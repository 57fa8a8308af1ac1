"""Long text, shown line by line: only what is on screen is rendered, however long the text is."""

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from acode_tui.tui.bindings import SCROLL, SIDEWAYS

MAX_WIDTH = 10_000
"""Columns that can be scrolled to; what stands beyond them shows when lines are wrapped."""


_FOUND = "$found-text on $found-ground"
_HERE = "bold $here-text on $here-ground"

Flow = tuple[list[Content], list[tuple[int, Content]], int]
"""Lines, the rows that they are shown as with the line that each belongs to, and the width of the widest."""


class TextView(ScrollView, can_focus=True):
    """Cleaned, coloured lines, wrapped or scrolled sideways, with line numbers and one marked line."""

    BINDINGS: ClassVar[list[BindingType]] = [*SCROLL, *SIDEWAYS]

    class Resized(Message):
        """The width changed: wrapped lines want laying out anew."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, classes="frame")
        self._lines: list[Content] = []
        self._shown: list[tuple[int, Content]] = []
        self._first_number = 1
        self._numbered = False
        self._marked = -1
        self._needle = ""

    @property
    def lines(self) -> Sequence[Content]:
        return self._lines

    def show(self, flow: "Flow", *, numbered: bool, first_number: int = 1) -> None:
        """Show other lines, from their beginning."""
        self._numbered = numbered
        self._first_number = first_number
        self._marked = -1
        self.reflow(flow)
        self.scroll_to(0, 0, animate=False, force=True)

    def reflow(self, flow: "Flow") -> None:
        """The same lines, laid out anew."""
        self._lines, self._shown, widest = flow
        self.virtual_size = Size(widest + self._gutter, len(self._shown))
        self.refresh()

    @property
    def room(self) -> int:
        """Columns for text beside the line numbers."""
        return max(self.scrollable_content_region.width - self._gutter, 20)

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
        row = min(max(round(self.scroll_y), 0), len(self._shown) - 1)
        return self._shown[row][0] if self._shown else 0

    def _show_marked(self) -> None:
        row = next((row for row, (index, _) in enumerate(self._shown) if index == self._marked), 0)
        self.scroll_to(y=max(row - self.size.height // 2, 0), animate=False, force=True)
        self.refresh()

    @property
    def _gutter(self) -> int:
        return len(str(self._first_number + len(self._lines))) + 2 if self._numbered else 0

    def on_resize(self, event: events.Resize) -> None:
        self.post_message(self.Resized())

    def render_line(self, y: int) -> Strip:
        scroll_x, scroll_y = self.scroll_offset
        width = self.scrollable_content_region.width
        base = self.visual_style
        row = scroll_y + y
        if row >= len(self._shown):
            return Strip.blank(width, base.rich_style)
        index, line = self._shown[row]
        if self._needle:
            line = _set_off(line, self._needle, index == self._marked)
        segments = [
            Segment(text, (base + style).rich_style)
            for text, style in line.render(base, end="", parse_style=self._get_style)
        ]
        body = Strip(segments, line.cell_length)
        body = body.crop_extend(scroll_x, scroll_x + width - self._gutter, base.rich_style)
        if not self._numbered:
            return body
        first = row == 0 or self._shown[row - 1][0] != index
        label = f"{self._first_number + index if first else '':>{self._gutter - 2}}  "
        return Strip([Segment(label, (base + self._get_style("$foreground-muted")).rich_style), *body], width)

    def action_half_page(self, direction: int) -> None:
        self.scroll_relative(y=direction * max(self.size.height // 2, 1), animate=False)


def _set_off(line: Content, needle: str, marked: bool) -> Content:
    plain = line.plain.casefold()
    start = plain.find(needle)
    # Letters that casefold to several would shift the places; such a line is set off as a whole.
    if start >= 0 and len(plain) != len(line.plain):
        return line.stylize(_FOUND)
    while start >= 0:
        line = line.stylize(_HERE if marked else _FOUND, start, start + len(needle))
        start = plain.find(needle, start + len(needle))
    return line


def flow(lines: list[Content], width: int | None) -> Flow:
    """Lay lines out: wrapped to a width, or with None one row each. Slow for long texts: meant for a worker thread."""
    if width is None:
        widest = min(max((line.cell_length for line in lines), default=0), MAX_WIDTH)
        return lines, list(enumerate(lines)), widest
    return lines, [(index, row) for index, line in enumerate(lines) for row in _fold(line, width)], width


def _fold(line: Content, width: int) -> list[Content]:
    return [line] if line.cell_length <= width else line.wrap(width)
