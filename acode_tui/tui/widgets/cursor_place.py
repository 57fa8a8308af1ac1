"""Where on the screen the user looks: the line of the cursor in the widget that has the keys."""

from typing import Any, Protocol, runtime_checkable

from textual.screen import Screen
from textual.widget import Widget


@runtime_checkable
class HasCursorLine(Protocol):
    """A widget with a cursor on one of its lines."""

    @property
    def cursor_y(self) -> int:
        """The cursor's line, counted from the top of the widget's content as it is scrolled now."""
        ...


def cursor_is_low(widget: Widget | None, height: int) -> bool:
    """Whether the cursor is in the lower half of a screen of this height."""
    if not isinstance(widget, HasCursorLine):
        return False
    return 2 * (widget.content_region.y + widget.cursor_y) >= height


@runtime_checkable
class MakesRoom(Protocol):
    """A screen that shows a list with its detail, so that no half of it is free for a toast."""

    @property
    def toasts_make_room(self) -> bool:
        """Whether the screen gets smaller while toasts are shown, instead of being covered by them."""
        ...


def toasts_make_room(screen: Screen[Any]) -> bool:
    """Whether the screen makes room for toasts."""
    return isinstance(screen, MakesRoom) and screen.toasts_make_room
