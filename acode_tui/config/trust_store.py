"""What this user has approved, by workspace, in ``trust.json`` in the user's state folder.

The file has mode 0600 in a folder with mode 0700. It is replaced atomically under a lock, so two programs that approve
at the same time lose nothing. A file that cannot be read approves nothing.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import msgspec

from acode_tui.domain.errors import ConfigError
from acode_tui.files import PRIVATE_FOLDER, locked, make_private_folder, replacing, tighten
from acode_tui.home import state_folder
from acode_tui.logs import get_logger

MOST_WORKSPACES = 1000
"""The approvals that are kept; the oldest go first."""

_MAX_BYTES = 4 * 1024 * 1024
_LOCK_SECONDS = 10.0

log = get_logger("acode_tui.config")


class Approval(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What this user decided about one workspace.

    ``sha256``: the approved contents of its file; two only while it is being replaced. ``declined``: the content that
    the dashboard asked about in vain. ``owner``: the other user whose ``.agent`` may be opened. ``follow``: whether the
    dashboard imports the transcripts of its folder by itself; None until that is answered.
    """

    sha256: tuple[str, ...] = ()
    declined: str | None = None
    owner: int | None = None
    follow: bool | None = None


class _Approvals(msgspec.Struct, frozen=True, kw_only=True):
    workspaces: dict[str, Approval] = {}


def store_path(environ: Mapping[str, str] = os.environ) -> Path:
    """The file of this user's approvals, in the platform's folder for state."""
    base = environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(base):
        return Path(base) / "acode-tui" / "trust.json"
    return state_folder() / "trust.json"


def read_approval(root: Path, environ: Mapping[str, str] = os.environ) -> Approval:
    """What is approved for the workspace at ``root``; nothing if the file is missing or cannot be read."""
    return _read(store_path(environ)).get(_name(root), Approval())


def update_approval(root: Path, environ: Mapping[str, str] = os.environ, **changes: object) -> None:
    """Change fields of a workspace's approval; one without any field left is removed. Raises ConfigError."""
    path = store_path(environ)

    def refusal() -> ConfigError:
        return ConfigError(f"{path}: another program holds its lock", hint="try again")

    try:
        make_private_folder(path.parent)
        tighten(path.parent, PRIVATE_FOLDER)
        with locked(path.with_suffix(".lock"), timeout_seconds=_LOCK_SECONDS, refusal=refusal):
            approvals = _read(path)
            name = _name(root)
            before = approvals.pop(name, Approval())
            after = msgspec.structs.replace(before, **changes)
            if after != Approval():
                # Appended, so that the oldest decisions come first.
                approvals[name] = after
            elif before == after:
                return
            kept = dict(list(approvals.items())[-MOST_WORKSPACES:])
            with replacing(path) as file:
                file.write(msgspec.json.format(msgspec.json.encode(_Approvals(workspaces=kept))))
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror or error}", hint="approvals are kept there; make the folder writable"
        ) from None


def _read(path: Path) -> dict[str, Approval]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES)
        return msgspec.json.decode(data, type=_Approvals).workspaces
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        log.warning("trust.unreadable", path=str(path), reason=str(error))
        return {}


def _name(root: Path) -> str:
    """The resolved path; bytes that are not plain ASCII are percent-encoded, since a path need not be UTF-8."""
    return quote(os.fsencode(root.resolve()), safe="/ ~")
