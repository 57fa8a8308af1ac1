"""Between entities and SQLite rows: the only place that knows how a value is stored.

SQL derives from ``domain.schema``: identifiers come from that table alone and values are always bound (AC-059).
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any, cast

import msgspec

from acode_tui.domain.clock import format_time
from acode_tui.domain.codec import encode_plain
from acode_tui.domain.entities import Entity
from acode_tui.domain.schema import TABLES, Column
from acode_tui.domain.states import EntityType

Row = tuple[Any, ...]

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


MOST_AT_ONCE = 256
"""Rows that one statement inserts at most."""


def insert_many(connection: sqlite3.Connection, statement: str, given: Sequence[Row]) -> None:
    """Insert rows, many a statement; ``statement`` inserts one.

    Each statement with triggers makes the full-text indexes write out what they hold in memory. One row a statement
    costs six times as much as 64, and 64 a tenth more than 256.
    """
    if given:
        insert_values(connection, statement, list(chain.from_iterable(given)), len(given[0]))


def insert_values(connection: sqlite3.Connection, statement: str, values: list[Any], width: int) -> None:
    """The same of rows whose values stand one after the other."""
    for start, size in chunks(len(values) // width):
        connection.execute(_of_many(statement, size), values[start * width : (start + size) * width])


@cache
def _of_many(statement: str, rows: int) -> str:
    head, marks = statement.rsplit(" VALUES ", 1)
    return f"{head} VALUES {', '.join([marks] * rows)}"


def chunks(count: int) -> Iterator[tuple[int, int]]:
    """Where each statement's rows begin, and how many: powers of two, so that a connection keeps few statements."""
    start, size = 0, MOST_AT_ONCE
    while start < count:
        while size > count - start:
            size //= 2
        yield start, size
        start += size


def _dump_json(value: Any) -> str | None:
    return None if value is None else encode_plain(value).decode()


def _dump_parameters(value: Any) -> str:
    return encode_plain(value).decode()


def _dump_time(value: datetime | None) -> str | None:
    return None if value is None else format_time(value)


def _load_json(value: str | None) -> Any:
    return None if value is None else _decode(value)


def _load_time(value: str | None) -> datetime | None:
    return None if value is None else _fromisoformat(value)


# A run has thousands of rows, so each kind's conversion is one expression, made once from the schema as dataclasses
# make theirs: nothing but names of ``domain.schema`` and positions enters the text.


def _dumper(kind: EntityType) -> Callable[[Any], Row]:
    def value(column: Column) -> str:
        plain = f"entity.{column.name}"
        if column.name == "created_at":
            return f"(created := format_time({plain}))"
        if column.name == "updated_at":
            # Most rows are written once: the two are the same object then, and one text.
            return f"created if {plain} is entity.created_at else format_time({plain})"
        if column.kind == "time":
            return f"_dump_time({plain})" if column.nullable else f"format_time({plain})"
        if column.kind == "json":
            return f"_dump_json({plain})" if column.nullable else f"_dump_parameters({plain})"
        # An enum member is bound as a plain string: its value.
        return f"str({plain})" if column.kind == "enum" else plain

    values = ", ".join(value(column) for column in TABLES[kind].columns)
    return cast(Callable[[Any], Row], eval(f"lambda entity: ({values})", globals()))  # noqa: S307


def loader(kind: EntityType, entity: type[Entity] | None = None, *extra: str) -> Callable[..., Any]:
    """What makes an entity of a row selected by ``COLUMNS``: called with the row and the values of ``extra`` fields."""
    names: dict[str, Any] = {"make": entity or TABLES[kind].entity, "json": _load_json, "time": _load_time}
    names |= {"moment": _fromisoformat}

    def value(index: int, column: Column) -> str:
        if column.kind == "time":
            return f"{column.name}={'time' if column.nullable else 'moment'}(row[{index}])"
        if column.kind == "json":
            return f"{column.name}=json(row[{index}])"
        if column.kind == "enum" and column.enum is not None:
            names[column.enum.__name__] = {member.value: member for member in column.enum}
            return f"{column.name}={column.enum.__name__}[row[{index}]]"
        return f"{column.name}=row[{index}]"

    values = [value(index, column) for index, column in enumerate(_stored(kind))]
    values += [f"{name}={name}" for name in extra]
    source = f"lambda {', '.join(('row', *extra))}: make({', '.join(values)})"
    return cast(Callable[..., Any], eval(source, names))  # noqa: S307


DUMP = {kind: _dumper(kind) for kind in TABLES}
"""For each kind what ``to_row`` does."""

_LOAD = {kind: loader(kind) for kind in TABLES}


def to_row(entity: Entity) -> Row:
    """An entity's values in the order of ``INSERT``."""
    return DUMP[entity.kind](entity)


def from_row(kind: EntityType, row: Sequence[Any]) -> Entity:
    """The entity of a row selected by ``COLUMNS``."""
    return cast(Entity, _LOAD[kind](row))


def fetch(connection: sqlite3.Connection, kind: EntityType, entity_id: str) -> Entity | None:
    """An entity by id, content not loaded; None if there is none."""
    row = connection.execute(SELECT[kind], (entity_id,)).fetchone()
    return None if row is None else from_row(kind, row)
