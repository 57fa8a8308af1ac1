"""Every key of a screen as a command of the palette."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen


def key_commands(app: App[Any], screen: Screen[Any]) -> Iterator[SystemCommand]:
    """The bindings that a screen has now, one command an action; choosing it does what the key does."""
    seen: set[str] = set()
    for node, binding, enabled, tooltip in screen.active_bindings.values():
        if enabled and binding.id and tooltip and binding.action not in seen and not binding.system:
            seen.add(binding.action)
            yield SystemCommand(binding.description.capitalize(), tooltip, _pressing(app, node, binding))


def _pressing(app: App[Any], node: DOMNode, binding: Binding) -> Callable[[], Coroutine[Any, Any, bool]]:
    async def press() -> bool:
        return await app.run_action(binding.action, node)

    return press
