"""Contrast of a theme's colours: finds those too close to their background, and corrects them. Pure.

The least ratios are those of WCAG 2 AA, https://www.w3.org/TR/WCAG21/#contrast-minimum.
"""

from collections.abc import Iterable, Mapping

from textual.color import BLACK, WHITE, Color

from acode_tui.tui.style.colour_depth import ColourDepth, shown

MIN_TEXT_RATIO, MIN_SIGN_RATIO = 4.5, 3.0
"""The least contrast ratios of text, and of glyphs and frames that carry meaning."""

BACKGROUNDS = ("background", "surface", "panel")
"""Variables of the background colours of text."""

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
TEXT_BACKGROUNDS = {
    "block-cursor-foreground": "block-cursor-background",
    "block-cursor-blurred-foreground": "block-cursor-blurred-background",
    "input-cursor-foreground": "input-cursor-background",
    "match-text": "match-background",
    "selected-match-text": "selected-match-background",
}
"""Variables of text with a background colour of its own, and of that background."""

_STEPS = 25


def corrections(variables: Mapping[str, str], depth: ColourDepth = "truecolor") -> dict[str, str]:
    """The variables of a theme whose contrast is too low in a terminal of this depth, each with a colour that has
    enough. Others are left out.
    """

    def corrected(value: str, backgrounds: Iterable[Color], least: float) -> str:
        return _corrected(value, backgrounds, least, depth)

    background = solid(variables["background"], BLACK)
    backgrounds = [solid(variables[name], background) for name in BACKGROUNDS]
    removed, added = (solid(variables[name], background) for name in ("removed-background", "added-background"))
    changed = {name: corrected(variables[name], backgrounds, MIN_TEXT_RATIO) for name in TEXTS if name in variables}
    changed["text-error"] = corrected(changed["text-error"], [*backgrounds, removed], MIN_TEXT_RATIO)
    changed["text-success"] = corrected(changed["text-success"], [*backgrounds, added], MIN_TEXT_RATIO)
    changed |= {name: corrected(variables[name], backgrounds, MIN_SIGN_RATIO) for name in SIGNS}
    for name, behind in TEXT_BACKGROUNDS.items():
        changed[name] = corrected(variables[name], [solid(variables[behind], background)], MIN_TEXT_RATIO)
    busy_border = background.blend(solid(variables["warning"], background), 0.6).hex6
    changed["busy-border"] = corrected(busy_border, backgrounds, MIN_SIGN_RATIO)
    return {name: value for name, value in changed.items() if value != variables.get(name)}


def solid(value: str, background: Color) -> Color:
    """The opaque colour of a variable on a background. ``auto`` is black or white, whichever has more contrast."""
    name, _, percent = value.partition(" ")
    alpha = float(percent.rstrip("%")) / 100 if percent else 1.0
    if name == "auto":
        return background.blend(background.get_contrast_text(1.0), alpha, alpha=1.0)
    parsed = Color.parse(name)
    return background.blend(parsed.with_alpha(1.0), parsed.a * alpha, alpha=1.0)


def ratio(one: Color, other: Color) -> float:
    """The contrast ratio of two colours, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Color) -> float:
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour.normalized
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _corrected(value: str, backgrounds: Iterable[Color], least: float, depth: ColourDepth) -> str:
    """The value if it has enough contrast on all backgrounds, else the nearest such colour towards black or white."""
    behind = list(backgrounds)

    def contrast(colour: Color) -> float:
        return min(ratio(shown(colour, depth), shown(background, depth)) for background in behind)

    least_now = min(contrast(solid(value, background)) for background in behind)
    if least_now >= least and not value.startswith("auto"):
        return value
    start = solid(value, behind[0])
    extreme = max((WHITE, BLACK), key=contrast)
    for step in range(_STEPS + 1):
        moved = Color.parse(start.blend(extreme, step / _STEPS).hex6)
        if contrast(moved) >= least:
            return moved.hex6
    return extreme.hex6
