"""The filter by state: a line with a chip for each state, and the number of sessions in it.

A click switches a chip on or off; so do keys while the line has the focus.
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
"""The state of each chip; None for the first one, which stands for all states."""

Words = Literal["all", "some", "on", "none"]
"""Which chips show a word: all; ``some``, which are on or have sessions; those that are on; or none."""

Count = Callable[[int], str]
"""Formats the number of sessions."""


class StateChips(Widget, can_focus=True):
    """One line of chips. A chip that is on stands in brackets, so it is seen without colours."""

    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [*CHIPS]

    def __init__(self, browser: BrowserState) -> None:
        super().__init__(id="chips")
        self._browser = browser
        self._cursor = 1
        self._spans: list[tuple[int, int]] = []

    def render(self) -> RenderResult:
        texts = self._texts(self.size.width)
        self._spans, column = [], 0
        parts: list[Content] = []
        for index, text in enumerate(texts):
            self._spans.append((column, column + len(text)))
            column += len(text)
            parts.append(self._chip(index, text))
        return Content.assemble(*parts)

    def _texts(self, width: int) -> list[str]:
        """The text of each chip, in the longest form that fits: words and counts; shorter counts; glyphs in place of
        words except for the chips that are on; glyphs alone. Unknown counts are left out.
        """
        forms: list[tuple[Words, Count]] = [("all", number), ("all", _four_columns), ("some", number)]
        forms += [("some", _four_columns), ("on", number), ("on", _four_columns), ("none", _four_columns)]
        if self._browser.counts is None:
            forms = [(words, _unknown) for words, _ in forms]
        forms.append(("none", _unknown))
        for words, count in forms:
            texts = [self._text(index, words, count) for index in range(len(_STATES))]
            if sum(map(len, texts)) <= width:
                return texts
        return texts

    def _text(self, index: int, words: Words, count: Count) -> str:
        state = _STATES[index]
        on = self._is_on(index) or index == self._under_cursor
        counts = self._browser.counts or {}
        number_of_sessions = counts.get(state, 0) if state is not None else sum(counts.values())
        has_word = words == "all" or (words == "some" and (number_of_sessions or on)) or (words == "on" and on)
        text = f"{_label(state) if has_word else _glyph(state)} {count(number_of_sessions)}".rstrip()
        return f"[{text}]" if self._is_on(index) else f" {text} "

    def _chip(self, index: int, text: str) -> Content:
        state = _STATES[index]
        on = self._is_on(index)
        colour = CONTENT_STYLE[SESSION[state].role] if state is not None else "$foreground"
        style = f"bold {colour}" if on else "$foreground-muted"
        return Content.styled(text, f"{style} reverse" if index == self._under_cursor else style)

    @property
    def _under_cursor(self) -> int | None:
        return self._cursor if self.has_focus else None

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
        self._cursor = index
        state = _STATES[index]
        chosen = self._browser.states ^ {state} if state is not None else frozenset()
        self.post_message(StatesSelected(frozenset(chosen)))
        self.refresh()

    def action_move(self, direction: int) -> None:
        self._cursor = (self._cursor + direction) % len(_STATES)
        self.refresh()

    def action_switch(self) -> None:
        self._toggle(self._cursor)

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
