"""Every key has an action, an id and a tooltip; no key is twice in a table. Pure."""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.binding import Binding
from textual.dom import DOMNode

import acode_tui.tui
from acode_tui.config.settings import KEY_IDS, THEMES
from acode_tui.tui import bindings
from acode_tui.tui.app import Dashboard
from tests.tui.driving import over
from tests.tui.fake import FakeWorkspace

DASHBOARD_PAGE = Path(__file__).parent.parent.parent / "docs" / "dashboard.md"
TABLES = {name: table for name, table in vars(bindings).items() if name.isupper() and isinstance(table, list)}


def bound() -> Iterator[tuple[type[DOMNode], Binding]]:
    """Every class of the dashboard with the keys that it binds itself."""
    for module in pkgutil.walk_packages(acode_tui.tui.__path__, "acode_tui.tui."):
        for found in vars(importlib.import_module(module.name)).values():
            if isinstance(found, type) and issubclass(found, DOMNode) and found.__module__ == module.name:
                yield from ((found, each) for each in vars(found).get("BINDINGS", ()) if isinstance(each, Binding))


def test_every_action_of_a_key_exists() -> None:
    missing = []
    for owner, binding in bound():
        space, _, name = binding.action.partition("(")[0].rpartition(".")
        where = {"app": Dashboard, "screen": None}.get(space, owner)
        if where is not None and not hasattr(where, f"action_{name}"):
            missing.append(f"{owner.__name__}: {binding.key} -> {binding.action}")
    assert missing == []


def test_every_key_has_an_id_and_a_tooltip() -> None:
    poor = [f"{owner.__name__}: {each.key}" for owner, each in bound() if not (each.id and each.tooltip)]
    assert poor == []


@pytest.mark.parametrize("name", TABLES)
def test_no_key_is_twice_in_a_table(name: str) -> None:
    keys = [key for binding in TABLES[name] for key in binding.key.split(",")]
    assert sorted(keys) == sorted(set(keys))


def test_the_settings_know_the_id_of_every_key() -> None:
    known = {each.id for _, each in bound()} | {each.id for table in TABLES.values() for each in table}
    assert sorted(KEY_IDS) == sorted(filter(None, known))


def test_the_settings_know_every_theme(fake: FakeWorkspace) -> None:
    assert sorted(THEMES) == sorted(over(fake).available_themes)


def test_the_page_on_the_dashboard_names_every_key_id() -> None:
    page = DASHBOARD_PAGE.read_text()
    tables = (bindings.APP, bindings.MAIN, bindings.SESSION, bindings.VIEWER, bindings.RETRIES, bindings.CONFLICTS)
    ids = {binding.id for table in (*tables, bindings.LOG, bindings.TREE, bindings.SCROLL) for binding in table}
    assert {id_ for id_ in ids if f"`{id_}`" not in page} == set()
