"""Reads, gives and takes back this user's approval of a workspace's file.

An approval is of one content: the SHA-256 of what was shown. A file that changes meanwhile, or later, asks again.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from acode_tui.config import keys
from acode_tui.config.load import (
    LoadedSettings,
    asks_for_approval,
    content_hash,
    is_approved,
    load,
    workspace_config_path,
)
from acode_tui.config.ownership import foreign_owner, user_name
from acode_tui.config.postgres_address import PostgresTarget, resolve_postgres, resolve_reads
from acode_tui.config.settings import PostgresSettings, resolve_path
from acode_tui.config.trust_store import read_approval, update_approval

_ADDRESS_KEYS = frozenset({"enabled", "host", "port", "database", "connection_string_env"})


class AskedSetting(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A setting of the workspace's file that needs approval, its value, and what that means on this machine."""

    key: str
    value: Any
    leads_to: str | None


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """What a workspace's file asks for, and whether this user approved it.

    ``sha256`` is that of the content which was read. ``owner`` is the other user that ``.agent`` belongs to, None if it
    is this user's own. ``declined``: the dashboard asked about this content, and the answer was no.
    """

    root: Path
    trusted: bool
    settings: tuple[AskedSetting, ...]
    owner: int | None
    sha256: str
    declined: bool

    @property
    def owner_name(self) -> str | None:
        return None if self.owner is None else user_name(self.owner)


def read_trust(root: Path, environ: Mapping[str, str] = os.environ) -> Trust:
    """What the file asks for and whether it is approved; changes nothing. Raises ConfigError if it is not valid."""
    loaded = load(root, environ=environ, trusting=True)
    approval = read_approval(root, environ)
    owner = foreign_owner(root, environ)
    order = tuple(keys.table())
    return Trust(
        root=root,
        trusted=(not loaded.asked or loaded.sha256 in approval.sha256) and owner in (None, approval.owner),
        settings=tuple(
            AskedSetting(key=name, value=value, leads_to=_leads_to(root, name, value, loaded, environ))
            # In the program's own order: a file could put what matters at the end of a long list.
            for name, value in sorted(loaded.asked.items(), key=lambda each: order.index(each[0]))
        ),
        owner=owner,
        sha256=loaded.sha256,
        declined=approval.declined == loaded.sha256,
    )


def approve(trust: Trust, environ: Mapping[str, str] = os.environ) -> None:
    """Approve what was read, and nothing that the file may say since. Raises ConfigError."""
    approved = (trust.sha256,) if trust.settings else ()
    update_approval(trust.root, environ, sha256=approved, owner=trust.owner, declined=None)


def decline(trust: Trust, environ: Mapping[str, str] = os.environ) -> None:
    """Remember that the question about this content was answered with no. Raises ConfigError."""
    update_approval(trust.root, environ, declined=trust.sha256)


def revoke(root: Path, environ: Mapping[str, str] = os.environ) -> bool:
    """Forget every approval of the workspace; False if there was none. Raises ConfigError."""
    approval = read_approval(root, environ)
    update_approval(root, environ, sha256=(), owner=None, declined=None)
    return bool(approval.sha256) or approval.owner is not None


@contextmanager
def keeping_trust(root: Path, before: str, after: str, environ: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Replace the workspace's file in the block: the user's own change of a new or trusted file is approved.

    A file that was not trusted stays so. Both contents are approved during the block, so that a running dashboard or
    worker never finds an unapproved one, and a crash leaves a file that is approved. Raises ConfigError.
    """
    path = workspace_config_path(root)
    if asks_for_approval(path, before) and not is_approved(root, before, environ):
        yield
        return
    former = read_approval(root, environ).sha256
    if not former and not asks_for_approval(path, after):
        yield
        return
    update_approval(root, environ, sha256=(*former, content_hash(after)))
    try:
        yield
    except BaseException:
        update_approval(root, environ, sha256=former)
        raise
    update_approval(root, environ, sha256=(content_hash(after),) if asks_for_approval(path, after) else ())


def _leads_to(root: Path, name: str, value: Any, loaded: LoadedSettings, environ: Mapping[str, str]) -> str | None:
    section, _, leaf = name.rpartition(".")
    if leaf.endswith("_env"):
        return "is set" if environ.get(value) else "is not set"
    if section == "persistence.postgres" and leaf in _ADDRESS_KEYS:
        return _address(loaded.settings.persistence.postgres, environ)
    if name == "persistence.postgres.read_url":
        return _read_address(loaded.settings.persistence.postgres, environ)
    if name == "persistence.postgres.password_command":
        return "is executed at each connection"
    if name in ("persistence.sqlite.path", "backup.directory"):
        return os.fspath(resolve_path(root, value).resolve())
    if name == "ingest.roots":
        return ", ".join(os.fspath(resolve_path(root, each).resolve()) for each in value)
    return None


def _address(postgres: PostgresSettings, environ: Mapping[str, str]) -> str | None:
    target = resolve_postgres(postgres, environ)
    return target.display if isinstance(target, PostgresTarget) else None


def _read_address(postgres: PostgresSettings, environ: Mapping[str, str]) -> str | None:
    primary = resolve_postgres(postgres, environ)
    target = resolve_reads(postgres, primary, environ) if isinstance(primary, PostgresTarget) else None
    return target.display if isinstance(target, PostgresTarget) else None
