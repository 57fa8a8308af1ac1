"""``.agent/workspace.id``: which workspace a folder holds, written down for the day the database is unreadable.

One id a line, the latest first: a database that was lost and made anew got another id, and the former one is what a
recovery needs.
"""

import getpass
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from acode_tui.config.settings import Settings
from acode_tui.files import replacing

NAME = "workspace.id"
KEPT = 5
_LENGTH = 36


def known_ids(agent_dir: Path) -> tuple[str, ...]:
    """The ids that this folder has held, the latest first; none where nobody wrote them down."""
    try:
        text = (agent_dir / NAME).read_text(encoding="ascii", errors="replace")[:1000]
    except OSError:
        return ()
    return tuple(line for line in text.split() if len(line) == _LENGTH and set(line) <= set("0123456789abcdef-"))


def keep_id(agent_dir: Path, workspace_id: str) -> None:
    """Write it down unless it stands there already. A folder that cannot be written to keeps what it has."""
    known = known_ids(agent_dir)
    if known[:1] == (workspace_id,):
        return
    for left in agent_dir.glob(f".{NAME}.*.part"):
        # Of a process that was killed here. Should it be at work still, it leaves the id to this one.
        left.unlink(missing_ok=True)
    lines = (workspace_id, *(each for each in known if each != workspace_id))[:KEPT]
    try:
        with replacing(agent_dir / NAME) as file:
            file.write("".join(f"{line}\n" for line in lines).encode())
    except OSError:
        return  # a read-only folder: the database knows its id itself


AGENT_DIR = ".agent"
"""The folder in a workspace that holds what this program keeps there."""


def find_root(start: Path | None = None, *, environ: Mapping[str, str] = os.environ) -> Path:
    """The workspace to use: ``ACODE_WORKSPACE``, else the nearest parent with ``.agent/``, else ``start`` itself."""
    named = environ.get("ACODE_WORKSPACE")
    if named:
        return Path(named).expanduser().absolute()
    here = (start or Path.cwd()).absolute()
    return next((folder for folder in (here, *here.parents) if (folder / AGENT_DIR).is_dir()), here)


_GIT_SECONDS = 2.0


def current_user(settings: Settings, root: Path) -> str:
    """``identity.user``, else ``git config user.email`` as seen from ``root``, else the OS user. Never fails."""
    return settings.identity.user or git_email(root) or os_user()


def git_email(root: Path) -> str | None:
    """``git config user.email`` as seen from ``root``; None where there is none. Never fails."""
    git = shutil.which("git")
    if git is None:
        return None
    try:
        answer = subprocess.run(  # noqa: S603
            [git, "config", "--get", "user.email"],
            cwd=root if root.is_dir() else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    email = answer.stdout.strip()
    return email if answer.returncode == 0 and email.isprintable() and len(email) <= 320 else None


def os_user() -> str:
    """The operating system's name of who runs this. Never fails."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return f"uid-{os.getuid()}"
