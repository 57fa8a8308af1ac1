"""In every theme of the chooser text has a contrast of 4.5 to 1, and signs and frames 3 to 1 (WCAG 2 AA). Pure."""

import pytest
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

from acode_tui.tui.style.themes import THEMES, corrected_variables, extra_variables

TEXT, SIGN = 4.5, 3.0
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
GROUNDS = ("background", "surface", "panel")
OFFERED = [theme for theme in (*THEMES, *BUILTIN_THEMES.values()) if not theme.ansi]
ANSI = [theme for theme in BUILTIN_THEMES.values() if theme.ansi]
each_theme = pytest.mark.parametrize("theme", OFFERED, ids=lambda theme: theme.name)
each_ansi_theme = pytest.mark.parametrize("theme", ANSI, ids=lambda theme: theme.name)


def variables(theme: Theme) -> dict[str, str]:
    return corrected_variables(theme, extra_variables(theme) | theme.to_color_system().generate() | theme.variables)


def solid(value: str, ground: Color) -> Color:
    """The opaque colour on a background."""
    colour, _, share = value.partition(" ")
    parsed = Color.parse(colour)
    alpha = parsed.a * (float(share.rstrip("%")) / 100 if share else 1.0)
    return ground.blend(parsed.with_alpha(1.0), alpha, alpha=1.0)


def contrast(text: Color, ground: Color) -> float:
    """The ratio of relative luminances, from 1 to 21."""
    lighter, darker = sorted((_luminance(text), _luminance(ground)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Color) -> float:
    channels = (channel / 255 for channel in (colour.r, colour.g, colour.b))
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def poor(pairs: dict[str, tuple[str, str]], theme: Theme, least: float) -> dict[str, float]:
    """The pairs of a colour and its background whose contrast is too low, with their ratios."""
    known = variables(theme)
    background = Color.parse(known["background"])
    ratios = {}
    for name, (drawn, behind) in pairs.items():
        ground = solid(known[behind], background)
        ratios[name] = contrast(solid(known[drawn], ground), ground)
    return {name: round(ratio, 2) for name, ratio in ratios.items() if ratio < least}


@each_theme
def test_text_has_enough_contrast_on_every_background(theme: Theme) -> None:
    pairs = {f"{text} on {ground}": (text, ground) for ground in GROUNDS for text in TEXTS}
    assert poor(pairs, theme, TEXT) == {}


@each_theme
def test_cursor_matches_and_both_sides_of_a_diff_have_enough_contrast(theme: Theme) -> None:
    pairs = {
        "cursor": ("block-cursor-foreground", "block-cursor-background"),
        "cursor without the keys": ("block-cursor-blurred-foreground", "block-cursor-blurred-background"),
        "cursor of a line": ("input-cursor-foreground", "input-cursor-background"),
        "removed": ("text-error", "removed-background"),
        "added": ("text-success", "added-background"),
        "match": ("match-text", "match-background"),
        "selected match": ("selected-match-text", "selected-match-background"),
    }
    assert poor(pairs, theme, TEXT) == {}


@each_theme
def test_signs_and_frames_with_meaning_have_enough_contrast(theme: Theme) -> None:
    signs = ("primary", "border", "busy-border", "error")
    assert poor({f"{sign} on {ground}": (sign, ground) for sign in signs for ground in GROUNDS}, theme, SIGN) == {}


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_the_dashboards_own_themes_need_no_correction(theme: Theme) -> None:
    known = extra_variables(theme) | theme.to_color_system().generate() | theme.variables
    assert {name for name, value in variables(theme).items() if known.get(name) != value} <= {"busy-border"}


@each_ansi_theme
def test_in_ansi_themes_no_text_has_its_own_colour_as_background(theme: Theme) -> None:
    known = variables(theme)
    pairs = {"removed": "text-error", "added": "text-success", "match": "match-text"}
    pairs["selected-match"] = "selected-match-text"
    assert [name for name, text in pairs.items() if known[text] == known[f"{name}-background"]] == []
    assert known["removed-background"] == known["added-background"] == "ansi_default"


@each_ansi_theme
def test_in_ansi_themes_busy_and_bad_are_different_colours(theme: Theme) -> None:
    known = variables(theme)
    colours = {known[name].removeprefix("ansi_").removeprefix("bright_") for name in ("busy-border", "error")}
    assert len(colours) == len({known[f"text-{role}"] for role in ("warning", "error")}) == 2
    assert known["border"] not in (known["busy-border"], known["error"])


@pytest.mark.parametrize("theme", BUILTIN_THEMES.values(), ids=lambda theme: theme.name)
def test_every_theme_has_the_colours_behind_diffs(theme: Theme) -> None:
    assert all(Color.parse(value) for value in extra_variables(theme).values())
