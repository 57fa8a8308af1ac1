"""Where a workspace is, which ids it has had, and who works in it.

``.agent/workspace.id`` stores the workspace's id for the case that the database becomes unreadable. It has one id a
line, the latest first: a database that was lost and created again has another id, and a recovery needs the former one.
"""

import getpass
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from acode_tui.config.settings import Settings
from acode_tui.domain.errors import ConfigError
from acode_tui.files import replacing
from acode_tui.plain_files import reading_plain
from acode_tui.processes import find_program

ID_FILE = "workspace.id"
_MAX_IDS = 5
_LENGTH = 36


def known_ids(agent_dir: Path) -> tuple[str, ...]:
    """The ids in ``workspace.id``, the latest first; empty if the file does not exist."""
    try:
        with reading_plain(agent_dir / ID_FILE) as file:
            text = file.read(1000).decode("ascii", "replace")
    except OSError:
        return ()
    return tuple(line for line in text.split() if len(line) == _LENGTH and set(line) <= set("0123456789abcdef-"))


def remember_id(agent_dir: Path, workspace_id: str) -> None:
    """Add an id to ``workspace.id`` unless it is the latest. A read-only folder is left unchanged."""
    known = known_ids(agent_dir)
    if known[:1] == (workspace_id,):
        return
    for left in agent_dir.glob(f".{ID_FILE}.*.part"):
        # Left by a process that was killed. If it still runs, its write fails, and this process writes the id.
        left.unlink(missing_ok=True)
    lines = (workspace_id, *(each for each in known if each != workspace_id))[:_MAX_IDS]
    try:
        with replacing(agent_dir / ID_FILE) as file:
            file.write("".join(f"{line}\n" for line in lines).encode())
    except OSError:
        return  # a read-only folder: the database contains the id too


AGENT_DIR = ".agent"
"""The folder in a workspace with the program's files."""


_OWN = ("backups", "config.toml", "exports", ID_FILE, "locks", "logs")


def require_plain(root: Path) -> None:
    """Refuse a workspace whose ``.agent``, or a folder or settings file of it, is a symbolic link.

    It may have come with a repository: a link would lead what is recorded, and every write, to another place. A missing
    one is accepted; so is any other file, which is refused where it is opened. Raises ConfigError.
    """
    agent_dir = root / AGENT_DIR
    for path in (agent_dir, *(agent_dir / name for name in _OWN)):
        if os.path.islink(path):
            raise ConfigError(
                f"{path} is a symbolic link to {os.readlink(path)}, and is not followed",
                hint="move it away; persistence.sqlite.path and backup.directory name other places",
            )


def find_root(start: Path | None = None, *, environ: Mapping[str, str] = os.environ) -> Path:
    """The workspace's folder: ``ACODE_WORKSPACE``, else the nearest parent with ``.agent/``, else ``start``."""
    named = environ.get("ACODE_WORKSPACE")
    return Path(named).expanduser().absolute() if named else find_folder(start)


def find_folder(start: Path | None = None) -> Path:
    """The nearest parent of ``start`` with ``.agent/``, else ``start``, which is the current folder unless given."""
    here = (start or Path.cwd()).absolute()
    return next((folder for folder in (here, *here.parents) if (folder / AGENT_DIR).is_dir()), here)


_GIT_SECONDS = 2.0
_GET_EMAIL = ("config", "--get", "user.email")


def current_user(settings: Settings, root: Path) -> str:
    """``identity.user``, else ``git config user.email`` in ``root``, else the operating system's user. Never fails."""
    return settings.identity.user or git_email(root) or os_user()


def git_email(root: Path) -> str | None:
    """``git config user.email`` in ``root``; None if it is not set. Never fails."""
    git = find_program("git")
    if git is None:
        return None
    try:
        answer = subprocess.run(  # noqa: S603
            # The repository may be a stranger's: nothing that its configuration names is run.
            [git, "--no-pager", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", *_GET_EMAIL],
            cwd=root if root.is_dir() else None,
            stdin=subprocess.DEVNULL,
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
    """The name of the operating system's user. Never fails."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return f"uid-{os.getuid()}"
