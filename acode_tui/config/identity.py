"""Who records, when nobody has said so: git's e-mail address, else the operating system's user."""

import getpass
import os
import shutil
import subprocess
from pathlib import Path

from acode_tui.config.settings import Settings

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
