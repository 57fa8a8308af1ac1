"""The one JSON encoder and decoder: camelCase, enums by name, fixed-width times, bytes as base64, every field present.

Reading tolerates fields that a newer program added; writing is deterministic, so the digest of a canonical
encoding is the same on every machine.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from hashlib import sha256
from typing import Any, TypeVar

import msgspec

from acode_tui.domain.entities import Entity, SessionGraph
from acode_tui.domain.plain import plain_scalar
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.domain.times import format_time

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
