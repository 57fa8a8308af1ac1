"""The dashboard's own two themes; Textual's are there as well."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from textual.app import App
from textual.color import BLACK, WHITE, Color
from textual.filter import LineFilter, Monochrome, NoColor
from textual.theme import Theme

from acode_tui.domain.display import clean
from acode_tui.domain.errors import AcodeError

TEXT, SIGN = 4.5, 3.0
"""Least ratios of luminances: of text, and of signs and frames that tell something."""

GROUNDS = ("background", "surface", "panel")
"""What text of any colour may stand on."""

TEXTS = (
    "foreground",
    "foreground-muted",
    "text-primary",
    "text-secondary",
    "text-success",
    "text-warning",
    "text-error",
    "text-accent",
)
SIGNS = ("primary", "warning", "error", "border")
PAIRS = {
    "block-cursor-foreground": "block-cursor-background",
    "block-cursor-blurred-foreground": "block-cursor-blurred-background",
    "input-cursor-foreground": "input-cursor-background",
    "found-text": "found-ground",
    "here-text": "here-ground",
}
"""Text that stands on a ground of its own."""

_STEPS = 25


def readable(known: Mapping[str, str]) -> dict[str, str]:
    """The variables of a theme that have to change, with what they become; ``known`` are all that it has."""
    background = solid(known["background"], BLACK)
    grounds = [solid(known[name], background) for name in GROUNDS]
    lit = [solid(known[name], background) for name in ("removed-ground", "added-ground")]
    changed = {name: _fit(known[name], grounds, TEXT) for name in TEXTS if name in known}
    changed["text-error"] = _fit(changed["text-error"], [*grounds, lit[0]], TEXT)
    changed["text-success"] = _fit(changed["text-success"], [*grounds, lit[1]], TEXT)
    changed |= {name: _fit(known[name], grounds, SIGN) for name in SIGNS}
    for name, ground in PAIRS.items():
        changed[name] = _fit(known[name], [solid(known[ground], background)], TEXT)
    changed["busy-border"] = _fit(background.blend(solid(known["warning"], background), 0.6).hex6, grounds, SIGN)
    return {name: value for name, value in changed.items() if value != known.get(name)}


def solid(value: str, ground: Color) -> Color:
    """A variable's colour on a ground: a share of it is blended, and ``auto`` is black or white, whichever tells."""
    name, _, share = value.partition(" ")
    alpha = float(share.rstrip("%")) / 100 if share else 1.0
    if name == "auto":
        return ground.blend(ground.get_contrast_text(1.0), alpha, alpha=1.0)
    parsed = Color.parse(name)
    return ground.blend(parsed.with_alpha(1.0), parsed.a * alpha, alpha=1.0)


def ratio(one: Color, other: Color) -> float:
    """How far apart two colours are in luminance, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Color) -> float:
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour.normalized
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _fit(value: str, grounds: Iterable[Color], least: float) -> str:
    """The value itself where it tells on all grounds, else the nearest on the way to black or white that does."""
    behind = list(grounds)
    if all(ratio(solid(value, ground), ground) >= least for ground in behind) and not value.startswith("auto"):
        return value
    start = solid(value, behind[0])
    away = max((WHITE, BLACK), key=lambda end: min(ratio(end, ground) for ground in behind))
    for step in range(_STEPS + 1):
        moved = Color.parse(start.blend(away, step / _STEPS).hex6)
        if all(ratio(moved, ground) >= least for ground in behind):
            return moved.hex6
    return away.hex6


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
