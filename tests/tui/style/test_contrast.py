"""In every theme of the chooser text has a contrast of 4.5 to 1, and signs and frames 3 to 1 (WCAG 2 AA), in truecolor,
as the nearest of 256 colours, and in the sixteen of a terminal. Pure.
"""

import pytest
from rich.color import Color as RichColor
from rich.color import ColorSystem
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

from acode_tui.tui.style.colour_depth import ColourDepth
from acode_tui.tui.style.themes import THEMES, corrected_variables, extra_variables, own_themes

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
SIGNS = ("primary", "border", "busy-border", "error", "warning")
GROUNDS = ("background", "surface", "panel")
OFFERED: list[tuple[ColourDepth, Theme]] = [
    (depth, theme)
    for depth in ("truecolor", "256")
    for theme in (*own_themes(depth), *BUILTIN_THEMES.values())
    if not theme.ansi
]
ANSI = [theme for theme in BUILTIN_THEMES.values() if theme.ansi]
each_theme = pytest.mark.parametrize(("depth", "theme"), OFFERED, ids=lambda value: getattr(value, "name", value))
each_ansi_theme = pytest.mark.parametrize("theme", ANSI, ids=lambda theme: theme.name)


def variables(theme: Theme, depth: ColourDepth = "truecolor") -> dict[str, str]:
    known = extra_variables(theme) | theme.to_color_system().generate() | theme.variables
    return corrected_variables(theme, known, depth)


def painted(colour: Color, depth: ColourDepth) -> Color:
    """What a terminal of this depth shows for a colour, as Rich writes it."""
    rich = RichColor.from_rgb(*colour.rgb)
    return Color(*(rich.downgrade(ColorSystem.EIGHT_BIT) if depth == "256" else rich).get_truecolor())


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


def poor(pairs: dict[str, tuple[str, str]], depth: ColourDepth, theme: Theme, least: float) -> dict[str, float]:
    """The pairs of a colour and its background whose contrast is too low, with their ratios."""
    known = variables(theme, depth)
    background = Color.parse(known["background"])
    ratios = {}
    for name, (drawn, behind) in pairs.items():
        ground = solid(known[behind], background)
        ratios[name] = contrast(painted(solid(known[drawn], ground), depth), painted(ground, depth))
    return {name: round(ratio, 2) for name, ratio in ratios.items() if ratio < least}


@each_theme
def test_text_has_enough_contrast_on_every_background(depth: ColourDepth, theme: Theme) -> None:
    pairs = {f"{text} on {ground}": (text, ground) for ground in GROUNDS for text in TEXTS}
    assert poor(pairs, depth, theme, TEXT) == {}


@each_theme
def test_cursor_matches_and_both_sides_of_a_diff_have_enough_contrast(depth: ColourDepth, theme: Theme) -> None:
    pairs = {
        "cursor": ("block-cursor-foreground", "block-cursor-background"),
        "cursor without the keys": ("block-cursor-blurred-foreground", "block-cursor-blurred-background"),
        "cursor of a line": ("input-cursor-foreground", "input-cursor-background"),
        "removed": ("text-error", "removed-background"),
        "added": ("text-success", "added-background"),
        "match": ("match-text", "match-background"),
        "selected match": ("selected-match-text", "selected-match-background"),
    }
    assert poor(pairs, depth, theme, TEXT) == {}


@each_theme
def test_signs_and_frames_with_meaning_have_enough_contrast(depth: ColourDepth, theme: Theme) -> None:
    signs = ("primary", "border", "busy-border", "error")
    pairs = {f"{sign} on {ground}": (sign, ground) for sign in signs for ground in GROUNDS}
    assert poor(pairs, depth, theme, SIGN) == {}


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


@pytest.mark.parametrize("theme", own_themes("256"), ids=lambda theme: theme.name)
def test_of_256_colours_a_cursor_has_another_one_with_the_keys_and_no_ground_but_its_own(theme: Theme) -> None:
    known = variables(theme, "256")
    names = ("background", "panel", "block-cursor-background", "block-cursor-blurred-background", "border-blurred")
    assert len({painted(Color.parse(known[name]), "256") for name in names}) == len(names)


VGA = "000 a00 0a0 a50 00a a0a 0aa aaa 555 f55 5f5 ff5 55f f5f 5ff fff"
XTERM = "000 cd0000 00cd00 cdcd00 0000ee cd00cd 00cdcd e5e5e5 7f7f7f f00 0f0 ff0 5c5cff f0f 0ff fff"
NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")


def of_palette(palette: str, value: str, default: str) -> Color:
    """The colour that a terminal with this palette shows for an ANSI colour."""
    name = value.partition(" ")[0].removeprefix("ansi_")
    if name in ("default", "transparent"):
        return Color.parse(default)
    return Color.parse("#" + palette.split()[NAMES.index(name.removeprefix("bright_")) + 8 * ("bright_" in name)])


@pytest.mark.parametrize("palette", [VGA, XTERM], ids=["console", "xterm"])
@each_ansi_theme
def test_of_sixteen_colours_those_of_text_signs_and_cursors_have_enough_contrast(theme: Theme, palette: str) -> None:
    known = variables(theme)
    ground, text = ("#000000", "#aaaaaa") if theme.dark else ("#ffffff", "#000000")
    backgrounds = dict.fromkeys(TEXTS, "ansi_default")
    cursors = [name.removesuffix("foreground") for name in known if name.endswith("cursor-foreground")]
    backgrounds |= {f"{name}foreground": f"{name}background" for name in cursors}
    backgrounds |= {name: f"{name.removesuffix('-text')}-background" for name in ("match-text", "selected-match-text")}
    ratios = {
        name: contrast(of_palette(palette, known[name], text), of_palette(palette, known.get(behind, behind), ground))
        for name, behind in backgrounds.items()
    }
    assert {name: round(ratio, 2) for name, ratio in ratios.items() if ratio < TEXT} == {}
    signs = {name: contrast(of_palette(palette, known[name], text), Color.parse(ground)) for name in SIGNS}
    assert {name: round(ratio, 2) for name, ratio in signs.items() if ratio < SIGN} == {}


@each_ansi_theme
def test_in_ansi_themes_busy_and_bad_are_different_colours(theme: Theme) -> None:
    known = variables(theme)
    colours = {known[name].removeprefix("ansi_").removeprefix("bright_") for name in ("busy-border", "error")}
    assert len(colours) == len({known[f"text-{role}"] for role in ("warning", "error")}) == 2
    assert known["border"] not in (known["busy-border"], known["error"])


@pytest.mark.parametrize("theme", BUILTIN_THEMES.values(), ids=lambda theme: theme.name)
def test_every_theme_has_the_colours_behind_diffs(theme: Theme) -> None:
    assert all(Color.parse(value) for value in extra_variables(theme).values())
