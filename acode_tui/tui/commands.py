"""Every key of a screen as a command of the palette."""

from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen


def key_commands(app: App[Any], screen: Screen[Any], only: frozenset[str] | None = None) -> Iterator[SystemCommand]:
    """The bindings that a screen has now, one command an id; choosing it does what the key does.

    Keys that the footer calls the same, such as those of the pages, are told apart by what they do.
    """
    found: dict[str | None, tuple[DOMNode, Binding, str]] = {}
    for node, binding, enabled, tooltip in screen.active_bindings.values():
        wanted = binding.id and (only is None or binding.id in only)
        if enabled and wanted and tooltip and not binding.system:
            found.setdefault(binding.id, (node, binding, tooltip))
    called = Counter(binding.description for _, binding, _ in found.values())
    for node, binding, tooltip in found.values():
        title = binding.description.capitalize() if called[binding.description] == 1 else tooltip
        yield SystemCommand(title, f"{app.get_key_display(binding)}  {tooltip}", _pressing(app, node, binding))


EVERYWHERE = frozenset(
    {"sync", "migrate", "pause", "retries", "conflicts", "log", "health", "import", "backup", "settings", "source"}
)
"""Ids of the first screen's keys that are commands on every screen."""


def commands(app: App[Any], screen: Screen[Any]) -> Iterator[SystemCommand]:
    """The keys of a screen, then those of the first one that make sense anywhere."""
    told: set[str] = set()
    for command in key_commands(app, screen):
        told.add(command.title)
        yield command
    first = app.screen_stack[0]
    if first is not screen:
        yield from (each for each in key_commands(app, first, only=EVERYWHERE) if each.title not in told)


def _pressing(app: App[Any], node: DOMNode, binding: Binding) -> Callable[[], Coroutine[Any, Any, bool]]:
    async def press() -> bool:
        return await app.run_action(binding.action, node)

    return press
