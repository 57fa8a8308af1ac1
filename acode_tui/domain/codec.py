"""The one JSON encoder and decoder: camelCase, enums by name, fixed-width times, bytes as base64, every field present.

Reading tolerates fields that a newer program added; writing is deterministic, so the digest of a canonical
encoding is the same on every machine.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from typing import Any, TypeVar

import msgspec

from acode_tui.domain.clock import format_time
from acode_tui.domain.entities import Entity, SessionGraph
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType


def plain_scalar(value: Any) -> Any:
    """The string or number that a derived one is: an encoder's hook. Raises TypeError for anything else."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    raise TypeError(f"a {type(value).__name__} is no JSON")


T = TypeVar("T")

_encoder = msgspec.json.Encoder(enc_hook=plain_scalar)
_sorted_encoder = msgspec.json.Encoder(enc_hook=plain_scalar, order="sorted")
_PLAN = {
    kind: tuple((column.name, column.json, column.kind) for column in table.columns) for kind, table in TABLES.items()
}
_DECODERS = {kind: msgspec.json.Decoder(table.entity) for kind, table in TABLES.items()}


def encode_json(value: Any) -> bytes:
    """JSON of plain values, entities, graphs and structs, as it leaves the program."""
    return _encoder.encode(to_plain(value))


def canonical_json(value: Any) -> bytes:
    """The same with object keys sorted: the form that digests are taken of."""
    return _sorted_encoder.encode(to_plain(value))


def digest(data: bytes) -> str:
    """``sha256:`` and 64 hex digits."""
    return "sha256:" + sha256(data).hexdigest()


def entity_fields(entity: Entity) -> dict[str, Any]:
    """An entity's own columns by JSON name, without children; an artifact's content as None (see design: by hash)."""
    fields: dict[str, Any] = {}
    for name, json_name, kind in _PLAN[entity.kind]:
        value = getattr(entity, name)
        if kind == "time" and value is not None:
            value = format_time(value)
        elif kind == "bytes":
            value = None
        fields[json_name] = value
    return fields


def encode_payload(entity: Entity) -> bytes:
    """An outbox payload: enough to rebuild the row, artifact content by hash (AC-032)."""
    return _encoder.encode(entity_fields(entity))


def decode_payload(kind: EntityType, payload: bytes | str) -> Entity:
    """The entity that ``encode_payload`` wrote. Raises msgspec.ValidationError if it is not one."""
    return _DECODERS[kind].decode(payload)


def decode_json(data: bytes | str, type_: type[T]) -> T:
    """Typed JSON, unknown fields tolerated."""
    return msgspec.json.decode(data, type=type_)


def to_plain(value: Any) -> Any:
    """Plain JSON values of anything this program prints."""
    if isinstance(value, Entity):
        return _entity_plain(value)
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


def _entity_plain(entity: Entity) -> dict[str, Any]:
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


def decode_graph(data: bytes | str) -> SessionGraph:
    """A whole run from the JSON that ``encode_json`` wrote of it."""
    return msgspec.json.decode(data, type=SessionGraph)


def strip_children(entities: Iterable[Entity]) -> list[Entity]:
    """The same entities as plain rows, graph nodes reduced to their own columns."""
    plain = []
    for entity in entities:
        own = TABLES[entity.kind].entity
        if type(entity) is own:
            plain.append(entity)
        else:
            plain.append(own(**{name: getattr(entity, name) for name in own.__struct_fields__}))
    return plain


_canonical_encoder = msgspec.json.Encoder(order="sorted")
_JSON_FIELDS = {
    kind: tuple(column.json for column in table.columns if column.kind == "json") for kind, table in TABLES.items()
}


_NOT_CONTENT = ("updatedAt", "syncVersion", "workspaceId")
"""When, how often and by which workspace a row was sent does not make it another row."""


def content_digest(entity: Entity) -> bytes:
    """SHA-256 over everything a row says but for its ``updated_at``, ``sync_version`` and workspace.

    An artifact's content is in it by its hash.
    """
    return canonical_digest(entity, without=_NOT_CONTENT)


def canonical_digest(entity: Entity, *, without: tuple[str, ...] = (), content_sha256: str | None = None) -> bytes:
    """SHA-256 over a row's columns, by JSON name, but for those left out.

    An artifact's content is in it by the hash it was stored with, and by ``content_sha256`` (hex, of the bytes that are
    really there) where one is given.
    """
    fields = entity_fields(entity)
    for name in without:
        fields.pop(name, None)
    for name in _JSON_FIELDS[entity.kind]:
        fields[name] = normal_form(fields[name])
    if content_sha256 is not None:
        fields["content"] = content_sha256
    return sha256(_canonical_encoder.encode(fields)).digest()


def normal_form(value: Any) -> Any:
    """A JSON value as both databases would give it back: whole numbers as integers, in every digit.

    PostgreSQL's jsonb writes 1e2 as 100 and forgets the sign of zero.
    """
    if isinstance(value, float):
        return int(Decimal(repr(value))) if value.is_integer() else value
    if isinstance(value, dict):
        return {key: normal_form(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [normal_form(item) for item in value]
    return value
