"""Whether a workspace has lived in a folder, going by what it leaves beside its file."""

from pathlib import Path

from acode_tui.config import Settings, resolve_path
from acode_tui.config.root import AGENT_DIR
from acode_tui.config.workspace_root import known_ids
from acode_tui.storage.sqlite.files.backup_catalog import read_backups


def has_lived(root: Path, settings: Settings) -> bool:
    """True if its id was written down there, or there are backups: an empty file is a loss then, and no beginning."""
    return bool(known_ids(root / AGENT_DIR) or read_backups(resolve_path(root, settings.backup.directory))[0])
