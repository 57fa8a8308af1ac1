"""The dashboard's own two themes; Textual's are there as well."""

from collections.abc import Mapping

from textual.color import Color
from textual.theme import Theme

from acode_tui.tui.contrast import readable

DEFAULT = "acode-night"

THEMES = (
    Theme(
        name="acode-night",
        primary="#7aa2f7",
        secondary="#9aa5ce",
        accent="#bb9af7",
        warning="#e0af68",
        error="#f7768e",
        success="#9ece6a",
        foreground="#c8d0e8",
        background="#12141c",
        surface="#171a24",
        panel="#1f2330",
        dark=True,
        variables={
            "foreground-muted": "#848eac",
            "border": "#7aa2f7",
            "border-blurred": "#2f3549",
            "block-cursor-background": "#2c3a5e",
            "block-cursor-foreground": "#eef2ff",
            "block-cursor-text-style": "bold",
            "block-cursor-blurred-background": "#232a3f",
            "block-cursor-blurred-foreground": "#c8d0e8",
            "input-selection-background": "#7aa2f7 35%",
            "scrollbar": "#2f3549",
            "scrollbar-hover": "#414868",
            "scrollbar-active": "#7aa2f7",
            "scrollbar-background": "#12141c",
            "scrollbar-background-hover": "#12141c",
            "scrollbar-background-active": "#12141c",
            "scrollbar-corner-color": "#12141c",
        },
    ),
    Theme(
        name="acode-day",
        primary="#2f5fc4",
        secondary="#566089",
        accent="#7847bd",
        warning="#8f5e15",
        error="#b3234b",
        success="#3d7a1e",
        foreground="#2b3350",
        background="#f4f5f9",
        surface="#ebedf4",
        panel="#dfe2ec",
        dark=False,
        variables={
            "foreground-muted": "#596080",
            "border": "#2f5fc4",
            "border-blurred": "#c3c8d8",
            "block-cursor-background": "#cddaf7",
            "block-cursor-foreground": "#12214f",
            "block-cursor-text-style": "bold",
            "block-cursor-blurred-background": "#dfe5f3",
            "block-cursor-blurred-foreground": "#2b3350",
            "scrollbar": "#c3c8d8",
            "scrollbar-background": "#f4f5f9",
            "scrollbar-background-hover": "#f4f5f9",
            "scrollbar-background-active": "#f4f5f9",
            "scrollbar-corner-color": "#f4f5f9",
        },
    ),
)


def colours(theme: Theme, known: Mapping[str, str]) -> dict[str, str]:
    """All variables of a theme, ``known`` being Textual's and ``grounds``: what could not be read is corrected."""
    if not theme.ansi:
        return {**known, **readable(known)}
    # On paper bright red is a shade of red: what is busy would look like what is bad.
    busy = "ansi_yellow" if theme.dark else "ansi_magenta"
    return {**known, "warning": busy, "text-warning": busy, "busy-border": busy}


def grounds(theme: Theme) -> dict[str, str]:
    """What lies behind a diff's lines and behind text that was found, for any theme, as variables of the styles.

    A terminal's own sixteen colours know no shades: there a diff is told by its text alone.
    """
    if theme.ansi:
        return {
            "removed-ground": "ansi_default",
            "added-ground": "ansi_default",
            "found-text": "ansi_black",
            "found-ground": "ansi_cyan",
            "here-text": "ansi_black",
            "here-ground": "ansi_yellow",
        }
    known = theme.to_color_system().generate() | theme.variables
    background, warning = Color.parse(known["background"]), Color.parse(known["warning"])
    return {
        "removed-ground": background.blend(Color.parse(known["error"]), 0.12).hex6,
        "added-ground": background.blend(Color.parse(known["success"]), 0.12).hex6,
        "found-text": known["foreground"],
        "found-ground": background.blend(warning, 0.25).hex6,
        "here-text": known["background"],
        "here-ground": warning.hex6,
    }
