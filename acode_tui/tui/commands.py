"""Every key of a screen as a command of the palette."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen


def key_commands(app: App[Any], screen: Screen[Any], only: frozenset[str] | None = None) -> Iterator[SystemCommand]:
    """The bindings that a screen has now, one command an action; choosing it does what the key does."""
    seen: set[str] = set()
    for node, binding, enabled, tooltip in screen.active_bindings.values():
        wanted = binding.id and (only is None or binding.id in only)
        if enabled and wanted and tooltip and binding.action not in seen and not binding.system:
            seen.add(binding.action)
            yield SystemCommand(binding.description.capitalize(), tooltip, _pressing(app, node, binding))


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
