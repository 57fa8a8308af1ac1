"""The JSON encoder and decoder of the whole program, and the digests taken of canonical JSON.

JSON has camelCase keys, enums by name, fixed-width times, bytes as base64 and every field present. Decoding ignores
fields that a newer program added. The canonical form has sorted keys and numbers as both databases return them, so the
digest of a row is the same on every machine.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import msgspec

from acode_tui.domain.clock import format_time
from acode_tui.domain.entities import Entity
from acode_tui.domain.schema import TABLES, Column
from acode_tui.domain.states import EntityType

T = TypeVar("T")

_NOT_CONTENT = ("updatedAt", "syncVersion", "workspaceId")
"""Fields that say when, how often and by which workspace a row was sent. They are not part of its content."""


class _Fields(NamedTuple):
    """How a kind's values are read, their names in JSON, and the names of times and of contents."""

    values_of: Callable[[Any], tuple[Any, ...]]
    names: tuple[str, ...]
    times: tuple[str, ...]
    contents: tuple[str, ...]


def _fields(columns: Sequence[Column]) -> _Fields:
    return _Fields(
        attrgetter(*(column.name for column in columns)),
        tuple(column.json for column in columns),
        tuple(column.json for column in columns if column.kind == "time"),
        tuple(column.json for column in columns if column.kind == "bytes"),
    )


_FIELDS = {kind: _fields(table.columns) for kind, table in TABLES.items()}
_CONTENT_FIELDS = {
    kind: _fields([column for column in table.columns if column.json not in _NOT_CONTENT])
    for kind, table in TABLES.items()
}
_JSON_FIELDS = {
    kind: tuple(column.json for column in table.columns if column.kind == "json") for kind, table in TABLES.items()
}
_DECODERS = {kind: msgspec.json.Decoder(table.entity) for kind, table in TABLES.items()}


def _plain_scalar(value: Any) -> Any:
    """The ``str``, ``int`` or ``float`` of an instance of a subclass. Raises TypeError for anything else."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    raise TypeError(f"a {type(value).__name__} cannot be encoded as JSON")


_encoder = msgspec.json.Encoder(enc_hook=_plain_scalar)
_canonical_encoder = msgspec.json.Encoder(order="sorted", enc_hook=_plain_scalar)

encode_plain = _encoder.encode
"""JSON of a value that consists of plain JSON types, such as metadata, parameters or a result."""


def encode_json(value: Any) -> bytes:
    """JSON of plain values, entities, graphs and structs, as the program prints and exports it."""
    return _encoder.encode(to_plain(value))


_TERMINAL_CONTROL = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]")
"""In UTF-8: DEL, C1, bidi controls and separators of lines. In JSON they occur in strings only, unescaped."""


def encode_json_for_terminal(value: Any) -> bytes:
    """As ``encode_json``, with what a terminal would obey or be misled by as ``\\uXXXX``. It decodes to the same value.

    JSON itself has ``ESC`` and its like escaped; DEL, C1 (``U+009B`` begins a sequence as ``ESC [`` does), controls of
    the text's direction and separators of lines, which split the line of JSON for some readers, it leaves as they are.
    """
    return _TERMINAL_CONTROL.sub(lambda found: b"\\u%04x" % ord(found[0].decode()), encode_json(value))


def decode_json(data: bytes | str, type_: type[T]) -> T:
    """JSON as a value of ``type_``; unknown fields are ignored. Raises msgspec.ValidationError if it does not fit."""
    return msgspec.json.decode(data, type=type_)


def encode_payload(entity: Entity) -> bytes:
    """An outbox payload: everything that rebuilds the row; artifact content only by its hash (AC-032)."""
    return _encoder.encode(entity_fields(entity))


def decode_payload(kind: EntityType, payload: bytes | str) -> Entity:
    """The entity that ``encode_payload`` wrote. Raises msgspec.ValidationError if it is not one."""
    return _DECODERS[kind].decode(payload)


def entity_fields(entity: Entity) -> dict[str, Any]:
    """An entity's own columns by JSON name, without children. An artifact's content is None."""
    values_of, json_names, times, contents = _FIELDS[entity.kind]
    fields = dict(zip(json_names, values_of(entity), strict=True))
    last: datetime | None = None
    text = ""
    for name in times:
        if (moment := fields[name]) is not None:
            # Most rows are written once: the two times are one, and formatting it takes longer than all the rest.
            if moment != last:
                last, text = moment, format_time(moment)
            fields[name] = text
    for name in contents:
        fields[name] = None
    return fields


def to_plain(value: Any) -> Any:
    """``value`` as plain JSON types: entities and structs become objects, enums their value, times their text."""
    if isinstance(value, Entity):
        return _plain_entity(value)
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, msgspec.Struct):
        info = msgspec.structs.fields(value)
        return {field.encode_name: to_plain(getattr(value, field.name)) for field in info}
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain(item) for item in value]
    return value


def _plain_entity(entity: Entity) -> dict[str, Any]:
    plain = entity_fields(entity)
    content = getattr(entity, "content", None)
    if content is not None:
        plain["content"] = content
    own = TABLES[entity.kind].entity
    if type(entity) is not own:
        known = set(own.__struct_fields__)
        for field in msgspec.structs.fields(entity):
            if field.name not in known:
                plain[field.encode_name] = to_plain(getattr(entity, field.name))
    return plain


def digest(data: bytes) -> str:
    """``sha256:`` and 64 hex digits."""
    return "sha256:" + sha256(data).hexdigest()


def content_digest(entity: Entity) -> bytes:
    """SHA-256 of a row's content: all columns but ``updated_at``, ``sync_version`` and ``workspace_id``.

    An artifact's content is covered by its ``content_hash``. Each row that is sent needs one, so this is a shorter way
    to the ``canonical_digest`` without these columns: the encoder writes the times too, where it writes all of them.
    """
    values_of, names, times, contents = _CONTENT_FIELDS[entity.kind]
    fields = dict(zip(names, values_of(entity), strict=True))
    for name in times:
        moment = fields[name]
        if moment is not None and (moment.microsecond == 0 or moment.tzinfo is not UTC):
            fields[name] = format_time(moment)
    for name in contents:
        fields[name] = None
    return _canonical_sha256(entity.kind, fields)


def same_content(local: Entity, remote: Entity) -> bool:
    """Whether two versions of a row say the same, whenever each was written."""
    return content_digest(local) == content_digest(remote)


def canonical_digest(entity: Entity, *, without: tuple[str, ...] = (), content_sha256: str | None = None) -> bytes:
    """SHA-256 of the canonical JSON of a row's columns.

    ``without`` leaves out columns by JSON name. An artifact's content is covered by its ``content_hash``, and also by
    ``content_sha256`` (hex, of the bytes that are stored) if it is given.
    """
    fields = entity_fields(entity)
    for name in without:
        fields.pop(name, None)
    if content_sha256 is not None:
        fields["content"] = content_sha256
    return _canonical_sha256(entity.kind, fields)


def _canonical_sha256(kind: EntityType, fields: dict[str, Any]) -> bytes:
    for name in _JSON_FIELDS[kind]:
        if fields[name] is not None:
            fields[name] = normal_form(fields[name])
    return sha256(_canonical_encoder.encode(fields)).digest()


_AS_THEY_ARE = frozenset((str, int, bool, type(None)))


def normal_form(value: Any) -> Any:
    """A JSON value as both databases return it: whole numbers are integers with all their digits.

    PostgreSQL's jsonb stores 1e2 as 100 and drops the sign of zero.
    """
    if value.__class__ in _AS_THEY_ARE:
        return value
    if isinstance(value, float):
        return int(Decimal(repr(value))) if value.is_integer() else value
    if isinstance(value, dict):
        return {key: normal_form(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [normal_form(item) for item in value]
    return value


_QUOTED = re.compile(r"(Invalid (?:enum )?value) .*?( - at `\$[\w.\[\]]*`)?", re.DOTALL)


def without_value(error: Exception) -> str:
    """What an error of decoding says, without the value that it is about: only msgspec's say what was expected."""
    if not isinstance(error, msgspec.MsgspecError):
        return type(error).__name__
    quoted = _QUOTED.fullmatch(str(error))
    return f"{quoted[1]}{quoted[2] or ''}" if quoted else str(error)
