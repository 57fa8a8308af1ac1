"""The conversation of a run: one scrolling page of prompts, answers, reasoning and tool calls.

However long the run, only what is near the screen is read, rendered and kept. When the true height of a block is known,
the row at the top of the screen stays where it is.
"""

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual import events, on, work
from textual.binding import BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from acode_tui.domain.entities import Artifact, TaskGraph, ToolCallGraph
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.quantities import counted
from acode_tui.tui.bindings import CONVERSATION
from acode_tui.tui.dashboard_app import DashboardGetter
from acode_tui.tui.run.block_rows import Look, Row, needs_content, placeholder, rows_of, text_of_row
from acode_tui.tui.run.blocks import Block, Conversation
from acode_tui.tui.run.marked_strip import highlighted
from acode_tui.tui.run.page_cursor import PageCursor
from acode_tui.tui.run.page_layout import Position
from acode_tui.tui.style.palette import Colours

if TYPE_CHECKING:
    from acode_tui.storage.ports import RunStateReader

MAX_COLUMNS = 110
"""The widest that text is laid out: longer lines are hard to read."""
MAX_SETTLED = 120
"""Blocks at most whose true heights are looked for at once: those of two screens of calls."""
_MATCH = "underline $match-text on $match-background"
_MARGIN = 2
"""Columns at the left edge, for the mark of the cursor."""


class ConversationView(PageCursor, can_focus=True):
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
        super().__init__()
        self._fetching = False
        self._note = ""
        self._needle = ""
        self._match: str | None = None
        """The block whose match comes into view once the block is laid out."""
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
    def is_complete(self) -> bool:
        """Whether everything near the screen is laid out."""
        return bool(self.page_layout.blocks) and not self._fetching and not self._missing()

    def show(self, conversation: Conversation, *, at_end: bool = False) -> None:
        """Show a run, or another state of the run that is shown: cursor, folds and scroll position stay."""
        page, first = self.page_layout, self.page_layout.conversation is None
        under, top = self.block, self._top()
        page.show(conversation)
        if under is not None:
            self.cursor = conversation.index.get(under.key, self.cursor)
        if first:
            self.follows = at_end
            self.cursor = max(len(conversation.blocks) - 1, 0) if at_end else 0
        self._retitle()
        self._place(top)
        if self.follows:
            self.cursor = page.last_shown()

    def clear(self) -> None:
        """Remove the run, before another one is shown."""
        self.page_layout.clear()
        self.cursor, self.follows, self.held = 0, False, None
        self._resized()
        self.border_subtitle = ""
        self.jump(0)

    def restyle(self) -> None:
        """Make the rows again in the colours of the current theme."""
        if self.page_layout.look is not None:
            self.page_layout.restyle(self._new_look())
            self._request()
            self.refresh()

    def try_again(self) -> None:
        """Read again what could not be read."""
        self.page_layout.drop(self.page_layout.unread)
        self.page_layout.unread.clear()
        self._request()

    def follow(self) -> None:
        """Go to the end, and stay there; or stay where the view is."""
        if self.follows:
            self.follows = False
        else:
            self.action_bottom()

    def highlight(self, needle: str) -> None:
        """Highlight every occurrence of a text, ignoring case; an empty one highlights nothing."""
        self._needle, self._match = needle.casefold(), None
        self.refresh()

    def show_match(self, at: int) -> None:
        """Go to a block that holds the text, unfold it if it is folded, and show the row of the match."""
        page = self.page_layout
        block = page.blocks[at]
        owner = block.call_id or (block.key if block.kind in ("reasoning", "call") else "")
        if owner and owner not in page.unfolded:
            self._toggle([owner])
        self.go_to_block(at, context=True)
        self._match = block.key
        self._show_match()

    def _show_match(self) -> None:
        at = self.page_layout.index(self._match) if self._match is not None else None
        laid = self.page_layout.laid(at) if at is not None else None
        if at is None or laid is None:
            return
        self._match = None
        first = self.page_layout.rows.start(at) + self.page_layout.blocks[at].gap
        for offset, row in enumerate(laid.rows):
            if self._needle in text_of_row(row).casefold():
                if not self.scroll_offset.y <= first + offset < self.scroll_offset.y + self.page_rows:
                    self.scroll_to_row(first + offset - self.page_rows // 3)
                    self.keep_in_place(at)
                return
        # The text is in what the block leaves out: show the block, now that its height is known.
        self.go_to_block(at, context=True)

    def on_resize(self, event: events.Resize) -> None:
        look = self.page_layout.look
        if look is None or self.columns != look.width:
            top = self._top()
            self.page_layout.forget()
            self._place(top)
        else:
            self._request()

    def note(self, text: str) -> None:
        """Show a text on the lower edge in place of the number of failures; an empty one ends that."""
        self._note = text
        self._retitle()

    def _retitle(self) -> None:
        conversation = self.page_layout.conversation
        failed = len(conversation.failures) if conversation is not None else 0
        style = "$text-error" if failed else "$foreground-muted"
        text = f"✗ {counted(failed, 'failure')}, e goes to the next" if failed else "no failures"
        shown = Content(self._note) if self._note else Content.styled(text, style)
        self.border_subtitle = shown if self.page_layout.blocks else ""

    # Layout

    def _new_look(self) -> Look:
        colours = Colours.of(self.app.theme_variables)
        return Look(self.columns, colours, self.app.current_theme.dark)

    def _place(self, top: Position | None) -> None:
        if self.page_layout.conversation is None:
            return
        self.page_layout.place(self._new_look())
        self._resized()
        self._stay_at(top)
        self._request()
        self.refresh()

    def _resized(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, self.page_layout.rows.total)

    def _top(self) -> Position | None:
        return self.page_layout.position(self.scroll_offset.y)

    def _stay_at(self, top: Position | None) -> None:
        """Scroll to the end if the page is followed, so that a held block stays, or else so that the top row stays."""
        if self.follows:
            self.jump(self.max_scroll_y)
            return
        at = self.page_layout.index(self.held[0]) if self.held is not None else None
        if at is not None and self.held is not None:
            row: int | None = max(self.page_layout.rows.start(at) - self.held[1], 0)
        else:
            row = self.page_layout.row_of(top)
        if row is not None and row != round(self.scroll_y):
            self.jump(row)

    # Rows: those without content at once, the others in a worker

    def _request(self) -> None:
        """Have the content of what is near the screen read, unless that is being done."""
        self._settle()
        if not self._fetching and self._missing():
            self._fetching = True
            self._fetch()

    def _settle(self) -> None:
        """Give what is on screen its true height, as far as that takes no time."""
        page, top = self.page_layout, self._top()
        if page.look is None or not page.blocks:
            return
        on_screen = page.near(self.scroll_offset.y, self.page_rows)
        if page.settle(islice(on_screen, MAX_SETTLED), page.look):
            self._resized()
            self._stay_at(top)

    def _missing(self) -> list[Block]:
        return self.page_layout.missing(self.page_layout.near(self.scroll_offset.y, self.page_rows))

    @work(group="conversation", exit_on_error=False)
    async def _fetch(self) -> None:
        """Read and render a batch. The next one is asked for when this one is shown."""
        runs, look = self.dashboard.runs, self.page_layout.look
        wanted = self._missing()
        try:
            if runs is not None and look is not None:
                unfolded = self.page_layout.unfolded
                jobs = [(each, await _content(runs, each), each.key in unfolded) for each in wanted]
                rows = await self.dashboard.in_thread(_rows, jobs, look)
                unread = {block.key for block, content, _ in jobs if isinstance(content, AcodeError)}
                self.post_message(self.Rendered(look, rows, unread))
        finally:
            self._fetching = False

    @on(Rendered)
    def _rendered(self, event: Rendered) -> None:
        if event.look is not self.page_layout.look:
            self._request()
            return
        self.page_layout.unread |= event.unread
        top = self._top()
        if self.page_layout.take(event.rows):
            self._resized()
            self._stay_at(top)
            self._show_unfolded()
        self._show_match()
        self.refresh()
        self._request()

    def _show_unfolded(self) -> None:
        at = self.page_layout.index(self.revealed) if self.revealed else None
        if at is None:
            return
        call, rows = self.page_layout.blocks[at].node, self.page_layout.rows
        start = rows.start(at)
        end = rows.start(at + 1 + (len(call.artifacts) if isinstance(call, ToolCallGraph) else 0))
        if end > self.scroll_offset.y + self.page_rows:
            self.held = None
            self.jump(min(start, end - self.page_rows))

    def _correct(self, key: str) -> None:
        """The true height of a block is known."""
        top = self._top()
        if self.page_layout.correct(key):
            self._resized()
            self._stay_at(top)
            self.refresh()

    # Drawing

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._request()

    def render_line(self, y: int) -> Strip:
        width, base = self.scrollable_content_region.width, self.visual_style.rich_style
        page, row = self.page_layout, self.scroll_offset.y + y
        if row >= page.rows.total:
            message = [] if page.blocks else [row for each in self._message for row in each.wrap(max(width, 10))]
            return (self._drawn(message[y]) if y < len(message) else Strip([])).adjust_cell_length(width, base)
        at = page.block_at(row)
        offset = row - page.rows.start(at) - page.blocks[at].gap
        if offset < 0:
            return Strip.blank(width, base)
        strip = self._strip(at, offset)
        if self._needle:
            strip = highlighted(strip, self._needle, (self.visual_style + self._get_style(_MATCH)).rich_style)
        mark = Segment(
            "▌ " if at == self.cursor else "  ", (self.visual_style + self._get_style("$primary")).rich_style
        )
        return Strip([mark, *strip]).adjust_cell_length(width, base)

    def _strip(self, at: int, offset: int) -> Strip:
        page = self.page_layout
        laid, block = page.laid(at), page.blocks[at]
        if laid is None:
            if page.look is None or page.is_slow(block):
                return self._drawn(placeholder(block)) if not offset else Strip([])
            laid = page.lay_out(at, page.look)
            if not page.is_corrected(at):
                self.call_after_refresh(self._correct, block.key)
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

    @property
    def cursor_y(self) -> int:
        """The first line of the block under the cursor, as the page is scrolled now."""
        return self.page_layout.rows.start(self.cursor) - self.scroll_offset.y

    # Folding and opening

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        row = self.scroll_offset.y + offset.y if offset is not None else self.page_layout.rows.total
        if row >= self.page_layout.rows.total:
            return
        at, before = self.page_layout.block_at(row), self.cursor
        self.cursor = at
        self.refresh()
        if at == before:
            self.action_open()

    def action_open(self) -> None:
        """Unfold or fold a call or reasoning; open the artifact of any other block."""
        block = self.block
        if block is None:
            return
        if block.kind in ("reasoning", "call") or isinstance(block.node, TaskGraph):
            self.follows = False
            self.revealed = block.key if block.key not in self.page_layout.unfolded else None
            self._toggle([block.key])
        elif block.artifact is not None:
            self.post_message(self.Opened(block.artifact))

    def unfold_reasoning(self, *, fold: bool) -> None:
        """Unfold all reasoning, or fold everything that was unfolded."""
        unfolded = self.page_layout.unfolded
        if fold:
            self._toggle(list(unfolded))
        else:
            keys = [block.key for block in self.page_layout.blocks if block.kind == "reasoning"]
            self._toggle([key for key in keys if key not in unfolded])

    def _toggle(self, keys: list[str]) -> None:
        if self.page_layout.conversation is None or not keys:
            return
        top = self._top()
        self.page_layout.toggle(keys)
        self._resized()
        self._stay_at(top)
        self._request()
        self.refresh()


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
