"""The settings as they are shown and changed in the dashboard: each with its value, its origin and what is allowed.

What is written goes through the same checks as any configuration file, into the file that was chosen, and leaves the
rest of that file as its owner wrote it. It blocks: meant for a worker thread.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from os import environ as process_environment
from pathlib import Path
from typing import Any, Literal

from acode_tui.config import LoadedSettings, Origin, keys, load, user_config_path, workspace_config_path
from acode_tui.config.edit import set_value, unset_value
from acode_tui.config.load import check_file_value, read_text
from acode_tui.domain.secrets.known import redact
from acode_tui.files import make_private_folder, replacing

Place = Literal["workspace", "user"]
ORIGINS: dict[Origin, str] = {
    Origin.DEFAULT: "default",
    Origin.USER: "your file",
    Origin.WORKSPACE: "this workspace",
    Origin.ENV: "environment",
    Origin.FLAG: "option",
}


@dataclass(frozen=True, slots=True)
class Preference:
    """One setting. ``shown`` is its value as TOML with secrets hidden; ``text`` is what an edit begins with."""

    key: keys.Key
    value: Any
    origin: Origin

    @property
    def shown(self) -> str:
        return redact(keys.format_value(self.value)) or "-"

    @property
    def text(self) -> str:
        """The other value of a switch; of anything else the present one."""
        if isinstance(self.value, bool):
            return keys.format_value(not self.value)
        return self.value if isinstance(self.value, str) else keys.format_value(self.value)

    def may_be_set_in(self, place: Place) -> bool:
        """Whether a file may set it: a stronger place says nothing of a weaker one."""
        return self.origin is not Origin.DEFAULT and (place == "user" or self.origin is not Origin.USER)

    def holds(self, text: str) -> bool:
        """Whether every word of ``text`` is in the key, in what is shown of the value, or in what it is for."""
        told = f"{self.key.name}\n{self.shown}\n{self.key.doc}".casefold()
        return all(word in told for word in text.casefold().split())

    @property
    def overridden(self) -> str:
        """What holds this value whatever a file says; empty if a file may change it."""
        if self.origin is Origin.ENV:
            return self.key.variable
        return "an option of this command" if self.origin is Origin.FLAG else ""


def read(root: Path, environ: Mapping[str, str] = process_environment) -> list[Preference]:
    """Every setting in the order of the documentation. Raises ConfigError."""
    loaded: LoadedSettings = load(root, environ=environ)
    return [Preference(key, loaded.values[name], loaded.origins[name]) for name, key in keys.table().items()]


def check(key: keys.Key, text: str) -> Any:
    """The value that was typed. Raises ConfigError, which names what is allowed."""
    return check_file_value(key, keys.parse(key, text))


def place_path(root: Path, place: Place, environ: Mapping[str, str] = process_environment) -> Path:
    """The file that a place stands for."""
    return workspace_config_path(root) if place == "workspace" else user_config_path(environ)


def put(
    root: Path, key: keys.Key, value: object, place: Place, environ: Mapping[str, str] = process_environment
) -> Path:
    """Write one value that was checked, if all settings together are allowed then. Answers the file.

    Raises ConfigError and OSError; the file is as it was then.
    """
    path = place_path(root, place, environ)
    return _write(root, path, set_value(read_text(path), key, value), environ)


def drop(root: Path, key: keys.Key, place: Place, environ: Mapping[str, str] = process_environment) -> bool:
    """Take one value out of a file, so that the next weaker place counts; False where the file does not set it.

    Raises ConfigError and OSError; the file is as it was then.
    """
    path = place_path(root, place, environ)
    before = read_text(path)
    after = unset_value(before, key)
    if after == before:
        return False
    _write(root, path, after, environ)
    return True


def _write(root: Path, path: Path, text: str, environ: Mapping[str, str]) -> Path:
    load(root, environ=environ, drafts={path: text})
    make_private_folder(path.parent)
    with replacing(path.resolve()) as file:
        file.write(text.encode())
    return path
