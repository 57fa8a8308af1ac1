"""How many colours the terminal has, and whether its background is light, by what the terminal says."""

import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal, NamedTuple

from rich.color import Color as RichColor
from rich.color import ColorSystem
from textual.app import App
from textual.color import Color

ColourDepth = Literal["truecolor", "256", "16", "mono"]

_SYSTEMS: dict[ColourDepth, ColorSystem] = {
    "truecolor": ColorSystem.TRUECOLOR,
    "256": ColorSystem.EIGHT_BIT,
    "16": ColorSystem.STANDARD,
    "mono": ColorSystem.STANDARD,
}
_MODERN = ("kitty", "alacritty", "foot", "wezterm", "ghostty", "contour", "konsole", "vte", "iterm", "rio")
"""Parts of the names of terminals that have 256 colours at least, also where their description is not installed."""
_LIGHT_GROUNDS = ("7", "9", "10", "11", "12", "13", "14", "15")
"""Numbers of the sixteen colours that are light."""


class TerminalColours(NamedTuple):
    """What the terminal can show; ``light`` if its background is."""

    depth: ColourDepth = "truecolor"
    light: bool = False


EVERY_COLOUR = TerminalColours()


def terminal_colours(
    environ: Mapping[str, str], wanted: str = "auto", colours: Callable[[str], int | None] | None = None
) -> TerminalColours:
    """The colours that the environment tells of; ``wanted`` is ``auto`` or a depth. ``colours`` answers with the number
    of colours of the terminal of a name: 0 for none, None where it is not known.
    """
    light = environ.get("COLORFGBG", "").rpartition(";")[2] in _LIGHT_GROUNDS
    for depth in _SYSTEMS:
        if wanted == depth:
            return TerminalColours(depth, light)
    return TerminalColours(_depth(environ, colours or colours_of), light)


def _depth(environ: Mapping[str, str], colours: Callable[[str], int | None]) -> ColourDepth:
    # A browser's terminal shows every colour; the server's own terminal says nothing about it.
    if environ.get("TEXTUAL_DRIVER", "").startswith("textual.drivers.web_driver:"):
        return "truecolor"
    if environ.get("NO_COLOR"):
        return "mono"
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "truecolor"
    term = environ.get("TERM", "").lower()
    number = colours(term)
    if number is None:
        number = _number_by_name(term)
    if number >= 1 << 24:
        return "truecolor"
    if number >= 256:
        return "256"
    return "16" if number >= 8 else "mono"


def _number_by_name(term: str) -> int:
    if term.endswith("-direct"):
        return 1 << 24
    if "256" in term or any(name in term for name in _MODERN):
        return 256
    return 0 if term.endswith(("-m", "-mono")) or term.startswith("vt") else 16


def colours_of(term: str) -> int | None:
    """The number of colours in the system's description of a terminal; None where there is no description."""
    try:
        import curses

        curses.setupterm(term, sys.__stdout__.fileno() if sys.__stdout__ is not None else -1)
        return max(curses.tigetnum("colors"), 0)
    except (ImportError, OSError, curses.error):
        return None


def apply_depth(app: App[Any], depth: ColourDepth) -> None:
    """Have the app's output use this many colours. Textual looks at ``COLORTERM`` and the name of the terminal only."""
    app.console._color_system = _SYSTEMS[depth]
    app.no_color = depth == "mono"


@cache
def shown(colour: Color, depth: ColourDepth) -> Color:
    """The colour that the terminal shows for this one. With 256 it is one of the fixed 240, not of the user's 16."""
    if depth != "256":
        return colour
    nearest = RichColor.from_rgb(*colour.rgb).downgrade(ColorSystem.EIGHT_BIT)
    return Color(*nearest.get_truecolor())
