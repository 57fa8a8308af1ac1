"""Makes a theme's colours readable: text 4.5 to 1 against whatever it stands on, signs and frames 3 to 1 (WCAG 2, AA).

Textual's themes are made for other programs; where a colour of theirs is too weak here, it is moved towards white or
black, no further than it has to be. Colours of the terminal's own are left alone: nobody knows what they look like.
"""

from collections.abc import Iterable, Mapping

from textual.color import BLACK, WHITE, Color

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
