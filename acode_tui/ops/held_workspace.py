"""Whether a folder held a workspace before: an empty file there is a loss then, and no beginning."""

from pathlib import Path

from acode_tui.config import Settings, resolve_path
from acode_tui.config.workspace_root import AGENT_DIR, known_ids
from acode_tui.storage.ports import BackupStore


def held_workspace(backups: BackupStore, root: Path, settings: Settings) -> bool:
    """Whether a workspace's id was written down in the folder, or it has backups."""
    return bool(known_ids(root / AGENT_DIR) or backups.list(resolve_path(root, settings.backup.directory))[0])
