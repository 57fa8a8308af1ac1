"""What the next keys need, imported in a thread while nobody waits: on the event loop it would hold up a frame.

The dashboard starts without any of it. A moment after the first page stands, it comes in by the likeliest key first.
"""

from importlib import import_module
from threading import Event

AFTER = 1.0
"""Seconds after the workspace is open."""

NEXT: tuple[str, ...] = (
    *("acode_tui.tui.screens.session", "pygments.lexers.data", "textual.highlight", "acode_tui.tui.screens.artifact"),
    *("acode_tui.tui.screens.importing", "acode_tui.tui.screens.settings", "acode_tui.tui.screens.help"),
    *("acode_tui.tui.screens.retries", "acode_tui.tui.screens.conflicts", "acode_tui.tui.screens.log"),
    *("acode_tui.tui.screens.health", "acode_tui.ops.health", "acode_tui.tui.screens.saving"),
    *("acode_tui.ops.export_request", "acode_tui.tui.screens.backup", "acode_tui.ops.backup"),
    *("acode_tui.tui.screens.migrate", "acode_tui.tui.widgets.sessions.lines"),
)
"""Modules, the likeliest first."""


def warm(leaving: Event) -> None:
    """Import them, until somebody leaves. Runs in a thread."""
    for name in NEXT:
        if leaving.is_set():
            return
        import_module(name)
