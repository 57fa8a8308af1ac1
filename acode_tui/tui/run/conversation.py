"""The conversation of a run: one scrolling page of prompts, answers, reasoning and tool calls.

However long the run, only what is near the screen is read, rendered and kept. The height of a block whose content was
not read yet is estimated; when the true one is known, the row at the top of the screen stays where it is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual import events, on, work
from textual.binding import BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from acode_tui.domain.entities import Artifact, TaskGraph, ToolCallGraph
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.quantities import counted
from acode_tui.tui.bindings import CONVERSATION
from acode_tui.tui.dashboard_app import DashboardGetter
from acode_tui.tui.run.block_rows import Look, Row, needs_content, placeholder, rows_of
from acode_tui.tui.run.blocks import Block, Conversation, rows_with_gap
from acode_tui.tui.run.row_index import RowIndex
from acode_tui.tui.style.palette import Colours

if TYPE_CHECKING:
    from acode_tui.storage.ports import RunStateReader

MAX_COLUMNS = 110
"""The widest that text is laid out: longer lines are hard to read."""
MAX_KEPT = 1_000
"""Blocks whose rows are kept; those far from the screen are made again when they are near it."""
AT_ONCE = 16
"""Blocks whose content is read and rendered together: what is on screen comes first, and is shown first."""
_MARGIN = 2
"""Columns at the left edge, for the mark of the cursor."""


@dataclass(slots=True)
class _Laid:
    """The rows of a block, and their strips once they were drawn."""

    rows: list[Row]
    strips: list[Strip | None]


class ConversationView(ScrollView, can_focus=True):
    """Blocks of a conversation, with a cursor on one of them."""

    dashboard = DashboardGetter()
    BINDINGS: ClassVar[list[BindingType]] = [*CONVERSATION]

    @dataclass
    class Opened(Message):
        """Enter was pressed on a block whose artifact is shown whole elsewhere."""

        artifact: Artifact

    @dataclass
    class Rendered(Message):
        """Blocks near the screen were read and their rows made."""

        look: Look
        rows: list[tuple[str, list[Row]]]
        unread: set[str]
        """Keys of the blocks whose content could not be read."""

    def __init__(self) -> None:
        super().__init__(id="conversation", classes="frame")
        self._conversation: Conversation | None = None
        self._look: Look | None = None
        self._rows = RowIndex()
        """Rows of each block, with its gap."""
        self._laid: dict[str, _Laid] = {}
        self._known: dict[str, int] = {}
        """Heights of blocks that were laid out at this width, by key."""
        self._unfolded: set[str] = set()
        self._revealed: str | None = None
        """The block that was unfolded last: what unfolds below it comes into view, until the user moves on."""
        self._unread: set[str] = set()
        """Keys of blocks that show why their content could not be read."""
        self._cursor = 0
        self._sticks = False
        """Whether the view stays at the end when something is recorded."""
        self._fetching = False
        self._message: list[Content] = []
        """What is shown instead of blocks, while there are none."""

    # What is shown

    def say(self, lines: list[Content]) -> None:
        """Show a message as long as there is nothing else to show."""
        self._message = lines
        self.refresh()

    @property
    def columns(self) -> int:
        """Columns for the text of a block."""
        return max(min(self.scrollable_content_region.width - _MARGIN, MAX_COLUMNS), 10)

    @property
    def moved(self) -> bool:
        """Whether the cursor is anywhere but on the first block."""
        return self._cursor > 0

    @property
    def block(self) -> Block | None:
        """The block under the cursor."""
        blocks = self._blocks
        return blocks[self._cursor] if self._cursor < len(blocks) else None

    @property
    def _blocks(self) -> Sequence[Block]:
        return self._conversation.blocks if self._conversation is not None else ()

    def show(self, conversation: Conversation, *, at_end: bool = False) -> None:
        """Show a run, or a newer state of the run that is shown: cursor, folds and scroll position stay."""
        first = self._conversation is None
        under = self.block
        top = self._top()
        self._conversation = conversation
        if under is not None:
            self._cursor = conversation.index.get(under.key, self._cursor)
        # What was recorded of a call may have changed; the content of an artifact never does.
        for key in [key for key in self._laid if self._in_run(key)]:
            del self._laid[key]
            self._known.pop(key, None)
        if first:
            self._sticks = at_end
            self._cursor = max(len(conversation.blocks) - 1, 0) if at_end else 0
        self._retitle()
        self._lay_out_again(top)
        if self._sticks:
            self._cursor = max(self._last_shown(), 0)

    def clear(self) -> None:
        """Remove the run, before another one is shown."""
        self._conversation = None
        self._cursor, self._sticks = 0, False
        self._unfolded.clear()
        self._forget()
        self._rows = RowIndex()
        self._resized()
        self.border_subtitle = ""
        self.scroll_to(y=0, animate=False, force=True, immediate=True)

    def restyle(self) -> None:
        """Make the rows again in the colours of the current theme."""
        if self._look is not None:
            self._renew_look()
            self._laid.clear()
            self._request()
            self.refresh()

    def try_again(self) -> None:
        """Read again what could not be read."""
        for key in self._unread:
            self._laid.pop(key, None)
        self._unread.clear()
        self._request()

    def on_resize(self, event: events.Resize) -> None:
        if self._look is None or self.columns != self._look.width:
            top = self._top()
            self._forget()
            self._lay_out_again(top)
        else:
            self._request()

    def _in_run(self, key: str) -> bool:
        """Whether the text of a block is in the run itself, rather than in the content of an artifact."""
        conversation = self._conversation
        at = conversation.index.get(key) if conversation is not None else None
        return at is None or self._blocks[at].artifact is None

    def _retitle(self) -> None:
        conversation = self._conversation
        failed = len(conversation.failures) if conversation is not None else 0
        style = "$text-error" if failed else "$foreground-muted"
        text = f"✗ {counted(failed, 'failure')}, e goes to the next" if failed else "no failures"
        self.border_subtitle = Content.styled(text, style) if self._blocks else ""

    # Heights and positions

    def _forget(self) -> None:
        self._laid.clear()
        self._known.clear()
        self._look = None

    def _renew_look(self) -> None:
        colours = Colours.of(self.app.theme_variables)
        self._look = Look(self.columns, colours, self.app.current_theme.dark)

    def _lay_out_again(self, top: tuple[str, int] | None) -> None:
        conversation = self._conversation
        if conversation is None:
            return
        self._renew_look()
        self._rows = conversation.estimated(self.columns)
        for key, height in self._known.items():
            if (at := conversation.index.get(key)) is not None:
                self._set_height(at, height)
        for key in self._unfolded:
            self._show_outputs(key)
        self._resized()
        self._scroll_to_top(top)
        self._request()
        self.refresh()

    def _set_height(self, at: int, height: int) -> bool:
        """Give a block another height; ``_resized`` makes that count. False if it has this height already."""
        size = rows_with_gap(self._blocks[at], height)
        changed = size != self._rows.sizes[at]
        self._rows.resize(at, size)
        return changed

    def _resized(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, self._rows.total)

    def _top(self) -> tuple[str, int] | None:
        """The block at the top of the screen, and the row of it that is there."""
        if not self._blocks or not self._rows.total:
            return None
        row = self.scroll_offset.y
        at = self._at(row)
        return self._blocks[at].key, row - self._rows.start(at)

    def _scroll_to_top(self, top: tuple[str, int] | None) -> None:
        if self._sticks:
            self.scroll_to(y=self.max_scroll_y, animate=False, force=True, immediate=True)
            return
        at = self._conversation.index.get(top[0]) if top is not None and self._conversation is not None else None
        if at is not None and top is not None:
            row = self._rows.start(at) + min(top[1], max(self._rows.sizes[at] - 1, 0))
            if row != round(self.scroll_y):
                self.scroll_to(y=row, animate=False, force=True, immediate=True)

    def _at(self, row: int) -> int:
        """The block that a row belongs to."""
        return self._rows.block_at(max(row, 0))

    @property
    def _page(self) -> int:
        return max(self.scrollable_content_region.height, 1)

    def _near(self) -> Iterator[int]:
        """The blocks on screen, then those of the page below, then those of the page above."""
        top, page, last = self.scroll_offset.y, self._page, self._rows.total - 1
        for first, end in ((top, top + page), (top + page, top + 2 * page), (top - page, top)):
            if first <= last and end > 0:
                yield from range(self._at(max(first, 0)), self._at(min(end, last)) + 1)

    # Rows: those without content at once, the others in a worker

    def _request(self) -> None:
        """Have the content of what is near the screen read, unless that is being done."""
        if not self._fetching and self._missing():
            self._fetching = True
            self._fetch()

    def _missing(self) -> list[Block]:
        blocks, sizes = self._blocks, self._rows.sizes
        found = dict.fromkeys(
            at for at in self._near() if sizes[at] and blocks[at].key not in self._laid and self._is_slow(blocks[at])
        )
        return [blocks[at] for at in list(found)[:AT_ONCE]]

    def _is_slow(self, block: Block) -> bool:
        return needs_content(block) or block.key in self._unfolded

    @work(group="conversation", exit_on_error=False)
    async def _fetch(self) -> None:
        """Read and render a batch. The next one is asked for when this one is shown."""
        runs, look = self.dashboard.runs, self._look
        wanted = self._missing()
        try:
            if runs is not None and look is not None:
                jobs = [(each, await _content(runs, each), each.key in self._unfolded) for each in wanted]
                rows = await self.dashboard.in_thread(_rows, jobs, look)
                unread = {block.key for block, content, _ in jobs if isinstance(content, AcodeError)}
                self.post_message(self.Rendered(look, rows, unread))
        finally:
            self._fetching = False

    @on(Rendered)
    def _rendered(self, event: Rendered) -> None:
        conversation = self._conversation
        if conversation is None or event.look is not self._look:
            self._request()
            return
        self._unread |= event.unread
        top = self._top()
        changed = False
        for key, rows in event.rows:
            at = conversation.index.get(key)
            if at is None:
                continue
            self._keep(key, rows)
            changed = self._set_height(at, len(rows)) or changed
        while len(self._laid) > MAX_KEPT:
            del self._laid[next(iter(self._laid))]
        if changed:
            self._resized()
            self._scroll_to_top(top)
            self._show_unfolded()
        self.refresh()
        self._request()

    def _show_unfolded(self) -> None:
        at = self._conversation.index.get(self._revealed) if self._conversation and self._revealed else None
        if at is None:
            return
        call = self._blocks[at].node
        start = self._rows.start(at)
        end = self._rows.start(at + 1 + (len(call.artifacts) if isinstance(call, ToolCallGraph) else 0))
        if end > self.scroll_offset.y + self._page:
            row = min(start, end - self._page)
            self.scroll_to(y=row, animate=False, force=True, immediate=True)

    def _keep(self, key: str, rows: list[Row]) -> _Laid:
        laid = self._laid[key] = _Laid(rows, [None] * len(rows))
        self._known[key] = len(rows)
        return laid

    def _rows_at_once(self, at: int) -> _Laid | None:
        """The rows of a block; None while its content is being read."""
        block, look = self._blocks[at], self._look
        if (laid := self._laid.get(block.key)) is not None:
            return laid
        if look is None or self._is_slow(block):
            return None
        laid = self._keep(block.key, rows_of(block, None, look, opened=False))
        if rows_with_gap(block, len(laid.rows)) != self._rows.sizes[at]:
            self.call_after_refresh(self._correct, block.key)
        return laid

    def _correct(self, key: str) -> None:
        """The true height of a block is known."""
        conversation = self._conversation
        at = conversation.index.get(key) if conversation is not None else None
        top = self._top()
        if at is not None and key in self._known and self._set_height(at, self._known[key]):
            self._resized()
            self._scroll_to_top(top)
            self.refresh()

    # Drawing

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._request()

    def _on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._sticks, self._revealed = False, None
        super()._on_mouse_scroll_up(event)

    def render_line(self, y: int) -> Strip:
        width, base = self.scrollable_content_region.width, self.visual_style.rich_style
        row = self.scroll_offset.y + y
        if row >= self._rows.total:
            message = [] if self._blocks else [row for each in self._message for row in each.wrap(max(width, 10))]
            return (self._drawn(message[y]) if y < len(message) else Strip([])).adjust_cell_length(width, base)
        at = self._at(row)
        block = self._blocks[at]
        offset = row - self._rows.start(at) - block.gap
        if offset < 0:
            return Strip.blank(width, base)
        strip = self._strip(at, offset)
        marked = at == self._cursor
        mark = Segment("▌ " if marked else "  ", (self.visual_style + self._get_style("$primary")).rich_style)
        return Strip([mark, *strip]).adjust_cell_length(width, base)

    def _strip(self, at: int, offset: int) -> Strip:
        laid = self._rows_at_once(at)
        if laid is None:
            return self._drawn(placeholder(self._blocks[at])) if not offset else Strip([])
        if offset >= len(laid.rows):
            return Strip([])
        strip = laid.strips[offset]
        if strip is None:
            strip = laid.strips[offset] = self._drawn(laid.rows[offset])
        return strip

    def _drawn(self, row: Row) -> Strip:
        base = self.visual_style
        if isinstance(row, list):
            return Strip(row).apply_style(base.rich_style)
        return Strip(
            [
                Segment(text, (base + style).rich_style)
                for text, style in row.render(base, end="", parse_style=self._get_style)
            ]
        )

    # The cursor

    def action_move(self, direction: int) -> None:
        """Go to the next or the previous block, or through a block that is longer than the screen."""
        self._take_cursor_along()
        top, page = self.scroll_offset.y, self._page
        start, end = self._rows.start(self._cursor), self._rows.start(self._cursor + 1) if self._blocks else 0
        if direction > 0 and end > top + page and end - start > page:
            self._scroll(min(top + page // 2, end - page))
        elif direction < 0 and start < top and end - start > page:
            self._scroll(max(top - page // 2, start))
        else:
            self._go_to(self._neighbour(direction))

    def action_half_page(self, direction: int) -> None:
        self._turn(direction * max(self._page // 2, 1))

    def action_turn(self, direction: int) -> None:
        self._turn(direction * max(self._page - 2, 1))

    def action_top(self) -> None:
        self._sticks = False
        self._cursor = next((at for at, size in enumerate(self._rows.sizes) if size), 0)
        self._scroll(0)

    def action_bottom(self) -> None:
        self._cursor = max(self._last_shown(), 0)
        self._scroll(self.max_scroll_y)
        self._sticks = True

    def failure(self, direction: int) -> bool:
        """Go to the next (1) or the previous (-1) failure; False if there is none."""
        at = self._conversation.failure_from(self._cursor, direction) if self._conversation is not None else None
        if at is None:
            return False
        self._go_to(at, context=True)
        return True

    def go_to(self, key: str) -> None:
        """Put the cursor on the block of an entity, if it has one."""
        at = self._conversation.index.get(key) if self._conversation is not None else None
        if at is not None and self._rows.sizes[at]:
            self._go_to(at, context=True)

    def _last_shown(self) -> int:
        return next((at for at in range(len(self._rows.sizes) - 1, -1, -1) if self._rows.sizes[at]), -1)

    def _neighbour(self, direction: int) -> int:
        at = self._cursor + direction
        while 0 <= at < len(self._rows.sizes) and not self._rows.sizes[at]:
            at += direction
        return at if 0 <= at < len(self._rows.sizes) else self._cursor

    def _turn(self, rows: int) -> None:
        self._scroll(self.scroll_offset.y + rows)
        self._take_cursor_along()
        if not 0 < self.scroll_offset.y < self.max_scroll_y:
            # At an end the last screenful holds the place that was meant.
            self._cursor = self._at(self.scroll_offset.y) if rows < 0 else max(self._last_shown(), 0)
        self.refresh()

    def _take_cursor_along(self) -> None:
        """If the cursor's block was scrolled off the screen, put the cursor on the nearest one that is on it."""
        if not self._blocks:
            return
        top, page = self.scroll_offset.y, self._page
        if self._rows.start(self._cursor + 1) <= top:
            self._cursor = self._at(top)
        elif self._rows.start(self._cursor) >= top + page:
            self._cursor = self._at(top + page - 1)

    def _go_to(self, at: int, *, context: bool = False) -> None:
        """Put the cursor on a block and show as much of it as fits, with some rows around it for ``context``."""
        if not self._blocks:
            return
        self._cursor = at
        self._sticks = False
        self._revealed = None
        top, page = self.scroll_offset.y, self._page
        start, end = self._rows.start(at), self._rows.start(at + 1)
        around = min(page // 3, 8) if context else 0
        if start - around < top or end - start >= page:
            self._scroll(start - around if end - start + around < page else start)
        elif end + around > top + page:
            self._scroll(end + around - page)
        self.refresh()

    def _scroll(self, row: int) -> None:
        self._sticks = False
        self._revealed = None
        self.scroll_to(y=min(max(row, 0), self.max_scroll_y), animate=False, force=True, immediate=True)
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        row = self.scroll_offset.y + offset.y if offset is not None else self._rows.total
        if row >= self._rows.total:
            return
        at, before = self._at(row), self._cursor
        self._cursor = at
        self.refresh()
        if at == before:
            self.action_open()

    # Folding and opening

    def action_open(self) -> None:
        """Unfold or fold a call or reasoning; open the artifact of any other block."""
        block = self.block
        if block is None:
            return
        if block.kind in ("reasoning", "call") or isinstance(block.node, TaskGraph):
            self._sticks = False
            self._revealed = block.key if block.key not in self._unfolded else None
            self._toggle([block.key])
        elif block.artifact is not None:
            self.post_message(self.Opened(block.artifact))

    def unfold_reasoning(self, *, fold: bool) -> None:
        """Unfold all reasoning, or fold everything that was unfolded."""
        if fold:
            self._toggle(list(self._unfolded))
        else:
            keys = [block.key for block in self._blocks if block.kind == "reasoning"]
            self._toggle([key for key in keys if key not in self._unfolded])

    def _toggle(self, keys: list[str]) -> None:
        conversation = self._conversation
        if conversation is None or not keys:
            return
        top = self._top()
        self._unfolded.symmetric_difference_update(keys)
        for key in keys:
            self._laid.pop(key, None)
            self._known.pop(key, None)
            self._show_outputs(key)
        self._resized()
        self._scroll_to_top(top)
        self._request()
        self.refresh()

    def _show_outputs(self, key: str) -> None:
        """Give the outputs of a call their rows, or none where the call is folded again."""
        conversation = self._conversation
        at = conversation.index.get(key) if conversation is not None else None
        if at is None or not isinstance(call := self._blocks[at].node, ToolCallGraph):
            return
        for below in range(at + 1, at + 1 + len(call.artifacts)):
            block = self._blocks[below]
            if block.call_id:
                self._set_height(below, self._known.get(block.key, 1) if key in self._unfolded else 0)


async def _content(runs: "RunStateReader", block: Block) -> bytes | AcodeError | None:
    """The content of a block's artifact, or why it cannot be read."""
    artifact = block.artifact
    if artifact is None or not needs_content(block):
        return None
    try:
        return await runs.get_artifact_content(artifact.id)
    except AcodeError as error:
        return error


def _rows(jobs: list[tuple[Block, bytes | AcodeError | None, bool]], look: Look) -> list[tuple[str, list[Row]]]:
    """The rows of several blocks. Runs in a thread."""
    return [(block.key, rows_of(block, content, look, opened=opened)) for block, content, opened in jobs]
