"""Conversion between entities and PostgreSQL rows. JSON is sent as text; times keep their microseconds."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from acode_tui.domain.clock import LAST_DAY
from acode_tui.domain.codec import encode_plain
from acode_tui.domain.entities import Entity
from acode_tui.domain.errors import IntegrityError
from acode_tui.domain.incoming import MAX_VALUE_BYTES
from acode_tui.domain.schema import TABLES, Column, Table
from acode_tui.domain.states import EntityType
from acode_tui.storage.ports import Conflict

_LAST_DAY = f"{LAST_DAY:%Y-%m-%d %H:%M:%S}+00"

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


KNOWN_NAMES = {
    kind: tuple(
        (column.name, frozenset(str(name) for name in column.enum))
        for column in table.columns
        if column.enum is not None
    )
    for kind, table in TABLES.items()
}
"""By kind of row, the columns with a state or type, and the names that this program knows."""


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
    """The columns of an entity's table; an artifact's content only with ``content``."""
    return ", ".join(select_column(column, alias) for column in table.columns if content or column.kind != "bytes")


def select_column(column: Column, alias: str = "") -> str:
    """A column for SELECT. A stamp that Python's datetime does not hold becomes the first moment of ``LAST_DAY``.

    So one row of a foreign program, with ``infinity`` or a year beyond 9999, does not end the reading of all others.
    """
    name = f'"{column.name}"'
    value = f"{alias}.{name}" if alias else name
    if column.kind != "time":
        return value
    inside = f"{value} >= '0001-01-01 00:00:00+00' AND {value} < '{_LAST_DAY}'"
    return f"CASE WHEN {inside} THEN {value} WHEN {value} IS NOT NULL THEN '{_LAST_DAY}'::timestamptz END AS {name}"


def _decode_json(name: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise IntegrityError(f"{name}: is JSON that cannot be read here: {type(error).__name__}") from None


def has_known_names(kind: EntityType, row: Mapping[str, Any]) -> bool:
    """Whether this program knows the states and types of a row. A foreign one may have written others."""
    return all(row[name] in names for name, names in KNOWN_NAMES[kind])


def entity_from_row(kind: EntityType, row: Mapping[str, Any]) -> Entity:
    """The entity of a row. The row may have more columns; an artifact's content is None if it was not selected."""
    return TABLES[kind].entity(**entity_values(TABLES[kind].columns, row))


def entity_values(columns: Iterable[Column], row: Mapping[str, Any]) -> dict[str, Any]:
    """A row's values as the arguments of an entity's constructor. Raises IntegrityError for JSON nested too deep."""
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
                value = _decode_json(column.name, value)
            elif column.enum is not None:
                value = column.enum(value)
        values[column.name] = value
    return values


READABLE_CONFLICT = " AND ".join(
    (
        *(
            f"{name} >= '0001-01-01 00:00:00+00' AND {name} < '{_LAST_DAY}'"
            for name in ("local_updated_at", "remote_updated_at", "detected_at")
        ),
        "(reviewed_at IS NULL OR isfinite(reviewed_at))",
        *(f"octet_length({name}::text) <= {MAX_VALUE_BYTES}" for name in ("local_payload", "remote_payload")),
    )
)
"""The condition that a row of ``sync_conflicts`` is within what a program can read."""


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
