"""Between entities and SQLite rows: the only place that knows how a value is stored.

SQL derives from ``domain.schema``: identifiers come from that table alone and values are always bound (AC-059).
"""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from acode_tui.domain.entities import Entity
from acode_tui.domain.schema import TABLES, Column
from acode_tui.domain.states import EntityType
from acode_tui.domain.times import format_time

Row = tuple[Any, ...]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_fromisoformat = datetime.fromisoformat


def quoted(names: Sequence[str], prefix: str = "") -> str:
    """A column list. ``order`` is a keyword, so every name is quoted."""
    return ", ".join(f'{prefix}"{name}"' for name in names)


def _insert(kind: EntityType) -> str:
    table = TABLES[kind]
    marks = ", ".join("?" for _ in table.columns)
    return f"INSERT INTO {table.name} ({quoted(table.column_names)}) VALUES ({marks})"  # noqa: S608


def _update(kind: EntityType) -> str:
    table = TABLES[kind]
    sets = ", ".join(f'"{name}" = ?' for name in table.column_names if name != "id")
    return f"UPDATE {table.name} SET {sets} WHERE id = ?"  # noqa: S608


def _stored(kind: EntityType) -> tuple[Column, ...]:
    return tuple(column for column in TABLES[kind].columns if column.kind != "bytes")


COLUMNS: dict[EntityType, str] = {kind: quoted([c.name for c in _stored(kind)]) for kind in TABLES}
"""Each entity's column list for SELECT, content left out."""

INSERT: dict[EntityType, str] = {kind: _insert(kind) for kind in TABLES}
UPDATE: dict[EntityType, str] = {kind: _update(kind) for kind, table in TABLES.items() if table.mutable}
SELECT: dict[EntityType, str] = {
    kind: f"SELECT {COLUMNS[kind]} FROM {table.name} WHERE id = ?"  # noqa: S608
    for kind, table in TABLES.items()
}
SELECT_SESSION_ROWS: dict[EntityType, str] = {
    kind: f"SELECT {COLUMNS[kind]} FROM {table.name} WHERE session_id = ?"  # noqa: S608
    for kind, table in TABLES.items()
    if kind is not EntityType.SESSION
}


def _dump_text(value: str) -> str:
    return value


def _dump_json(value: Any) -> str | None:
    return None if value is None else _encode(value).decode()


def _dump_parameters(value: Any) -> str:
    return _encode(value).decode()


def _dump_time(value: datetime | None) -> str | None:
    return None if value is None else format_time(value)


def _load_same(value: Any) -> Any:
    return value


def _load_json(value: str | None) -> Any:
    return None if value is None else _decode(value)


def _load_time(value: str | None) -> datetime | None:
    return None if value is None else _fromisoformat(value)


def _dumper(column: Column) -> Callable[[Any], Any]:
    if column.kind == "time":
        return _dump_time
    if column.kind == "json":
        return _dump_json if column.nullable else _dump_parameters
    # An enum member is bound as a plain string: its value.
    return str if column.kind == "enum" else _load_same


def _loader(column: Column) -> Callable[[Any], Any]:
    if column.kind == "time":
        return _load_time
    if column.kind == "json":
        return _load_json
    return column.enum if column.kind == "enum" and column.enum is not None else _load_same


_DUMP = {kind: tuple((c.name, _dumper(c)) for c in table.columns) for kind, table in TABLES.items()}
_LOAD = {kind: tuple((c.name, _loader(c)) for c in _stored(kind)) for kind in TABLES}


def to_row(entity: Entity) -> Row:
    """An entity's values in the order of ``INSERT``."""
    return tuple([dump(getattr(entity, name)) for name, dump in _DUMP[entity.kind]])


def from_row(kind: EntityType, row: Sequence[Any], entity: type[Entity] | None = None, **children: Any) -> Entity:
    """The entity (or the graph node, with its children) of a row selected by ``COLUMNS``."""
    make = entity or TABLES[kind].entity
    values = {name: load(value) for (name, load), value in zip(_LOAD[kind], row, strict=True)}
    return make(**values, **children)


def fetch(connection: sqlite3.Connection, kind: EntityType, entity_id: str) -> Entity | None:
    """An entity by id, content not loaded; None if there is none."""
    row = connection.execute(SELECT[kind], (entity_id,)).fetchone()
    return None if row is None else from_row(kind, row)
