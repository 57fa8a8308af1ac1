"""The kept pictures are complete and small, and a difference names its themes. No dashboard runs here."""

import importlib
import pkgutil
import re
from collections import defaultdict
from pathlib import Path

from rich.segment import Segment
from rich.style import Style
from textual.screen import Screen
from textual.strip import Strip

import acode_tui.tui
from tests.tui.pictures import EXTENSIONS, SIZES, SNAPSHOTS, THEMES, plain_text, themes_that_differ
from tests.tui.svg import Look, picture

HEAD = re.compile(r'<svg [^>]*data-screen="(\w+)"')
NOT_SHOWN = {
    *(
        "BrowsingScreen",
        "PageReadingScreen",
        "JobDialog",
        "ListScreen",
        "LiveScreen",
        "NodeActions",
        "ProgressDialog",
        "QueryScreen",
        "RecordsScreen",
    ),
    *("CostsScreen", "QueryScreen", "RunFinder", "SaveDialog"),
}
"""Base classes of screens, which are not shown themselves."""


def screens() -> set[str]:
    """Every screen of the dashboard."""
    found = set()
    for module in pkgutil.walk_packages(acode_tui.tui.__path__, "acode_tui.tui."):
        for each in vars(importlib.import_module(module.name)).values():
            if isinstance(each, type) and issubclass(each, Screen) and each.__module__ == module.name:
                found.add(each.__name__)
    return found - NOT_SHOWN


def kept(kind: str) -> list[Path]:
    return sorted(SNAPSHOTS.rglob(f"*.{kind}"))


def test_every_state_is_kept_in_all_sizes_as_a_picture_or_as_text() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for path in (path for kind in EXTENSIONS for path in kept(kind)):
        state, _, size = path.stem.rstrip("]").rpartition(" ")
        found[f"{path.parent.name}/{state}"].add(f"{size}{path.suffix}")
    wanted = {f"{width}x{height}.{kind}" for (width, height), kind in SIZES.items()}
    assert {state: files for state, files in found.items() if files != wanted} == {}


def test_every_screen_is_pictured_in_all_themes() -> None:
    pictured: set[str] = set()
    for path in kept("svg"):
        text = path.read_text(encoding="utf-8")
        head = HEAD.match(text)
        assert head, path
        pictured.add(head[1])
        assert [theme for theme in THEMES if f'<g id="{theme}" ' not in text] == [], path
    assert screens() - pictured == set()


def test_a_text_has_a_line_for_each_row_of_its_terminal() -> None:
    heights = {f"{width}x{height}": height for width, height in SIZES}
    for path in kept("txt"):
        lines = path.read_text(encoding="utf-8").split("\n")
        assert len(lines) == heights[path.stem.rstrip("]").rpartition(" ")[2]] + 1, path
        assert lines == [line.rstrip() for line in lines], path


def test_all_pictures_together_stay_small() -> None:
    assert sum(path.stat().st_size for kind in EXTENSIONS for path in kept(kind)) < 5_000_000


def row(*parts: tuple[str, str]) -> Strip:
    return Strip([Segment(text, Style.parse(style)) for text, style in parts])


def test_a_picture_has_text_at_its_position_and_the_colours_behind_it() -> None:
    line = row(("ab  ", "red on #102030"), ("⌕ <&>", "bold #ffffff on #102030"), ("  ", "underline"), ("世界x", "dim"))
    drawn = picture([Look("one", [line])], screen="Some")
    assert '<path fill="#102030" d="M0 0h9v1H0z"/>' in drawn
    assert ">ab</tspan>" in drawn
    assert ">⌕<" in drawn
    assert 'x="50.4">&lt;&amp;&gt;<' in drawn
    assert "text-decoration:underline" in drawn
    assert 'x="126">x<' in drawn


def test_a_text_holds_the_characters_without_trailing_blanks() -> None:
    assert plain_text([row(("ab", "red"), ("  c  ", "bold")), row(("   ", ""))]) == "ab  c\n\n"


def test_a_difference_names_its_theme() -> None:
    before = picture([Look("dark", [row(("a", "red"))]), Look("light", [row(("a", "red"))])], screen="Some")
    after = picture([Look("dark", [row(("a", "red"))]), Look("light", [row(("b", "red"))])], screen="Some")
    assert themes_that_differ(before, after) == ["light"]
    recoloured = picture([Look("dark", [row(("a", "red"))]), Look("light", [row(("a", "blue"))])], screen="Some")
    assert themes_that_differ(before, recoloured) == ["light"]
