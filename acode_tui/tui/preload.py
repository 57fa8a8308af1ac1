"""Imports the modules of screens before the user opens them, so that the key that opens a screen finds it loaded."""

from importlib import import_module
from threading import Event

DELAY = 1.0
"""Seconds from the opening of the workspace to the first import: opening it and reading its first page come first."""

MODULES: tuple[str, ...] = (
    *("acode_tui.tui.run.screen", "pygments.lexers.data", "textual.highlight", "acode_tui.tui.run.artifact"),
    *("acode_tui.tui.dialogs.import_", "acode_tui.tui.tools.settings", "acode_tui.tui.dialogs.help"),
    *("acode_tui.tui.records.retries", "acode_tui.tui.records.conflicts", "acode_tui.tui.tools.log"),
    *("acode_tui.tui.tools.health", "acode_tui.ops.health", "acode_tui.tui.dialogs.save"),
    *("acode_tui.tui.tools.figures", "acode_tui.ops.stats.report"),
    *("acode_tui.ops.export.export", "acode_tui.tui.dialogs.backup", "acode_tui.ops.backup.create"),
    *("acode_tui.tui.dialogs.migrate", "acode_tui.tui.main.query_line", "acode_tui.tui.command_provider"),
    *("acode_tui.tui.run.comparison_screen", "acode_tui.tui.dialogs.save_query"),
)
"""What the dashboard does not import at its start, the likeliest first."""


def preload(leaving: Event) -> None:
    """Import MODULES one after the other, until ``leaving`` is set. Runs in a thread."""
    for name in MODULES:
        if leaving.is_set():
            return
        import_module(name)
