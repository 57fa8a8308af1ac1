"""The number of colours and the theme follow from what the terminal says, unless the user says it."""

import pytest
from textual.theme import BUILTIN_THEMES

from acode_tui.tui.style.colour_depth import TerminalColours, terminal_colours
from acode_tui.tui.style.themes import THEMES, theme_for

KNOWN = {"xterm": 8, "xterm-256color": 256, "linux": 8, "vt100": 0, "screen": 8, "xterm-direct": 1 << 24}
AVAILABLE = {theme.name: theme for theme in (*THEMES, *BUILTIN_THEMES.values())}
TRUE = {"COLORTERM": "truecolor"}


@pytest.mark.parametrize(
    ("environ", "depth", "theme"),
    [
        ({"TERM": "xterm-256color", **TRUE}, "truecolor", "acode-night"),
        ({"TERM": "xterm-direct"}, "truecolor", "acode-night"),
        ({"TERM": "xterm-256color", **TRUE, "COLORFGBG": "0;15"}, "truecolor", "acode-day"),
        ({"TERM": "xterm-256color"}, "256", "acode-night"),
        ({"TERM": "xterm-256color", "COLORFGBG": "0;default;15"}, "256", "acode-day"),
        ({"TERM": "xterm-kitty"}, "256", "acode-night"),
        ({"TERM": "xterm"}, "16", "ansi-dark"),
        ({"TERM": "linux", "COLORFGBG": "15;0"}, "16", "ansi-dark"),
        ({"TERM": "screen", "COLORFGBG": "0;15"}, "16", "ansi-light"),
        ({"TERM": "nothing-knows-it"}, "16", "ansi-dark"),
        ({}, "16", "ansi-dark"),
        ({"TERM": "vt100"}, "mono", "ansi-dark"),
        ({"TERM": "vt420"}, "mono", "ansi-dark"),
        ({"TERM": "xterm-256color", **TRUE, "NO_COLOR": "1"}, "mono", "ansi-dark"),
        ({"TERM": "xterm-256color", **TRUE, "NO_COLOR": ""}, "truecolor", "acode-night"),
        ({"TERM": "vt100", "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver"}, "truecolor", "acode-night"),
    ],
)
def test_depth_and_theme_are_those_that_the_terminal_names(environ: dict[str, str], depth: str, theme: str) -> None:
    found = terminal_colours(environ, colours=KNOWN.get)
    assert found.depth == depth
    assert theme_for(None, found, AVAILABLE) == theme


def test_the_user_decides_where_the_terminal_can_show_it() -> None:
    assert terminal_colours({"TERM": "vt100"}, "256").depth == "256"
    assert theme_for("nord", TerminalColours("256"), AVAILABLE) == "nord"
    assert theme_for("acode-day", TerminalColours("16"), AVAILABLE) == "ansi-light"
    assert theme_for("ansi-light", TerminalColours("mono"), AVAILABLE) == "ansi-light"
