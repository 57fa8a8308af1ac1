"""The composition root: one workspace's config, store, outbox and sync, opened and closed together.

Names are loaded when they are first used: what works on the file from outside (``Maintenance``) loads no store, no
outbox and no sync.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acode_tui.config.workspace_root import AGENT_DIR, find_root
    from acode_tui.workspace.maintenance import Maintenance
    from acode_tui.workspace.opening import file_plan, migration_plan, open_workspace
    from acode_tui.workspace.workspace import Workspace

_MODULES = {
    "AGENT_DIR": "acode_tui.config.workspace_root",
    "Maintenance": "acode_tui.workspace.maintenance",
    "Workspace": "acode_tui.workspace.workspace",
    "file_plan": "acode_tui.workspace.opening",
    "find_root": "acode_tui.config.workspace_root",
    "migration_plan": "acode_tui.workspace.opening",
    "open_workspace": "acode_tui.workspace.opening",
}
"""The module that each name is loaded from."""

__all__ = ["AGENT_DIR", "Maintenance", "Workspace", "file_plan", "find_root", "migration_plan", "open_workspace"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
