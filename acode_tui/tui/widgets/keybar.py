"""The footer: the keys of the screen, as many as fit, the most important first; none of them is cut.

The keys that fit stand in the order of their tables. Timely keys, such as the one to the dead letters while there are
some, get room before the others. While an input line has the focus, keys that it would take as letters are left out.
A key whose action waits for a running job is dim.
"""

from textual import events
from textual.app import RenderResult
from textual.binding import Binding
from textual.content import Content
from textual.keys import REPLACED_KEYS, format_key, key_to_character
from textual.screen import Screen
from textual.widget import Widget

from acode_tui.tui.bindings import PRIORITY
from acode_tui.tui.live_screen import LiveScreen

NARROW = 100
"""Width in columns below which important keys are one column apart; the others need two, or are left out."""

_RANK = {id: rank for rank, id in enumerate(PRIORITY)}


class KeyBar(Widget):
    """Keys and what they do; a click presses the key."""

    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__(id="keys")
        self._spans: list[tuple[int, int, str]] = []
        self._drawn_timely: frozenset[str] = frozenset()

    def follow(self) -> None:
        """Draw again if other keys have become timely."""
        if self._timely != self._drawn_timely:
            self.refresh()

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        self.refresh()

    def shown(self, width: int) -> list[tuple[str, Binding]]:
        """The bindings that fit into ``width`` columns, each with the label of its key."""
        groups = self._groups()
        timely = self._timely
        chosen: list[tuple[str, Binding]] = []
        for group in sorted(groups, key=lambda group: _rank(group[1], timely)):
            rank, is_timely = _RANK.get(group[1].id or "", len(_RANK)), group[1].id in timely
            close = width >= NARROW or is_timely or rank <= _RANK["previous_session"]
            if _columns([*chosen, group], gap=1 if close else 2) <= width:
                chosen.append(group)
        return [group for group in groups if group in chosen]

    def _groups(self) -> list[tuple[str, Binding]]:
        """Every binding that may be shown; neighbours with the same description, such as [ and ], are one group."""
        groups: list[tuple[str, Binding]] = []
        timely = self._timely
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if not binding.description or not (binding.show or binding.id in timely) or self._is_typed(binding.key):
                continue
            label = self.app.get_key_display(binding)
            if self._is_typed(label):
                label = format_key(binding.key)  # such as f1, where a question mark would be typed
            if groups and groups[-1][1].description == binding.description:
                if groups[-1][1].id != binding.id:
                    groups[-1] = (f"{groups[-1][0]} {label}", groups[-1][1])
                continue
            if any(binding.action == other.action for _, other in groups):
                continue
            groups.append((label, binding))
        return groups

    @property
    def _timely(self) -> frozenset[str]:
        screen = self.screen
        return screen.timely_keys if isinstance(screen, LiveScreen) else frozenset()

    def _is_typed(self, key: str) -> bool:
        """Whether the focused input line would take the key as a letter."""
        focused = self.screen.focused
        return focused is not None and focused.check_consume_key(key, key_to_character(REPLACED_KEYS.get(key, key)))

    def render(self) -> RenderResult:
        self._spans, self._drawn_timely = [], self._timely
        waiting = {active.binding.id for active in self.screen.active_bindings.values() if not active.enabled}
        parts: list[str | Content | tuple[str, str]] = [" "]
        column = 1
        shown = self.shown(self.size.width)
        gap = 2 if _columns(shown, gap=2) <= self.size.width else 1
        for label, binding in shown:
            width = len(label) + 1 + len(binding.description)
            self._spans.append((column, column + width, binding.key))
            dim = binding.id in waiting
            parts += [(label, "$foreground-muted 60%" if dim else "bold $text-primary"), " "]
            parts += [(binding.description, "$foreground-muted 60%" if dim else "$foreground-muted"), " " * gap]
            column += width + gap
        return Content.assemble(*parts)

    def on_click(self, event: events.Click) -> None:
        for start, end, pressed in self._spans:
            if start <= event.x < end:
                self.app.simulate_key(pressed)
                return


def _columns(shown: list[tuple[str, Binding]], *, gap: int) -> int:
    return 1 + sum(len(label) + 1 + len(binding.description) + gap for label, binding in shown)


def _rank(binding: Binding, timely: frozenset[str]) -> tuple[bool, int]:
    """The order of the groups: the keys up to ``help`` in PRIORITY, then the timely ones, then the others."""
    rank = _RANK.get(binding.id or "", len(_RANK))
    return binding.id not in timely and rank > _RANK["help"], rank
