"""The search line of the main screen, with the list of what its text may become below it."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

from textual import events
from textual.app import RenderResult
from textual.binding import BindingType
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from acode_tui.domain.display import cell_width
from acode_tui.domain.search.completion import Proposal
from acode_tui.tui.bindings import QUERY
from acode_tui.tui.messages import RemoveQueryRequested, SaveQueryRequested
from acode_tui.tui.style.text import line, styled
from acode_tui.tui.widgets.input_lines import SearchLine

MAX_SHOWN = 8
_LABEL = 30


class Choice(NamedTuple):
    """A proposal. ``saved_as`` is the name of the saved query that it is, empty for any other."""

    proposal: Proposal
    saved_as: str = ""


def choices(proposed: Sequence[Proposal], saved: dict[str, str], text: str) -> list[Choice]:
    """What fits the text of the line: names of fields and values, then the saved queries whose name it is a part of."""
    wanted = text.strip().casefold()
    names = [name for name, query in saved.items() if wanted in name.casefold() and query.strip() != text.strip()]
    return [
        *(Choice(each) for each in proposed),
        *(Choice(Proposal(name, saved[name]), name) for name in names),
    ][:MAX_SHOWN]


class Choices(Widget):
    """The choices below the line, drawn over what is there; a click takes one."""

    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__(id="choices")
        self.display = False
        self.shown: list[Choice] = []
        self.marked = 0

    def show(self, found: list[Choice]) -> None:
        self.shown, self.marked = found, 0
        self.display = bool(found)
        self.refresh(layout=True)

    def mark(self, row: int) -> None:
        self.marked = row
        self.refresh()

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """The width of the longest row."""
        return max(
            (
                _LABEL + 2 + cell_width(line(each.proposal.query)) if each.saved_as else cell_width(each.proposal.label)
                for each in self.shown
            ),
            default=0,
        )

    def render(self) -> RenderResult:
        width = max(self.content_size.width, 12)
        return Content("\n").join([self._row(each, row == self.marked, width) for row, each in enumerate(self.shown)])

    def _row(self, choice: Choice, marked: bool, width: int) -> Content:
        label = line(choice.proposal.label, min(_LABEL, width) if choice.saved_as else width)
        parts = [styled(f"{label:<{_LABEL}}" if choice.saved_as else label, "bold" if marked else "")]
        if choice.saved_as and width > _LABEL + 8:
            parts.append(styled(f"  {line(choice.proposal.query, width - _LABEL - 2)}", "$foreground-muted"))
        row = Content("").join(parts)
        row = row.pad_right(max(width - row.cell_length, 0))
        return row.stylize("$block-cursor-foreground on $block-cursor-background") if marked else row

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and offset.y < len(self.shown):
            self.screen.query_one(QueryLine).take(self.shown[offset.y])


@runtime_checkable
class Proposes(Protocol):
    """The screen of the line, which knows what the text may become."""

    def propose(self) -> None:
        """Call ``QueryLine.propose`` for the present text."""
        ...


class QueryLine(SearchLine):
    """A SearchLine whose text can be completed and saved."""

    BINDINGS: ClassVar[list[BindingType]] = [*QUERY]

    def __init__(self, list_below: Choices) -> None:
        super().__init__()
        self._list = list_below
        self._moved = False
        self._proposed_for: str | None = None
        """The text that all proposals were found for; None while values are being read."""
        self._take_first = False

    def propose(self, found: list[Choice], *, reading: bool = False) -> None:
        """Show what the text may become; ``reading``: as far as it is known yet."""
        self._moved = False
        self._proposed_for = None if reading else self.value
        self._list.show(found if self.screen.focused is self else [])
        self.refresh_bindings()
        if self._take_first and not reading:
            self.action_complete()

    def take(self, choice: Choice) -> None:
        """Replace the text by a choice, with the cursor behind it."""
        self._take_first = False
        self.value = choice.proposal.query
        self.cursor_position = len(self.value)
        self.focus()

    @property
    def proposes(self) -> bool:
        """Whether proposals are shown."""
        return bool(self._list.display)

    @property
    def _marked(self) -> Choice | None:
        return self._list.shown[self._list.marked] if self._list.display else None

    @property
    def _at_end(self) -> bool:
        return self.cursor_position == len(self.value)

    def on_blur(self) -> None:
        self._take_first = False
        self._list.show([])

    def takes(self, key: str, character: str | None) -> bool:
        """A tab too: typed while the line was opening, it must come after the letters that were typed before it."""
        return super().takes(key, character) or self._completes(key)

    def _completes(self, key: str) -> bool:
        return key == "tab" and "tab" in self.app._keymap.get("complete", "tab").split(",")

    async def on_key(self, event: events.Key) -> None:
        self._take_first = False
        if self._completes(event.key):
            event.stop()
            event.prevent_default()
            await self.run_action("complete" if self.check_action("complete", ()) else "app.focus_next")

    def action_complete(self) -> None:
        """Take the marked proposal. While the values of a field are being read, the first is taken when it comes."""
        if self._proposed_for != self.value and isinstance(self.screen, Proposes):
            self.screen.propose()
        self._take_first = self._proposed_for != self.value
        if not self._take_first and (choice := self._marked) is not None:
            self.take(choice)

    def action_cursor_right(self, select: bool = False) -> None:
        choice = self._marked
        if choice is not None and self.value and self._at_end and not select:
            self.take(choice)
        else:
            super().action_cursor_right(select)

    def action_down(self) -> None:
        shown = self._list
        if shown.display and shown.marked + 1 < len(shown.shown):
            self._moved = True
            shown.mark(shown.marked + 1)
        else:
            self.action_close()

    def action_up(self) -> None:
        if self._list.display and self._list.marked:
            self._list.mark(self._list.marked - 1)

    async def action_submit(self) -> None:
        """Take a choice that the user went to; otherwise go to the list."""
        if self._moved and (choice := self._marked) is not None:
            self.take(choice)
        else:
            await super().action_submit()

    def action_save(self) -> None:
        if self.value.strip():
            self.post_message(SaveQueryRequested(self.value.strip()))

    def action_remove(self) -> None:
        if (choice := self._marked) is not None and choice.saved_as:
            self.post_message(RemoveQueryRequested(choice.saved_as))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "complete":
            return self._marked is not None or self._proposed_for != self.value
        if action == "remove":
            return bool((choice := self._marked) and choice.saved_as)
        if action == "save":
            return bool(self.value.strip())
        return super().check_action(action, parameters)
