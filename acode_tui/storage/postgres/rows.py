"""Conversion between entities and PostgreSQL rows. JSON is sent as text; times keep their microseconds."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from acode_tui.domain.codec import encode_plain
from acode_tui.domain.entities import Entity
from acode_tui.domain.schema import TABLES, Column, Table
from acode_tui.domain.states import EntityType
from acode_tui.storage.ports import Conflict

PG_TYPES = {
    "uuid": "uuid",
    "text": "text",
    "enum": "text",
    "int": "bigint",
    "time": "timestamptz",
    "json": "jsonb",
    "bytes": "bytea",
}
"""PostgreSQL type by column kind."""


def stored_columns(table: Table) -> tuple[Column, ...]:
    """The columns that a delivery sends: all but ``sync_version``, which the apply protocol computes."""
    return tuple(column for column in table.columns if column.name != "sync_version")


def column_values(column: Column, entities: Sequence[Entity]) -> list[Any]:
    """One column of many entities, as the array that a statement takes."""
    name = column.name
    values = [getattr(entity, name) for entity in entities]
    if column.kind == "json":
        return [None if value is None and column.nullable else encode_plain(value).decode() for value in values]
    return values


def select_list(table: Table, alias: str = "", *, content: bool = False) -> str:
    """The quoted columns of an entity's table; an artifact's content only with ``content``."""
    prefix = f"{alias}." if alias else ""
    return ", ".join(f'{prefix}"{column.name}"' for column in table.columns if content or column.kind != "bytes")


def entity_from_row(kind: EntityType, row: Mapping[str, Any]) -> Entity:
    """The entity of a row. The row may have more columns; an artifact's content is None if it was not selected."""
    return TABLES[kind].entity(**entity_values(TABLES[kind].columns, row))


def entity_values(columns: Iterable[Column], row: Mapping[str, Any]) -> dict[str, Any]:
    """A row's values as the arguments of an entity's constructor."""
    values: dict[str, Any] = {}
    for column in columns:
        if column.kind == "bytes":
            values[column.name] = row.get(column.name)
            continue
        value = row[column.name]
        if value is not None:
            if column.kind == "uuid":
                value = str(value)
            elif column.kind == "json":
                value = msgspec.json.decode(value)
            elif column.enum is not None:
                value = column.enum(value)
        values[column.name] = value
    return values


def conflict_from_row(row: Mapping[str, Any]) -> Conflict:
    """The conflict of a row of ``sync_conflicts``."""
    return Conflict(
        id=str(row["id"]),
        session_id=str(row["session_id"]),
        entity_type=EntityType(row["entity_type"]),
        entity_id=str(row["entity_id"]),
        local_payload=msgspec.Raw(row["local_payload"].encode()),
        remote_payload=msgspec.Raw(row["remote_payload"].encode()),
        local_updated_at=row["local_updated_at"],
        remote_updated_at=row["remote_updated_at"],
        winner=row["winner"],
        detected_at=row["detected_at"],
        reviewed_at=row["reviewed_at"],
    )
