"""Every text can be read on what lies behind it: WCAG AA, 4.5 to 1, in each theme that is shipped. Pure."""

import pytest
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

from acode_tui.tui.themes import THEMES, grounds

AA = 4.5
TEXTS = ("foreground", "foreground-muted", "text-primary", "text-success", "text-warning", "text-error", "text-accent")
GROUNDS = ("background", "surface", "panel")


def variables(theme: Theme) -> dict[str, str]:
    return grounds(theme) | theme.to_color_system().generate() | theme.variables


def solid(value: str, ground: Color) -> Color:
    """A colour, transparent ones blended with what lies behind."""
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


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_text_can_be_read_on_every_ground(theme: Theme) -> None:
    known = variables(theme)
    grounds = {name: solid(known[name], Color.parse(known["background"])) for name in GROUNDS}
    poor = {
        f"{text} on {name}": round(contrast(solid(known[text], ground), ground), 2)
        for name, ground in grounds.items()
        for text in TEXTS
        if contrast(solid(known[text], ground), ground) < AA
    }
    assert poor == {}


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_the_cursor_the_selection_and_both_sides_of_a_diff_can_be_read(theme: Theme) -> None:
    known = variables(theme)
    background = Color.parse(known["background"])
    pairs = {
        "cursor": (known["block-cursor-foreground"], known["block-cursor-background"]),
        "cursor without the keys": (known["block-cursor-blurred-foreground"], known["block-cursor-blurred-background"]),
        "removed": (known["text-error"], known["removed-ground"]),
        "added": (known["text-success"], known["added-ground"]),
        "found": (known["found-text"], known["found-ground"]),
        "where one is": (known["here-text"], known["here-ground"]),
    }
    poor = {}
    for name, (text, ground) in pairs.items():
        behind = solid(ground, background)
        if (ratio := contrast(solid(text, behind), behind)) < AA:
            poor[name] = round(ratio, 2)
    assert poor == {}


@pytest.mark.parametrize("theme", [theme for theme in BUILTIN_THEMES.values() if theme.ansi], ids=lambda t: t.name)
def test_no_text_of_the_terminals_own_colours_stands_on_its_own_colour(theme: Theme) -> None:
    known = variables(theme)
    pairs = {"removed": "text-error", "added": "text-success", "found": "found-text", "here": "here-text"}
    assert [name for name, text in pairs.items() if known[text] == known[f"{name}-ground"]] == []
    assert known["removed-ground"] == known["added-ground"] == "ansi_default"


@pytest.mark.parametrize("theme", BUILTIN_THEMES.values(), ids=lambda theme: theme.name)
def test_every_theme_has_the_colours_behind_diffs(theme: Theme) -> None:
    assert all(Color.parse(value) for value in grounds(theme).values())
