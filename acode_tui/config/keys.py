"""The settings as a flat table of dotted keys, and the check of one value.

A refusal is a ConfigError that names the key, the value and what is allowed. Values of keys that people
mistake for a place to put a password or a URL are not quoted.
"""

import difflib
import functools
import math
import os
import re
import tomllib
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
    """One setting: its dotted name, type, default, one sentence of what it is for, and what is allowed."""

    name: str
    type: Any
    default: Any
    doc: str
    allowed: str
    default_text: str
    quiet: bool
    regex: bool
    choices: tuple[str, ...]

    @property
    def section(self) -> str:
        return self.name.rpartition(".")[0]

    @property
    def leaf(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def variable(self) -> str:
        """The environment variable that overrides it."""
        return "ACODE_" + self.name.upper().replace(".", "__")


@functools.cache
def table() -> dict[str, Key]:
    """Every setting by dotted name, in the order of the documentation."""
    return {key.name: key for key in _walk(Settings, "")}


@functools.cache
def sections() -> frozenset[str]:
    """The dotted name of every table: ``persistence``, ``persistence.sqlite``, ..."""
    names: set[str] = set()
    for key in table().values():
        parts = key.section.split(".")
        names.update(".".join(parts[: depth + 1]) for depth in range(len(parts)))
    return frozenset(names)


def find(name: str) -> Key:
    """The setting of that name. Raises ConfigError with the nearest names if there is none."""
    key = table().get(name)
    if key is not None:
        return key
    shown = name if name.isprintable() and len(name) <= 100 else quoted(name)
    if _PASSWORD_KEY.search(name):
        raise ConfigError(
            f"{shown}: a password may not stand in a file",
            hint="put it into an environment variable and name that in persistence.postgres.password_env",
        )
    if name in sections():
        raise ConfigError(f"{name}: is a section, not a setting", hint=f"see `acode-tui config show {name}`")
    hint = _nearest(name, table()) or "see `acode-tui config show` for every key"
    raise ConfigError(f"{shown}: there is no such setting", hint=hint)


def check(key: Key, value: object) -> Any:
    """The value, converted to the setting's type. Raises ConfigError."""
    if isinstance(value, float) and not math.isfinite(value):
        raise refusal(key, value)
    if not all(map(is_storable, texts(value))):
        # NUL, which no path may hold, or what the environment gave as bytes of another encoding: no file holds that.
        raise refusal(key, value, "write it as UTF-8, without NUL")
    try:
        converted = msgspec.convert(value, type=key.type, strict=True)
    except msgspec.ValidationError:
        raise refusal(key, value) from None
    _require_choices(key, converted)
    if key.regex and converted:
        _require_patterns(key, converted)
    if _extra(key.type).get("path"):
        for path in (converted,) if isinstance(converted, str) else converted:
            if path.startswith("~") and os.path.expanduser(path) == path:
                # Nobody of that name has a home here.
                raise refusal(key, path)
    return converted


def texts(value: object) -> Iterator[str]:
    """Every string in a value, names of a table too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from texts(name)
            yield from texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts(item)


def _require_choices(key: Key, value: Any) -> None:
    """Where only certain names are known: that it is one of them, or holds (as items or as keys) nothing else."""
    if not key.choices or value is None:
        return
    unknown = next((name for name in ((value,) if isinstance(value, str) else value) if name not in key.choices), None)
    if unknown is not None:
        hint = _nearest(unknown, key.choices)
        if isinstance(value, dict):
            raise ConfigError(
                f"{key.name}: {quoted(unknown)} is not allowed; it must be one of {', '.join(key.choices)}", hint=hint
            )
        raise refusal(key, value, hint)


def _nearest(name: str, known: typing.Iterable[str]) -> str:
    near = difflib.get_close_matches(name[:100], list(known), n=2, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else ""


def _require_patterns(key: Key, patterns: typing.Sequence[str]) -> None:
    from acode_tui.domain.secrets.patterns import custom_patterns

    try:
        custom_patterns(patterns)
    except ValidationError as error:
        raise ConfigError(f"{key.name}: {error.message}; it must be {key.allowed}", hint=error.hint) from None


def parse(key: Key, text: str) -> Any:
    """The value that a person typed or an environment variable holds. Raises ConfigError."""
    base = _base(key.type)
    value: object = text
    if base is bool:
        lowered = text.strip().lower()
        if lowered not in _TRUE + _FALSE:
            raise refusal(key, text)
        value = lowered in _TRUE
    elif base in (int, float):
        try:
            value = int(text) if base is int else float(text)
        except ValueError:
            raise refusal(key, text) from None
    elif base in (tuple, dict):
        value = _parse_collection(text) if base is dict or text.lstrip().startswith("[") else _split(text)
    return check(key, value)


def refusal(key: Key, value: object, hint: str = "") -> ConfigError:
    """The error that says what was given and what is allowed."""
    given = "the value given" if key.quiet else quoted(value)
    return ConfigError(f"{key.name}: {given} is not allowed; it must be {key.allowed}", hint=hint)


def is_choice(key: Key) -> bool:
    """Whether its value is one of a fixed list of words."""
    return _base(key.type) is Literal or (bool(key.choices) and _base(key.type) is str)


def _walk(struct: type[msgspec.Struct], prefix: str) -> typing.Iterator[Key]:
    for info in msgspec.structs.fields(struct):
        name = f"{prefix}{info.name}"
        if isinstance(info.type, type) and issubclass(info.type, msgspec.Struct):
            yield from _walk(info.type, name + ".")
            continue
        default = info.default_factory() if info.default is msgspec.NODEFAULT else info.default
        extra = _extra(info.type)
        yield Key(
            name=name,
            type=info.type,
            default=default,
            doc=_doc(info.type),
            allowed=_allowed(info.type),
            default_text=str(extra.get("default", "")) or _default_text(default),
            quiet=bool(extra.get("quiet", False)),
            regex=bool(extra.get("regex", False)),
            choices=_choices(extra),
        )


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


def _doc(type_: Any) -> str:
    return next((meta.description for meta in reversed(_metas(type_)) if meta.description), "")


def _bare(type_: Any) -> Any:
    """The type without annotations and without None."""
    while typing.get_origin(type_) is typing.Annotated:
        type_ = typing.get_args(type_)[0]
    if typing.get_origin(type_) in (types.UnionType, typing.Union):
        (type_,) = (part for part in typing.get_args(type_) if part is not type(None))
        return _bare(type_)
    return type_


def _base(type_: Any) -> Any:
    bare = _bare(type_)
    return typing.get_origin(bare) or bare


def _allowed(type_: Any) -> str:
    base = _base(type_)
    said = _extra(type_).get("allowed")
    if said and base is not tuple:
        return str(said)
    choices = _choices(_extra(type_))
    if choices and base is str:
        return "one of " + ", ".join(choices)
    if base is bool:
        return "true or false"
    if base is Literal:
        return "one of " + ", ".join(typing.get_args(_bare(type_)))
    if base is tuple:
        return f"a list, each item {_allowed(typing.get_args(_bare(type_))[0])}"
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
    """A value as TOML writes it, None as nothing. Whole floats lose their ``.0``: both forms are read."""
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
        shown = value.encode("utf-8", "backslashreplace")  # a value that is refused may hold lone surrogates
        return msgspec.json.encode(shown.decode()).decode().replace("\x7f", "\\u007f")
    return str(value)


def quoted(value: object) -> str:
    """A refused value as an error's text names it: as TOML, and short."""
    if isinstance(value, int) and value.bit_length() > 256:
        return "so large a number"
    text = format_value(value) or "an empty value"
    return text if len(text) <= 60 else text[:57] + "..."


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _parse_collection(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        # Not TOML, nested without end, a number of thousands of digits: refused as the text that it is.
        return text
