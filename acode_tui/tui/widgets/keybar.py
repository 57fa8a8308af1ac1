"""The line at the bottom: the keys of the focused screen, as many as fit, never cut in the middle.

Below 100 columns only the essential six are shown; the rest is in the help and in the command palette. A key that has
to wait for a job under way is dim.
"""

from textual import events
from textual.app import RenderResult
from textual.binding import Binding
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget

from acode_tui.tui.bindings import ESSENTIAL

NARROW = 100
FEW = 6


class KeyBar(Widget):
    """Keys and what they do; a click presses the key."""

    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__(id="keys")
        self._spans: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        self.refresh()

    def shown(self, width: int) -> list[tuple[str, Binding]]:
        """The bindings that are shown in so many columns, each with its key as it is displayed."""
        groups: list[tuple[str, Binding]] = []
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if not binding.show or not binding.description:
                continue
            label = self.app.get_key_display(binding)
            if groups and groups[-1][1].description == binding.description:
                if groups[-1][1].id != binding.id:
                    groups[-1] = (f"{groups[-1][0]} {label}", groups[-1][1])
                continue
            if any(binding.action == other.action for _, other in groups):
                continue
            groups.append((label, binding))
        if width < NARROW:
            groups = [group for group in groups if group[1].id in ESSENTIAL][:FEW]
        while groups and _columns(groups, gap=1) > width:
            optional = [group for group in groups if group[1].id not in ESSENTIAL]
            groups.remove(optional[-1] if optional else groups[-1])
        return groups

    def render(self) -> RenderResult:
        self._spans = []
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
