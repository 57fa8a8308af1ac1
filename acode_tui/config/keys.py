"""The settings as a flat table of dotted keys, and the validation of one value.

An invalid value raises a ConfigError that names the key, the value and what is allowed. The value is not quoted for
keys in which people put a password or a URL by mistake.
"""

import functools
import math
import os
import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Meta

from acode_tui.config.settings import Settings
from acode_tui.domain.errors import ConfigError, ValidationError
from acode_tui.domain.validation import is_storable

_PASSWORD_KEY = re.compile(r"(^|[._-])(password|passwd|pwd|pass|secret)$", re.IGNORECASE)
_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One setting: its dotted name, type and default. The rest is what its type's annotations say, read when asked for:
    the settings are loaded at every start, and nearly none of it is needed then.
    """

    name: str
    type: Any
    default: Any

    @property
    def doc(self) -> str:
        """Its purpose."""
        return _description(self.type)

    @property
    def allowed(self) -> str:
        """The allowed values, in words."""
        return _allowed(self.type)

    @property
    def default_text(self) -> str:
        """The default, in words."""
        return str(_extra(self.type).get("default", "")) or _default_text(self.default)

    @property
    def confidential(self) -> bool:
        """Whether errors do not quote the value."""
        return bool(_extra(self.type).get("confidential", False))

    @property
    def regex(self) -> bool:
        """Whether the value is a regular expression, or several."""
        return bool(_extra(self.type).get("regex", False))

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that are allowed, where they are few."""
        return _choices(_extra(self.type))

    @property
    def entry_points(self) -> str:
        """The group of entry points of other packages whose names are choices too; empty where there is none."""
        return str(_extra(self.type).get("entry_points", ""))

    @property
    def section(self) -> str:
        return self.name.rpartition(".")[0]

    @property
    def leaf(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def variable(self) -> str:
        """The environment variable that overrides the setting."""
        return "ACODE_" + self.name.upper().replace(".", "__")


@functools.cache
def table() -> dict[str, Key]:
    """Every setting by dotted name, in the order of the documentation."""
    return {key.name: key for key in _walk_settings(Settings, "")}


@functools.cache
def sections() -> frozenset[str]:
    """The dotted names of all tables: ``persistence``, ``persistence.sqlite``, ..."""
    names: set[str] = set()
    for key in table().values():
        parts = key.section.split(".")
        names.update(".".join(parts[: depth + 1]) for depth in range(len(parts)))
    return frozenset(names)


def find(name: str) -> Key:
    """The setting of that name. Raises ConfigError with similar names if it does not exist."""
    key = table().get(name)
    if key is not None:
        return key
    shown = name if name.isprintable() and len(name) <= 100 else quoted(name)
    if _PASSWORD_KEY.search(name):
        raise ConfigError(
            f"{shown}: a password is not allowed in a file",
            hint="put it into an environment variable and name that in persistence.postgres.password_env",
        )
    if name in sections():
        raise ConfigError(f"{name}: is a section, not a setting", hint=f"see `acode-tui config show {name}`")
    hint = _nearest(name, table()) or "see `acode-tui config show` for every key"
    raise ConfigError(f"{shown}: no such setting", hint=hint)


def check(key: Key, value: object) -> Any:
    """The value, converted to the setting's type. Raises ConfigError."""
    if isinstance(value, float) and not math.isfinite(value):
        raise invalid_value(key, value)
    if not all(map(is_storable, texts(value))):
        # NUL, which no path can contain, or bytes of another encoding in the environment, which no file can contain.
        raise invalid_value(key, value, "write it as UTF-8, without NUL")
    try:
        converted = msgspec.convert(value, type=key.type, strict=True)
    except msgspec.ValidationError:
        raise invalid_value(key, value) from None
    _require_choices(key, converted)
    if key.regex and converted:
        _require_patterns(key, converted)
    if _extra(key.type).get("path"):
        for path in (converted,) if isinstance(converted, str) else converted:
            if path.startswith("~") and os.path.expanduser(path) == path:
                # There is no user of that name.
                raise invalid_value(key, path)
    return converted


def texts(value: object) -> Iterator[str]:
    """Every string in a value, including the names of a table."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from texts(name)
            yield from texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts(item)


_MOST_LISTED = 60


def _listed(choices: typing.Sequence[str]) -> str:
    """The choices for one line: of many, such as the ids of keys, the first, and how many there are."""
    shown = ", ".join(choices[:_MOST_LISTED])
    return shown if len(choices) <= _MOST_LISTED else f"{shown}, … ({len(choices)} in all)"


def _require_choices(key: Key, value: Any) -> None:
    """Check that a value, its items or its keys are among the choices, if the setting has choices."""
    if not key.choices or value is None:
        return
    names = (value,) if isinstance(value, str) else value
    unknown = next((name for name in names if name not in key.choices), None)
    if unknown is not None and key.entry_points:
        # Here alone: the metadata of all installed packages is read.
        from acode_tui.plugins import entry_points

        added = {entry.name for entry in entry_points(key.entry_points)}
        unknown = next((name for name in names if name not in key.choices and name not in added), None)
    if unknown is not None:
        hint = _nearest(unknown, key.choices)
        if isinstance(value, dict):
            raise ConfigError(
                f"{key.name}: {quoted(unknown)} is not allowed; it must be one of {_listed(key.choices)}", hint=hint
            )
        raise invalid_value(key, value, hint)


def _nearest(name: str, known: typing.Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name[:100], list(known), n=2, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else ""


def _require_patterns(key: Key, patterns: typing.Sequence[str]) -> None:
    from acode_tui.domain.secrets.patterns import custom_patterns

    try:
        custom_patterns(patterns)
    except ValidationError as error:
        raise ConfigError(f"{key.name}: {error.message}; it must be {key.allowed}", hint=error.hint) from None


def parse(key: Key, text: str) -> Any:
    """The value of a text from the command line or an environment variable. Raises ConfigError."""
    base = _base_type(key.type)
    value: object = text
    if base is bool:
        lowered = text.strip().lower()
        if lowered not in _TRUE + _FALSE:
            raise invalid_value(key, text)
        value = lowered in _TRUE
    elif base in (int, float):
        try:
            value = int(text) if base is int else float(text)
        except ValueError:
            raise invalid_value(key, text) from None
    elif base in (tuple, dict):
        value = _parse_collection(text) if base is dict or text.lstrip().startswith("[") else _split(text)
    return check(key, value)


def invalid_value(key: Key, value: object, hint: str = "") -> ConfigError:
    """The error that names the value and what is allowed."""
    given = "the value given" if key.confidential else quoted(value)
    return ConfigError(f"{key.name}: {given} is not allowed; it must be {key.allowed}", hint=hint)


def is_choice(key: Key) -> bool:
    """Whether the value is one of a fixed list of words."""
    return _base_type(key.type) is Literal or (bool(key.choices) and _base_type(key.type) is str)


def _walk_settings(struct: type[msgspec.Struct], prefix: str) -> typing.Iterator[Key]:
    for info in msgspec.structs.fields(struct):
        if struct is Settings and info.name == "withheld":
            continue  # says how the settings were loaded
        name = f"{prefix}{info.name}"
        if isinstance(info.type, type) and issubclass(info.type, msgspec.Struct):
            yield from _walk_settings(info.type, name + ".")
            continue
        default = info.default_factory() if info.default is msgspec.NODEFAULT else info.default
        yield Key(name=name, type=info.type, default=default)


def _metas(type_: Any) -> list[Meta]:
    if typing.get_origin(type_) is typing.Annotated:
        inner, *metas = typing.get_args(type_)
        return [*_metas(inner), *(meta for meta in metas if isinstance(meta, Meta))]
    if typing.get_origin(type_) in (types.UnionType, typing.Union, tuple):
        return [meta for part in typing.get_args(type_) for meta in _metas(part)]
    return []


def _extra(type_: Any) -> dict[str, object]:
    found: dict[str, object] = {}
    for meta in _metas(type_):
        found.update(meta.extra or {})
    return found


def _choices(extra: Mapping[str, object]) -> tuple[str, ...]:
    found = extra.get("choices", ())
    return found if isinstance(found, tuple) else ()


def _description(type_: Any) -> str:
    return next((meta.description for meta in reversed(_metas(type_)) if meta.description), "")


def _bare_type(type_: Any) -> Any:
    """The type without annotations and without None."""
    while typing.get_origin(type_) is typing.Annotated:
        type_ = typing.get_args(type_)[0]
    if typing.get_origin(type_) in (types.UnionType, typing.Union):
        (type_,) = (part for part in typing.get_args(type_) if part is not type(None))
        return _bare_type(type_)
    return type_


def _base_type(type_: Any) -> Any:
    bare = _bare_type(type_)
    return typing.get_origin(bare) or bare


def _allowed(type_: Any) -> str:
    base = _base_type(type_)
    allowed = _extra(type_).get("allowed")
    if allowed and base is not tuple:
        return str(allowed)
    choices = _choices(_extra(type_))
    if choices and base is str:
        return "one of " + ", ".join(choices)
    if base is bool:
        return "true or false"
    if base is Literal:
        return "one of " + ", ".join(typing.get_args(_bare_type(type_)))
    if base is tuple:
        return f"a list, each item {_allowed(typing.get_args(_bare_type(type_))[0])}"
    if base is dict:
        return "a table of strings"
    if base in (int, float):
        return ("a whole number" if base is int else "a number") + _range(_metas(type_))
    return "a string"


def _range(metas: list[Meta]) -> str:
    low = next((meta.ge for meta in metas if meta.ge is not None), None)
    high = next((meta.le for meta in metas if meta.le is not None), None)
    if low is not None and high is not None:
        return f" from {low} to {high}"
    return f" from {low}" if low is not None else ""


def _default_text(default: object) -> str:
    if default is None:
        return "-"
    return f"`{format_value(default)}`"


def format_value(value: object) -> str:
    """A value as TOML, None as empty text. Whole floats are written without ``.0``; both forms are read."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(format_value(item) for item in value) + "]"
    if isinstance(value, dict):
        pairs = (f"{format_value(str(name))} = {format_value(item)}" for name, item in value.items())
        return "{ " + ", ".join(pairs) + " }" if value else "{}"
    if isinstance(value, str):
        data = value.encode("utf-8", "backslashreplace")  # an invalid value may contain lone surrogates
        return msgspec.json.encode(data.decode()).decode().replace("\x7f", "\\u007f")
    return str(value)


def quoted(value: object) -> str:
    """An invalid value as an error message quotes it: as TOML, at most 60 characters."""
    if isinstance(value, int) and value.bit_length() > 256:
        return "a number this large"
    text = format_value(value) or "an empty value"
    return text if len(text) <= 60 else text[:57] + "..."


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _parse_collection(text: str) -> object:
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        # Not TOML, nested too deeply or a number of thousands of digits: validated, and refused, as text.
        return text
