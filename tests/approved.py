"""Writes a workspace's settings file and approves it, as ``acode-tui trust`` does."""

from pathlib import Path

from acode_tui.config import workspace_config_path
from acode_tui.config.trust import approve, read_trust


def write_approved(root: Path, text: str) -> Path:
    """Replace the file of the workspace at ``root`` by this text, and approve it."""
    path = workspace_config_path(root)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(text)
    approve(read_trust(root))
    return path
