"""One form of a row for both databases, and its checksum: what is compared or hashed across the tiers is in it."""

from decimal import Decimal
from hashlib import sha256
from typing import Any

import msgspec

from acode_tui.domain.codec import entity_fields
from acode_tui.domain.entities import Entity
from acode_tui.domain.schema import TABLES

_encoder = msgspec.json.Encoder(order="sorted")
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
    return sha256(_encoder.encode(fields)).digest()


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
