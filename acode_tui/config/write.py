"""Writes a configuration file, or one setting in it, if all settings together are allowed afterwards.

A running dashboard or worker takes the change up by itself. What is written into a new or trusted file of a workspace
is approved. Every function raises ConfigError if the result would not be allowed, and OSError; the file is unchanged
then.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from acode_tui.config.edit import set_value, unset_value
from acode_tui.config.keys import Key
from acode_tui.config.load import load, read_text, read_toml, workspace_config_path
from acode_tui.config.trust import keeping_trust
from acode_tui.files import make_private_folder, replacing


def write_setting(root: Path, path: Path, key: Key, value: Any, environ: Mapping[str, str]) -> None:
    """Set ``key`` to a value that was checked."""
    before = _valid_text(path)
    _replace(root, path, before, set_value(before, key, value), environ)


def remove_setting(root: Path, path: Path, key: Key, environ: Mapping[str, str]) -> bool:
    """Remove ``key``, so that the next weaker source applies. False if the file does not set it."""
    before = _valid_text(path)
    after = unset_value(before, key)
    if after == before:
        return False
    _replace(root, path, before, after, environ)
    return True


def write_config_file(root: Path, path: Path, text: str, environ: Mapping[str, str]) -> None:
    """Replace the whole file; nothing of the former content is left, valid or not."""
    _replace(root, path, "", text, environ)


def _replace(root: Path, path: Path, before: str, text: str, environ: Mapping[str, str]) -> None:
    """Replace the file. A symbolic link is followed, so that it stays one."""
    load(root, environ=environ, drafts={path: text})
    trust = keeping_trust(root, before, text, environ) if path == workspace_config_path(root) else nullcontext()
    with trust:
        make_private_folder(path.parent)
        with replacing(path.resolve()) as file:
            file.write(text.encode())


def _valid_text(path: Path) -> str:
    """The file's text, empty if there is none. Raises ConfigError if it is not valid TOML."""
    read_toml(path)
    return read_text(path)
