"""Problems of the user's keys (``tui.keymap``): unknown ids, and keys that hide another key of a screen. Pure."""

import difflib
from collections.abc import Iterator, Mapping

from textual.binding import Binding

from acode_tui.tui import bindings


def keymap_problems(keymap: Mapping[str, str]) -> list[str]:
    """A sentence for each problem."""
    return [f"tui.keymap: {problem}" for problem in (*_unknown(keymap), *dict.fromkeys(_hidden(keymap)))]


def _tables() -> list[list[Binding]]:
    return [table for name, table in vars(bindings).items() if name.isupper() and isinstance(table, list)]


def _unknown(keymap: Mapping[str, str]) -> Iterator[str]:
    known = {binding.id for table in _tables() for binding in table if binding.id}
    for name in keymap:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            yield f"no key has the id {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def _hidden(keymap: Mapping[str, str]) -> Iterator[str]:
    for table in _tables():
        given = {key.strip(): name for name in _ids(table) & set(keymap) for key in keymap[name].split(",")}
        for binding in table:
            if binding.id in keymap:
                continue
            for key in binding.key.split(","):
                if key in given:
                    yield f"{key!r} is {given[key]!r} now, and no longer {binding.id!r}"


def _ids(table: list[Binding]) -> set[str]:
    return {binding.id for binding in table if binding.id}
