"""The composition root: one workspace's config, store, outbox and sync, opened and closed together."""

from acode_tui.config.workspace_root import AGENT_DIR, find_root
from acode_tui.workspace.maintenance import Maintenance
from acode_tui.workspace.opening import file_plan, migration_plan, open_workspace
from acode_tui.workspace.workspace import Workspace

__all__ = ["AGENT_DIR", "Maintenance", "Workspace", "file_plan", "find_root", "migration_plan", "open_workspace"]
