"""Which of two versions of a row stays. Pure, and the same answer on every machine.

The later ``updated_at`` wins; between equal stamps the larger digest of the content. That is a total order over
contents, so it does not matter in which order machines meet, nor how many there are. Digests are taken of values in
a form that survives both databases: PostgreSQL's jsonb writes 1e2 as 100 and forgets the sign of zero.
"""

from decimal import Decimal
from hashlib import sha256
from typing import Any, Literal

import msgspec

from acode_tui.domain.codec import entity_fields
from acode_tui.domain.entities import Entity
from acode_tui.domain.schema import TABLES

Winner = Literal["local", "remote"]

_encoder = msgspec.json.Encoder(order="sorted")
_NOT_CONTENT = ("updatedAt", "syncVersion", "workspaceId")
"""When, how often and by which workspace a row was sent does not make it another row."""

_JSON_FIELDS = {
    kind: tuple(column.json for column in table.columns if column.kind == "json") for kind, table in TABLES.items()
}


def content_digest(entity: Entity) -> bytes:
    """SHA-256 over everything a row says but for its ``updated_at``, ``sync_version`` and workspace.

    An artifact's content is in it by its hash.
    """
    fields = entity_fields(entity)
    for name in _NOT_CONTENT:
        fields.pop(name, None)
    for name in _JSON_FIELDS[entity.kind]:
        fields[name] = normal_form(fields[name])
    return sha256(_encoder.encode(fields)).digest()


def same_content(local: Entity, remote: Entity) -> bool:
    """Whether two versions say the same, whenever each was written: convergence, not a conflict."""
    return content_digest(local) == content_digest(remote)


def resolve(local: Entity, remote: Entity) -> Winner:
    """Which version stays. Versions that stand equal in every respect stay as they are remotely."""
    if local.updated_at != remote.updated_at:
        return "local" if local.updated_at > remote.updated_at else "remote"
    return "local" if content_digest(local) > content_digest(remote) else "remote"


def normal_form(value: Any) -> Any:
    """A JSON value as both databases would give it back: whole numbers as integers, in every digit.

    What is compared or hashed across the tiers has to be in this form.
    """
    if isinstance(value, float):
        return int(Decimal(repr(value))) if value.is_integer() else value
    if isinstance(value, dict):
        return {key: normal_form(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [normal_form(item) for item in value]
    return value
