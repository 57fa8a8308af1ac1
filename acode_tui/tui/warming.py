"""What the next keys need, imported in a thread while nobody waits: on the event loop it would hold up a frame.

The dashboard starts without any of it. A moment after the first page stands, it comes in by the likeliest key first.
"""

from importlib import import_module
from threading import Event

AFTER = 1.0
"""Seconds after the workspace is open."""

NEXT: tuple[str, ...] = (
    *("acode_tui.tui.run.screen", "pygments.lexers.data", "textual.highlight", "acode_tui.tui.run.artifact"),
    *("acode_tui.tui.dialogs.import_", "acode_tui.tui.tools.settings", "acode_tui.tui.dialogs.help"),
    *("acode_tui.tui.records.retries", "acode_tui.tui.records.conflicts", "acode_tui.tui.tools.log"),
    *("acode_tui.tui.tools.health", "acode_tui.ops.health", "acode_tui.tui.dialogs.save"),
    *("acode_tui.ops.export_request", "acode_tui.tui.dialogs.backup", "acode_tui.ops.backup.create"),
    *("acode_tui.tui.dialogs.migrate", "acode_tui.tui.main.sessions_lines"),
)
"""Modules, the likeliest first."""


def warm(leaving: Event) -> None:
    """Import them, until somebody leaves. Runs in a thread."""
    for name in NEXT:
        if leaving.is_set():
            return
        import_module(name)
