"""The dashboard's own two themes, the variables that it adds to every theme, and the theme that the user prefers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from textual.app import App
from textual.color import Color
from textual.filter import LineFilter, Monochrome, NoColor
from textual.theme import Theme

from acode_tui.domain.display import clean
from acode_tui.domain.errors import AcodeError
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


def corrected_variables(theme: Theme, variables: Mapping[str, str]) -> dict[str, str]:
    """All variables of a theme, with colours of too little contrast replaced.

    ``variables`` are those of Textual and of ``extra_variables``.
    """
    if not theme.ansi:
        return {**variables, **corrections(variables)}
    # Textual's warning of the light ANSI theme is bright red, a shade of its error: busy would look like bad.
    busy = "ansi_yellow" if theme.dark else "ansi_magenta"
    return {**variables, "warning": busy, "text-warning": busy, "busy-border": busy}


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
            "selected-match-background": "ansi_yellow",
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
        save: Callable[[str], None] | None,
        report: Callable[[BaseException], None],
    ) -> None:
        """``name`` is ``tui.theme``, None for the default. ``save`` keeps a chosen theme for the next start, and
        ``report`` shows the AcodeError that it raises.
        """
        self._app = app
        self._save = save
        self._report = report
        self._name = name or DEFAULT
        self._unknown: str | None = None
        for theme in THEMES:
            app.register_theme(theme)
        app.theme = DEFAULT
        self._apply()

    def begin(self) -> None:
        """Save every theme that is chosen from now on."""
        self._app.theme_changed_signal.subscribe(self._app, lambda theme: self._keep(theme.name))
        self._notify_unknown()

    def change(self, name: str | None) -> None:
        """Apply another value of ``tui.theme``."""
        self._name = name or DEFAULT
        self._apply()
        self._notify_unknown()

    def _apply(self) -> None:
        """Switch to the preferred theme; an unknown name leaves the theme as it is."""
        known = self._name in self._app.available_themes
        self._unknown = None if known else self._name
        if known:
            self._app.theme = self._name

    def _notify_unknown(self) -> None:
        if self._unknown is not None:
            text = f"there is no theme {self._unknown!r}; press t to choose one"
            self._app.notify(clean(text), title="theme", severity="warning", markup=False)

    def _keep(self, name: str) -> None:
        if self._save is None or name == self._name:
            return
        self._name = name
        try:
            self._save(name)
        except AcodeError as error:
            self._report(error)


def without_colours(app: App[Any], filters: Sequence[LineFilter]) -> list[LineFilter]:
    """The line filters where ``NO_COLOR`` is set: a theme with colours of its own becomes grey; an ANSI theme becomes
    the terminal's text colour on its background.

    Textual chooses the filter once, before a theme is applied: grey text of no colour would be black on black.
    """
    others = [each for each in filters if not isinstance(each, (Monochrome, NoColor))]
    return [*others, NoColor() if app.native_ansi_color else Monochrome()]
