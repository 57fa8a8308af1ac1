"""Packages that add to this one by an entry point, found by their metadata alone: nothing of them is imported here."""

from typing import TYPE_CHECKING

from acode_tui.processes import module_path

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

FORMATS = "acode_tui.formats"
"""The group of transcript formats. An entry point's name is the format's."""

SINKS = "acode_tui.sinks"
"""The group of what is given each run when its recording ends."""


def entry_points(group: str) -> "tuple[EntryPoint, ...]":
    """The entry points of a group, each name once, sorted. Never those of a package in the current folder."""
    # Here: most commands need none of it.
    from importlib.metadata import distributions

    found: dict[str, EntryPoint] = {}
    for distribution in distributions(path=module_path()):
        for entry in distribution.entry_points:
            if entry.group == group:
                # The first one on the path is the one that an import finds.
                found.setdefault(entry.name, entry)
    return tuple(found[name] for name in sorted(found))
