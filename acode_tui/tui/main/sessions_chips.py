"""The states as chips: which of them are shown, and how many sessions there are of each.

A click turns one on or off; so do the keys once the line has them.
"""

from collections.abc import Callable
from typing import ClassVar, Literal

from textual import events
from textual.app import RenderResult
from textual.binding import BindingType
from textual.content import Content
from textual.widget import Widget

from acode_tui.domain.quantities import number, short_number
from acode_tui.domain.states import SessionState
from acode_tui.tui.bindings import CHIPS
from acode_tui.tui.messages import InputClosed, StatesSelected
from acode_tui.tui.state import BrowserState
from acode_tui.tui.style.palette import CONTENT_STYLE, SESSION

_STATES: tuple[SessionState | None, ...] = (None, *SessionState)
"""What each chip stands for; the first for all of them."""

Words = Literal["all", "some", "on", "none"]
"""Which chips have their word: all, those of states that there are and those that are on, the latter alone, or none."""

Count = Callable[[int], str]
"""How a count is shown."""


class StateChips(Widget, can_focus=True):
    """One line. A chip that is on stands in brackets, so that no terminal needs colour to tell it."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [*CHIPS]

    def __init__(self, browser: BrowserState) -> None:
        super().__init__(id="chips")
        self._browser = browser
        self._at = 1
        self._spans: list[tuple[int, int]] = []

    def render(self) -> RenderResult:
        words = self._words(self.size.width)
        self._spans, column = [], 0
        parts: list[Content] = []
        for index, word in enumerate(words):
            self._spans.append((column, column + len(word)))
            column += len(word)
            parts.append(self._chip(index, word))
        return Content.assemble(*parts)

    def _words(self, width: int) -> list[str]:
        """Each chip's text, the most telling that fits: words and counts, then shorter counts, then glyphs in place of
        words but for the chips that are on, then glyphs alone. Counts that are not known are not there.
        """
        forms: list[tuple[Words, Count]] = [("all", number), ("all", _four_columns), ("some", number)]
        forms += [("some", _four_columns), ("on", number), ("on", _four_columns), ("none", _four_columns)]
        if self._browser.counts is None:
            forms = [(words, _unknown) for words, _ in forms]
        forms.append(("none", _unknown))
        for words, count in forms:
            told = [self._told(index, words, count) for index in range(len(_STATES))]
            if sum(map(len, told)) <= width:
                return told
        return told

    def _told(self, index: int, words: Words, count: Count) -> str:
        state = _STATES[index]
        on = self._is_on(index) or index == self._pointed
        counts = self._browser.counts or {}
        many = counts.get(state, 0) if state is not None else sum(counts.values())
        shown = words == "all" or (words == "some" and (many or on)) or (words == "on" and on)
        told = f"{_label(state) if shown else _glyph(state)} {count(many)}".rstrip()
        return f"[{told}]" if self._is_on(index) else f" {told} "

    def _chip(self, index: int, word: str) -> Content:
        state = _STATES[index]
        on = self._is_on(index)
        colour = CONTENT_STYLE[SESSION[state].role] if state is not None else "$foreground"
        style = f"bold {colour}" if on else "$foreground-muted"
        return Content.styled(word, f"{style} reverse" if index == self._pointed else style)

    @property
    def _pointed(self) -> int | None:
        return self._at if self.has_focus else None

    def _is_on(self, index: int) -> bool:
        state = _STATES[index]
        return state in self._browser.states if state is not None else not self._browser.states

    def on_click(self, event: events.Click) -> None:
        event.stop()
        at = event.get_content_offset(self)
        for index, (start, end) in enumerate(self._spans):
            if at is not None and start <= at.x < end:
                self._toggle(index)

    def _toggle(self, index: int) -> None:
        self._at = index
        state = _STATES[index]
        chosen = self._browser.states ^ {state} if state is not None else frozenset()
        self.post_message(StatesSelected(frozenset(chosen)))
        self.refresh()

    def action_move(self, direction: int) -> None:
        self._at = (self._at + direction) % len(_STATES)
        self.refresh()

    def action_switch(self) -> None:
        self._toggle(self._at)

    def action_all(self) -> None:
        self._toggle(0)

    def action_close(self) -> None:
        self.post_message(InputClosed())


def _label(state: SessionState | None) -> str:
    return "all" if state is None else SESSION[state].label


def _glyph(state: SessionState | None) -> str:
    return "all" if state is None else SESSION[state].glyph


def _four_columns(count: int) -> str:
    return short_number(count, columns=4)


def _unknown(count: int) -> str:
    return ""
