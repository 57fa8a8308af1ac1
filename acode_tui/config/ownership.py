"""Refuses the files of another user, as git's ``safe.directory`` does.

The owner of ``.agent`` can change what this user's agents record and where it goes at any time.
"""

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from acode_tui.config.trust_store import read_approval
from acode_tui.config.workspace_root import AGENT_DIR
from acode_tui.domain.errors import ConfigError


def require_own(root: Path, environ: Mapping[str, str] = os.environ, *, uid: int | None = None) -> None:
    """Raise ConfigError if ``.agent`` or its file belongs to another user whom ``acode-tui trust`` did not allow.

    ``uid`` is this process's effective user if it is None.
    """
    owner = foreign_owner(root, environ, uid=uid)
    if owner is not None and read_approval(root, environ).owner != owner:
        raise ConfigError(
            f"{root / AGENT_DIR} belongs to another user, {user_name(owner)}, and is not opened",
            hint="run `acode-tui trust` there if you trust that user, or choose another folder with --workspace",
        )


def foreign_owner(root: Path, environ: Mapping[str, str] = os.environ, *, uid: int | None = None) -> int | None:
    """The other user that ``.agent`` or ``.agent/config.toml`` belongs to; None if both are this user's or missing.

    A symbolic link counts with its own owner and with its target's. Under sudo the files of the user who called it
    are this user's too.
    """
    own = _own(os.geteuid() if uid is None else uid, environ)
    agent_dir = root / AGENT_DIR
    for path in (agent_dir, agent_dir / "config.toml"):
        for look in (os.lstat, os.stat):
            try:
                owner = look(path).st_uid
            except OSError:
                continue  # missing or not readable: the opening says so
            if owner not in own:
                return owner
    return None


def user_name(uid: int) -> str:
    """The user's name, or ``uid N``."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _own(uid: int, environ: Mapping[str, str]) -> frozenset[int]:
    caller = environ.get("SUDO_UID", "")
    if uid == 0 and caller.isascii() and caller.isdigit():
        return frozenset({0, int(caller)})
    return frozenset({uid})
