"""The pictures are complete, small, and tell what differs. Without a dashboard."""

import importlib
import pkgutil
import re
from collections import defaultdict

from rich.segment import Segment
from rich.style import Style
from textual.screen import Screen
from textual.strip import Strip

import acode_tui.tui
from tests.tui.pictures import SIZES, SNAPSHOTS, THEMES, themes_that_differ
from tests.tui.svg import Look, picture

HEAD = re.compile(r'<svg [^>]*data-screen="(\w+)"')
NOT_SHOWN = {"BrowsingScreen", "Doors", "JobDialog", "LiveScreen", "RecordsScreen", "SavingDialog"}
"""What screens have in common, and what is none by itself."""


def screens() -> set[str]:
    """Every screen of the dashboard."""
    found = set()
    for module in pkgutil.walk_packages(acode_tui.tui.__path__, "acode_tui.tui."):
        for each in vars(importlib.import_module(module.name)).values():
            if isinstance(each, type) and issubclass(each, Screen) and each.__module__ == module.name:
                found.add(each.__name__)
    return found - NOT_SHOWN


def test_every_screen_is_pictured_and_every_state_in_all_sizes_and_themes() -> None:
    pictured: set[str] = set()
    sizes: dict[str, set[str]] = defaultdict(set)
    for path in SNAPSHOTS.rglob("*.svg"):
        state, _, size = path.stem.rstrip("]").rpartition(" ")
        sizes[f"{path.parent.name}/{state}"].add(size)
        text = path.read_text(encoding="utf-8")
        head = HEAD.match(text)
        assert head, path
        pictured.add(head[1])
        assert [theme for theme in THEMES if f'<g id="{theme}" ' not in text] == [], path
    wanted = {f"{width}x{height}" for width, height in SIZES}
    assert {state: found for state, found in sizes.items() if found != wanted} == {}
    assert screens() - pictured == set()


def test_all_pictures_together_stay_small() -> None:
    assert sum(path.stat().st_size for path in SNAPSHOTS.rglob("*.svg")) < 12_000_000


def row(*parts: tuple[str, str]) -> Strip:
    return Strip([Segment(text, Style.parse(style)) for text, style in parts])


def test_a_picture_holds_text_where_it_stands_and_the_colours_behind_it() -> None:
    line = row(("ab  ", "red on #102030"), ("⌕ <&>", "bold #ffffff on #102030"), ("  ", "underline"), ("世界x", "dim"))
    drawn = picture([Look("one", [line])], screen="Some")
    assert '<path fill="#102030" d="M0 0h9v1H0z"/>' in drawn
    assert ">ab</tspan>" in drawn
    assert ">⌕<" in drawn
    assert 'x="50.4">&lt;&amp;&gt;<' in drawn
    assert "text-decoration:underline" in drawn
    assert 'x="126">x<' in drawn


def test_what_differs_is_told_by_its_theme() -> None:
    before = picture([Look("dark", [row(("a", "red"))]), Look("light", [row(("a", "red"))])], screen="Some")
    after = picture([Look("dark", [row(("a", "red"))]), Look("light", [row(("b", "red"))])], screen="Some")
    assert themes_that_differ(before, after) == ["light"]
    recoloured = picture([Look("dark", [row(("a", "red"))]), Look("light", [row(("a", "blue"))])], screen="Some")
    assert themes_that_differ(before, recoloured) == ["light"]
