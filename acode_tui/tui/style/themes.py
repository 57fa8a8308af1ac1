"""The dashboard's own two themes, the variables that it adds to every theme, and the theme that the user prefers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from textual.app import App
from textual.color import Color
from textual.filter import LineFilter, Monochrome, NoColor
from textual.theme import Theme

from acode_tui.domain.display import clean
from acode_tui.domain.errors import AcodeError
from acode_tui.tui.style.colour_depth import ColourDepth, TerminalColours
from acode_tui.tui.style.contrast import corrections

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


_OF_256: dict[str, dict[str, str]] = {
    "acode-night": {
        "background": "#121212",
        "surface": "#1c1c1c",
        "panel": "#2e2e2e",
        "foreground": "#d0d0d0",
        "foreground-muted": "#949494",
        "removed-background": "#5f0000",
        "added-background": "#005f00",
        "border-blurred": "#4e4e4e",
        "block-cursor-background": "#005f87",
        "block-cursor-blurred-background": "#444444",
        "scrollbar": "#4e4e4e",
        "scrollbar-hover": "#6c6c6c",
        "scrollbar-background": "#121212",
        "scrollbar-background-hover": "#121212",
        "scrollbar-background-active": "#121212",
        "scrollbar-corner-color": "#121212",
    },
    "acode-day": {
        "background": "#ffffff",
        "surface": "#f4f4f4",
        "panel": "#ebebeb",
        "foreground": "#262626",
        "foreground-muted": "#5e5e5e",
        "text-error": "#af0000",
        "match-background": "#ffd787",
        "border-blurred": "#b2b2b2",
        "block-cursor-background": "#afd7ff",
        "block-cursor-blurred-background": "#d7d7ff",
        "scrollbar": "#b2b2b2",
        "scrollbar-background": "#ffffff",
        "scrollbar-background-hover": "#ffffff",
        "scrollbar-background-active": "#ffffff",
        "scrollbar-corner-color": "#ffffff",
    },
}
"""Colours of the own themes in a terminal of 256, whose dark and light shades are few: the nearest to those above are
navy for a panel and, for cursors with and without the keys, the same.
"""

_OF_16: dict[bool, dict[str, str]] = {
    True: {
        "primary": "ansi_bright_cyan",
        "warning": "ansi_bright_yellow",
        "error": "ansi_bright_red",
        "text-primary": "ansi_bright_cyan",
        "text-warning": "ansi_bright_yellow",
        "text-error": "ansi_bright_red",
        "text-accent": "ansi_cyan",
        "border": "ansi_bright_cyan",
        "border-blurred": "ansi_bright_black",
        "busy-border": "ansi_bright_yellow",
        "input-cursor-foreground": "ansi_black",
        "input-cursor-background": "ansi_white",
        "input-selection-background": "ansi_cyan",
        "screen-selection-background": "ansi_cyan",
        "link-color": "ansi_bright_cyan",
        "footer-key-foreground": "ansi_bright_cyan",
        "scrollbar": "ansi_bright_black",
        "scrollbar-hover": "ansi_white",
        "scrollbar-active": "ansi_white",
    },
    False: {
        "warning": "ansi_magenta",
        "text-primary": "ansi_blue",
        "text-secondary": "ansi_blue",
        "text-success": "ansi_black",
        "text-warning": "ansi_magenta",
        "border": "ansi_blue",
        "busy-border": "ansi_magenta",
        "input-selection-foreground": "ansi_black",
        "screen-selection-foreground": "ansi_black",
    },
}
"""Colours of the ANSI themes, by whether they are dark: the ones of Textual that are dim on the ground, such as the
blue of a console on black and every green on white, are replaced by others of the sixteen.
"""


def own_themes(depth: ColourDepth) -> tuple[Theme, ...]:
    """The dashboard's own themes for a terminal of this depth."""
    if depth != "256":
        return THEMES
    return tuple(_with_colours(theme, _OF_256[theme.name]) for theme in THEMES)


def _with_colours(theme: Theme, colours: Mapping[str, str]) -> Theme:
    return replace(
        theme,
        background=colours["background"],
        surface=colours["surface"],
        panel=colours["panel"],
        variables={**theme.variables, **colours},
    )


def theme_for(name: str | None, terminal: TerminalColours, themes: Mapping[str, Theme]) -> str:
    """The theme that a terminal starts with, for the user's own choice or None.

    A terminal of sixteen colours or none cannot show a theme with colours of its own: it gets the one that is made of
    the terminal's, as dark as the one chosen.
    """
    if terminal.depth in ("truecolor", "256"):
        return name or ("acode-day" if terminal.light else DEFAULT)
    chosen = themes.get(name or "")
    if chosen is not None and chosen.ansi:
        return chosen.name
    dark = chosen.dark if chosen is not None and terminal.depth == "16" else not terminal.light
    return "ansi-dark" if dark else "ansi-light"


def corrected_variables(theme: Theme, variables: Mapping[str, str], depth: ColourDepth = "truecolor") -> dict[str, str]:
    """All variables of a theme, with colours of too little contrast in a terminal of this depth replaced.

    ``variables`` are those of Textual and of ``extra_variables``.
    """
    if not theme.ansi:
        return {**variables, **corrections(variables, depth)}
    return {**variables, "block-cursor-blurred-text-style": "underline", **_OF_16[theme.dark]}


def extra_variables(theme: Theme) -> dict[str, str]:
    """The variables that Textual's themes do not have: colours of a diff's lines and of search matches.

    The sixteen colours of a terminal have no shades: there only the text of a diff is coloured, not its background.
    """
    if theme.ansi:
        return {
            "removed-background": "ansi_default",
            "added-background": "ansi_default",
            "match-text": "ansi_black",
            "match-background": "ansi_cyan",
            "selected-match-text": "ansi_black",
            "selected-match-background": "ansi_bright_yellow",
        }
    variables = theme.to_color_system().generate() | theme.variables
    background, warning = Color.parse(variables["background"]), Color.parse(variables["warning"])
    return {
        "removed-background": background.blend(Color.parse(variables["error"]), 0.12).hex6,
        "added-background": background.blend(Color.parse(variables["success"]), 0.12).hex6,
        "match-text": variables["foreground"],
        "match-background": background.blend(warning, 0.25).hex6,
        "selected-match-text": variables["background"],
        "selected-match-background": warning.hex6,
    }


class ThemePreference:
    """The theme that the user prefers: applied from the settings, and saved when another one is chosen."""

    def __init__(
        self,
        app: App[Any],
        name: str | None,
        *,
        terminal: TerminalColours,
        save: Callable[[str], None] | None,
        report: Callable[[BaseException], None],
    ) -> None:
        """``name`` is ``tui.theme``, None for what fits the terminal. ``save`` keeps a chosen theme for the next start,
        and ``report`` shows the AcodeError that it raises.
        """
        self._app = app
        self._terminal = terminal
        self._save = save
        self._report = report
        self._name = name
        self._unknown: str | None = None
        for theme in own_themes(terminal.depth):
            app.register_theme(theme)
        app.theme = theme_for(None, terminal, app.available_themes)
        self._apply()

    def begin(self) -> None:
        """Save every theme that is chosen from now on."""
        self._app.theme_changed_signal.subscribe(self._app, lambda theme: self._keep(theme.name))
        self._notify_unknown()

    def change(self, name: str | None) -> None:
        """Apply another value of ``tui.theme``."""
        self._name = name
        self._apply()
        self._notify_unknown()

    def _apply(self) -> None:
        """Switch to the preferred theme; an unknown name leaves the theme as it is."""
        known = self._name is None or self._name in self._app.available_themes
        self._unknown = None if known else self._name
        if known:
            self._app.theme = theme_for(self._name, self._terminal, self._app.available_themes)

    def _notify_unknown(self) -> None:
        if self._unknown is not None:
            text = f"there is no theme {self._unknown!r}; press t to choose one"
            self._app.notify(clean(text), title="theme", severity="warning", markup=False)

    def _keep(self, name: str) -> None:
        fitting = theme_for(self._name, self._terminal, self._app.available_themes)
        if self._save is None or name in (self._name, fitting):
            return
        self._name = name
        try:
            self._save(name)
        except AcodeError as error:
            self._report(error)


def without_colours(app: App[Any], filters: Sequence[LineFilter]) -> list[LineFilter]:
    """The line filters of a terminal without colours: a theme with colours of its own becomes grey; an ANSI theme
    becomes the terminal's text colour on its background.

    Textual chooses the filter once, before a theme is applied: grey text of no colour would be black on black.
    """
    others = [each for each in filters if not isinstance(each, (Monochrome, NoColor))]
    return [*others, NoColor() if app.native_ansi_color else Monochrome()]
