"""Which folder is the workspace."""

import os
from collections.abc import Mapping
from pathlib import Path

AGENT_DIR = ".agent"
"""The folder in a workspace that holds what this program keeps there."""


def find_root(start: Path | None = None, *, environ: Mapping[str, str] = os.environ) -> Path:
    """The workspace to use: ``ACODE_WORKSPACE``, else the nearest parent with ``.agent/``, else ``start`` itself."""
    named = environ.get("ACODE_WORKSPACE")
    if named:
        return Path(named).expanduser().absolute()
    here = (start or Path.cwd()).absolute()
    return next((folder for folder in (here, *here.parents) if (folder / AGENT_DIR).is_dir()), here)
