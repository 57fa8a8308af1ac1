"""Loads the settings of a workspace and the origin of each value; detects changes of the files.

Flags override the environment, which overrides ``.agent/config.toml``, the user's file and the defaults, in this order.
Settings of ``.agent/config.toml`` that need approval are left out until this user has approved the file as it is
(``trust_rules``). Everything invalid raises ConfigError.
"""

import errno
import os
from collections.abc import Iterator, Mapping
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from acode_tui.config import keys
from acode_tui.config.ownership import require_own
from acode_tui.config.settings import Settings
from acode_tui.config.trust_rules import asks
from acode_tui.config.trust_store import read_approval, store_path
from acode_tui.config.workspace_root import require_plain
from acode_tui.domain.errors import ConfigError
from acode_tui.domain.quantities import size
from acode_tui.domain.secrets.known import has_password
from acode_tui.home import config_folder
from acode_tui.logs import LEVELS

MAX_FILE_BYTES = 1024 * 1024
_ORDERED_PAIRS = (
    ("health.queue_degraded", "health.queue_unhealthy"),
    ("health.storage_unhealthy_percent", "health.storage_degraded_percent"),
    ("persistence.sync.initial_backoff_seconds", "persistence.sync.max_backoff_seconds"),
)
"""Pairs of settings: the first must not be greater than the second."""


class Origin(StrEnum):
    """Where a value came from, weakest first."""

    DEFAULT = "default"
    USER = "user"
    WORKSPACE = "workspace"
    ENV = "env"
    FLAG = "flag"

    @property
    def words(self) -> str:
        """The origin in words."""
        return {"user": "user file", "workspace": "workspace file", "env": "environment"}.get(self.value, self.value)


class LoadedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings, the value and origin of each by dotted key, and the paths of the files, present or not.

    ``asked`` are the values of the workspace's file that need approval. They are in ``values`` if ``trusted``, and
    left out if not. ``sha256`` is that of the workspace's file.
    """

    settings: Settings
    values: dict[str, Any]
    origins: dict[str, Origin]
    files: tuple[Path, ...]
    asked: dict[str, Any]
    trusted: bool
    sha256: str

    @property
    def withheld(self) -> dict[str, Any]:
        """The values of the workspace's file that do not count."""
        return {} if self.trusted else self.asked


def workspace_config_path(root: Path) -> Path:
    """The workspace's own file."""
    return root / ".agent" / "config.toml"


def user_config_path(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's file for all workspaces, in the platform's configuration folder."""
    base = environ.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(base):
        return Path(base) / "acode-tui" / "config.toml"
    return config_folder() / "config.toml"


_flags: Mapping[str, object] = {}


def set_flags(flags: Mapping[str, object]) -> None:
    """Set the settings of this process's command line, by dotted key. They apply to every later load."""
    global _flags
    _flags = dict(flags)


def load_settings(
    root: Path, *, environ: Mapping[str, str] = os.environ, overrides: Mapping[str, object] | None = None
) -> Settings:
    """The settings of the workspace at ``root``. ``overrides`` are flags, by dotted key. Raises ConfigError."""
    return load(root, environ=environ, overrides=overrides).settings


def load(
    root: Path,
    *,
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, object] | None = None,
    drafts: Mapping[Path, str] | None = None,
    trusting: bool = False,
) -> LoadedSettings:
    """The settings with the origin of each value.

    ``drafts`` replace the content of files by path. Without ``overrides`` the flags of ``set_flags`` apply.
    ``trusting`` gives the settings that would apply if the workspace's file were approved. Raises ConfigError, also
    for the workspace of another user.
    """
    if not trusting:
        require_own(root, environ)
    require_plain(root)
    flags = _flags if overrides is None else overrides
    files = (user_config_path(environ), workspace_config_path(root))
    values = {name: key.default for name, key in keys.table().items()}
    origins = dict.fromkeys(values, Origin.DEFAULT)
    # Read once: what is approved is what is parsed.
    text = _text(files[1], drafts)
    of_workspace = _file_values(files[1], text)
    asked = {name: value for name, value in of_workspace.items() if asks(name, value)}
    trusted = trusting or is_approved(root, text, environ) if asked else True
    layers = (
        (Origin.USER, _file_values(files[0], _text(files[0], drafts))),
        (Origin.WORKSPACE, of_workspace if trusted else {k: v for k, v in of_workspace.items() if k not in asked}),
        (Origin.ENV, _environment_values(environ)),
        (Origin.FLAG, {name: keys.check(keys.find(name), value) for name, value in flags.items()}),
    )
    for origin, layer in layers:
        values.update(layer)
        origins.update(dict.fromkeys(layer, origin))
    _check_order(values)
    settings = msgspec.structs.replace(_build(values), withheld=() if trusted else tuple(asked))
    return LoadedSettings(
        settings=settings,
        values=values,
        origins=origins,
        files=files,
        asked=asked,
        trusted=trusted,
        sha256=content_hash(text),
    )


def content_hash(text: str) -> str:
    """The SHA-256 of a file with this text, by which the file is approved."""
    return sha256(text.encode()).hexdigest()


def is_approved(root: Path, text: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this user approved the workspace's file with this text."""
    return content_hash(text) in read_approval(root, environ).sha256


def asks_for_approval(path: Path, text: str) -> bool:
    """Whether a file with this text needs approval. Its values need not be valid. Raises ConfigError if not TOML."""
    return any(asks(name, value) for name, value in _named_values(_parse_toml(path, text), ""))


def _named_values(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        dotted = f"{prefix}{name}"
        if dotted in keys.table():
            yield dotted, value
        elif dotted in keys.sections() and isinstance(value, dict):
            yield from _named_values(value, dotted + ".")


def read_toml(path: Path) -> dict[str, Any]:
    """A file's tables; empty if the file does not exist. Raises ConfigError if it cannot be read as TOML."""
    return _parse_toml(path, read_text(path))


def read_text(path: Path) -> str:
    """A configuration file's text; empty if the file does not exist. Raises ConfigError."""
    try:
        data = read_bytes(path)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        hint = "make the file readable, or move it away"
        if isinstance(error, PermissionError) and not os.access(path.parent, os.X_OK):
            hint = f"no permission to read {path.parent}: check its owner and mode"
        raise ConfigError(f"{path}: {error.strerror or error}", hint=hint) from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: larger than {size(MAX_FILE_BYTES)}", hint="a configuration file is small")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text", hint="save it as UTF-8") from None


def read_bytes(path: Path) -> bytes:
    """At most ``MAX_FILE_BYTES`` + 1 bytes of a file. Raises OSError, also for a pipe or device, which may not end."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES + 1)


def check_file_value(key: keys.Key, value: object) -> Any:
    """A value from a file, or for one, converted. Raises ConfigError, also for an address with a password."""
    for text in keys.texts(value):
        if not key.regex and has_password(text):
            raise ConfigError(
                f"{key.name}: an address with a password is not allowed in a file",
                hint="put the URL into the environment variable that persistence.postgres.connection_string_env names",
            )
    return keys.check(key, value)


def _parse_toml(path: Path, text: str) -> dict[str, Any]:
    if not text:
        return {}  # there is no file: the parser need not be imported
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError:
        reason = "nested too deeply"
    except tomllib.TOMLDecodeError as error:
        reason = str(error)
    except ValueError:
        # The parser uses int(), which refuses thousands of digits.
        reason = "a number has too many digits"
    raise ConfigError(f"{path}: not valid TOML ({reason})", hint="correct that line, or move the file away")


def _text(path: Path, drafts: Mapping[Path, str] | None) -> str:
    draft = (drafts or {}).get(path)
    return read_text(path) if draft is None else draft


def _file_values(path: Path, text: str) -> dict[str, Any]:
    try:
        return dict(_flatten(_parse_toml(path, text), ""))
    except ConfigError as error:
        if error.message.startswith(str(path)):
            raise
        raise ConfigError(f"{path}: {error.message}", hint=error.hint) from None


def _flatten(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        dotted = f"{prefix}{name}"
        if dotted in keys.sections():
            if not isinstance(value, dict):
                raise ConfigError(f"{dotted}: must be a table", hint=f"write [{dotted}] and its keys below")
            yield from _flatten(value, dotted + ".")
        else:
            key = keys.find(dotted)
            yield dotted, check_file_value(key, value)


def _environment_values(environ: Mapping[str, str]) -> dict[str, Any]:
    """Settings from ``ACODE_<SECTION>__<KEY>`` variables. Raises ConfigError for an unknown key of a known section."""
    found = {}
    _require_log_level(environ)
    by_variable = {key.variable: key for key in keys.table().values()}
    prefixes = tuple({f"ACODE_{name.upper()}__" for name in keys.sections() if "." not in name})
    for variable, text in environ.items():
        if not variable.startswith(prefixes):
            continue
        key = by_variable.get(variable)
        if key is None:
            raise ConfigError(
                f"{variable}: no such setting", hint="unset it, or see `acode-tui config show` for every key"
            )
        try:
            found[key.name] = keys.parse(key, text)
        except ConfigError as error:
            raise ConfigError(f"{variable}: {error.message}", hint=error.hint) from None
    return found


def _require_log_level(environ: Mapping[str, str]) -> None:
    level = environ.get("ACODE_LOG_LEVEL")
    if level and level.lower() not in LEVELS:
        raise ConfigError(
            f"ACODE_LOG_LEVEL: {keys.quoted(level)} is not allowed; it must be one of {', '.join(LEVELS)}",
            hint="set it to one of these, or unset it",
        )


def _check_order(values: Mapping[str, Any]) -> None:
    for low, high in _ORDERED_PAIRS:
        if values[low] > values[high]:
            raise ConfigError(
                f"{low}: {keys.format_value(values[low])} is not allowed; "
                f"it must be at most {high}, which is {keys.format_value(values[high])}",
                hint="",
            )


def _build(values: Mapping[str, Any]) -> Settings:
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *path, leaf = name.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[leaf] = value
    return msgspec.convert(tree, type=Settings)


FileState = tuple[int, int, int]
"""Inode, size, and mtime in nanoseconds."""


class ConfigWatch:
    """Detects changes of a workspace's configuration files and of its approval.

    A file that was only touched, or replaced by the same text, has not changed. Create the watch before loading the
    settings, so that an edit between the two is detected.
    """

    def __init__(self, root: Path, *, environ: Mapping[str, str] = os.environ) -> None:
        self._root = root
        self._environ = environ
        self._files = (user_config_path(environ), workspace_config_path(root))
        self._approvals = store_path(environ)
        self._states = self._read_states()
        self._contents = self._read_contents()

    def changed(self) -> bool:
        """Whether a content or the approval has changed since the last call, or since construction."""
        states = self._read_states()
        if states == self._states:
            return False
        contents = self._read_contents()
        differs = contents != self._contents
        self._states, self._contents = states, contents
        return differs

    def _read_states(self) -> list[FileState | None]:
        return [_file_state(path) for path in (*self._files, self._approvals)]

    def _read_contents(self) -> list[object]:
        approval = read_approval(self._root, self._environ)
        return [*(_hash(path) for path in self._files), approval.sha256, approval.owner]


def _file_state(path: Path) -> FileState | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _hash(path: Path) -> bytes | None:
    try:
        return sha256(read_bytes(path)).digest()
    except OSError:
        return None
