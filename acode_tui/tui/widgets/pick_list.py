"""A list to choose from, however long: a row is a line, and only what is on screen is drawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from acode_tui.tui.bindings import PICK


class PickList(ScrollView, can_focus=True):
    """Lines with a cursor. ``draw`` makes a row's line for a width when it is first seen."""

    BINDINGS: ClassVar[list[BindingType]] = [*PICK]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"pick-list--cursor"}
    cursor: reactive[int] = reactive(0)

    @dataclass
    class Moved(Message):
        """The cursor is on another row."""

        index: int

    @dataclass
    class Picked(Message):
        """A row was chosen."""

        index: int

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, classes="frame")
        self._keys: Sequence[str] = ()
        self._draw: Callable[[int, int], Content] = lambda index, width: Content("")

    def show(self, keys: Sequence[str], draw: Callable[[int, int], Content]) -> None:
        """Show rows, each known by a key; the cursor stays on its key."""
        under = self._keys[self.cursor] if 0 <= self.cursor < len(self._keys) else None
        self._keys, self._draw = keys, draw
        self.virtual_size = Size(0, len(keys))
        self.set_reactive(PickList.cursor, keys.index(under) if under in keys else 0)
        self.refresh()

    def validate_cursor(self, cursor: int) -> int:
        return min(max(cursor, 0), max(len(self._keys) - 1, 0))

    def watch_cursor(self) -> None:
        self.scroll_to_region(Region(0, self.cursor, 1, 1), animate=False, force=True)
        self.refresh()
        if self._keys:
            self.post_message(self.Moved(self.cursor))

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        index = self.scroll_offset.y + y
        base = self.visual_style
        if index >= len(self._keys):
            return Strip.blank(width, base.rich_style)
        line = self._draw(index, width)
        if index == self.cursor and self.has_focus:
            base = self._get_style("$block-cursor-foreground on $block-cursor-background")
            line = Content(line.plain)
        segments = [
            Segment(text, (base + style).rich_style)
            for text, style in line.render(base, end="", parse_style=self._get_style)
        ]
        return Strip(segments, line.cell_length).adjust_cell_length(width, base.rich_style)

    def on_focus(self) -> None:
        self.refresh()
        if self._keys:
            self.post_message(self.Moved(self.cursor))

    def on_blur(self) -> None:
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        index = offset.y + self.scroll_offset.y
        if index == self.cursor and event.chain > 1:
            self.action_pick()
        elif 0 <= index < len(self._keys):
            self.cursor = index

    def action_pick(self) -> None:
        if self._keys:
            self.post_message(self.Picked(self.cursor))

    def action_move(self, rows: int) -> None:
        self.cursor += rows

    def action_to(self, end: int) -> None:
        self.cursor = 0 if end < 0 else len(self._keys)

    def action_half_page(self, direction: int) -> None:
        self.cursor += direction * max(self.size.height // 2, 1)
