"""Settings as the settings screen shows and edits them: value, origin, search, parsing, writing to a file."""

from collections.abc import Mapping
from dataclasses import dataclass
from os import environ as process_environment
from pathlib import Path
from typing import Any, Literal

from acode_tui.config import Origin, keys, load, user_config_path, workspace_config_path
from acode_tui.config.load import check_file_value
from acode_tui.config.write import remove_setting, write_setting
from acode_tui.domain.secrets.known import redact

Scope = Literal["workspace", "user"]
"""Which file a change goes to: the workspace's own, or the user's for all workspaces."""

ORIGIN_LABELS: dict[Origin, str] = {
    Origin.DEFAULT: "default",
    Origin.USER: "your file",
    Origin.WORKSPACE: "this workspace",
    Origin.ENV: "environment",
    Origin.FLAG: "option",
}


@dataclass(frozen=True, slots=True)
class Preference:
    """One setting: its key, its value, and where the value comes from.

    ``withheld`` is the value in this workspace's file that does not count since the file is not trusted.
    """

    key: keys.Key
    value: Any
    origin: Origin
    withheld: Any = None

    @property
    def shown(self) -> str:
        """The value as TOML, with secrets hidden."""
        return redact(keys.format_value(self.value)) or "-"

    @property
    def source(self) -> str:
        """Where the value comes from, or that the file's value does not count."""
        return ORIGIN_LABELS[self.origin] if self.withheld is None else "not trusted"

    @property
    def withheld_shown(self) -> str:
        """The value that does not count, as TOML, with secrets hidden."""
        return redact(keys.format_value(self.withheld))

    @property
    def edit_text(self) -> str:
        """The text that an edit begins with: the opposite of a boolean, else the present value."""
        if isinstance(self.value, bool):
            return keys.format_value(not self.value)
        return self.value if isinstance(self.value, str) else keys.format_value(self.value)

    def may_be_set_in(self, scope: Scope) -> bool:
        """Whether the scope's file may set it. A value from a stronger source does not show what weaker files set."""
        return self.origin is not Origin.DEFAULT and (scope == "user" or self.origin is not Origin.USER)

    def matches(self, text: str) -> bool:
        """Whether every word of ``text`` is in the key, in the shown value, or in the description."""
        searched = f"{self.key.name}\n{self.shown}\n{self.key.doc}".casefold()
        return all(word in searched for word in text.casefold().split())

    @property
    def override(self) -> str:
        """What sets the value with precedence over every file; empty if a file can change it."""
        if self.origin is Origin.ENV:
            return self.key.variable
        return "an option of this command" if self.origin is Origin.FLAG else ""


def read_preferences(root: Path, environ: Mapping[str, str] = process_environment) -> list[Preference]:
    """Every setting, in the order of the documentation. Raises ConfigError."""
    loaded = load(root, environ=environ)
    return [
        Preference(key, loaded.values[name], loaded.origins[name], loaded.withheld.get(name))
        for name, key in keys.table().items()
    ]


def parse_value(key: keys.Key, text: str) -> Any:
    """The value of a typed text. Raises ConfigError, which names what is allowed."""
    return check_file_value(key, keys.parse(key, text))


def scope_path(root: Path, scope: Scope, environ: Mapping[str, str] = process_environment) -> Path:
    """The configuration file of a scope."""
    return workspace_config_path(root) if scope == "workspace" else user_config_path(environ)


def write_preference(
    root: Path, key: keys.Key, value: object, scope: Scope, environ: Mapping[str, str] = process_environment
) -> bool:
    """Write a value that was checked into the scope's file; False if it does not count, the file not being trusted.

    Raises ConfigError and OSError; the file is unchanged then.
    """
    write_setting(root, scope_path(root, scope, environ), key, value, environ)
    return scope == "user" or key.name not in load(root, environ=environ).withheld


def remove_preference(
    root: Path, key: keys.Key, scope: Scope, environ: Mapping[str, str] = process_environment
) -> bool:
    """Remove a value from the scope's file; False if the file does not set it.

    Raises ConfigError and OSError; the file is unchanged then.
    """
    return remove_setting(root, scope_path(root, scope, environ), key, environ)
