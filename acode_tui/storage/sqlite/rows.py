"""Entities to SQLite rows and back: the only module that knows how a value is stored.

SQL derives from ``domain.schema``: identifiers come from that table alone and values are always bound (AC-059).
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import Any, cast

import msgspec

from acode_tui.domain.clock import format_time
from acode_tui.domain.codec import encode_plain
from acode_tui.domain.entities import Entity
from acode_tui.domain.errors import IntegrityError
from acode_tui.domain.schema import TABLES, Column
from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite.contents import pack
from acode_tui.storage.sqlite.errors import WAYS_OUT, misfit

Row = tuple[Any, ...]

_decode = msgspec.json.Decoder().decode
_convert = msgspec.convert


def quoted(names: Sequence[str], prefix: str = "") -> str:
    """A column list. ``order`` is a keyword, so every name is quoted."""
    return ", ".join(f'{prefix}"{name}"' for name in names)


def _insert(kind: EntityType) -> str:
    table = TABLES[kind]
    parameters = ", ".join("?" for _ in table.columns)
    return f"INSERT INTO {table.name} ({quoted(table.column_names)}) VALUES ({parameters})"  # noqa: S608


def _update(kind: EntityType) -> str:
    table = TABLES[kind]
    sets = ", ".join(f'"{name}" = ?' for name in table.column_names if name != "id")
    return f"UPDATE {table.name} SET {sets} WHERE id = ?"  # noqa: S608


def _stored(kind: EntityType) -> tuple[Column, ...]:
    return tuple(column for column in TABLES[kind].columns if column.kind != "bytes")


STORED_NAMES: dict[EntityType, tuple[str, ...]] = {kind: tuple(c.name for c in _stored(kind)) for kind in TABLES}
"""Each entity's columns without an artifact's content."""

COLUMNS: dict[EntityType, str] = {kind: quoted(names) for kind, names in STORED_NAMES.items()}
"""The same as a list for SELECT."""

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


@cache
def update_of(kind: EntityType, names: tuple[str, ...]) -> str:
    """The statement that sets these columns of a row. An index without any of them is not written."""
    sets = ", ".join(f'"{name}" = ?' for name in names)
    return f"UPDATE {TABLES[kind].name} SET {sets} WHERE id = ?"  # noqa: S608


MAX_ROWS_A_STATEMENT = 256


def insert_many(connection: sqlite3.Connection, statement: str, given: Sequence[Row]) -> None:
    """Insert rows, up to 256 a statement; ``statement`` inserts one.

    One row a statement costs 1.6 times as much as 64, and FTS5 writes out what it holds after each statement.
    """
    if given:
        insert_values(connection, statement, list(chain.from_iterable(given)), len(given[0]))


def insert_values(connection: sqlite3.Connection, statement: str, values: list[Any], width: int) -> None:
    """The same for rows of ``width`` values that are given as one flat list."""
    for start, size in chunks(len(values) // width):
        connection.execute(_with_rows(statement, size), values[start * width : (start + size) * width])


@cache
def _with_rows(statement: str, rows: int) -> str:
    head, parameters = statement.rsplit(" VALUES ", 1)
    return f"{head} VALUES {', '.join([parameters] * rows)}"


def chunks(count: int) -> Iterator[tuple[int, int]]:
    """(first row, number of rows) of each statement: powers of two, so that a connection caches few statements."""
    start, size = 0, MAX_ROWS_A_STATEMENT
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


def _dump_content(value: bytes | None) -> bytes | None:
    return None if value is None else pack(value)


def _to_stored(column: Column) -> Callable[[Any], Any] | None:
    """What makes a column's value a stored one; None where it is stored as it is."""
    if column.kind == "time":
        return _dump_time if column.nullable else format_time
    if column.kind == "json":
        return _dump_json if column.nullable else _dump_parameters
    if column.kind == "bytes":
        return _dump_content
    # An enum member is bound as a plain string: its value.
    return str if column.kind == "enum" else None


def _dumper(kind: EntityType) -> Callable[[Entity], Row]:
    names = TABLES[kind].column_names
    values_of = attrgetter(*names)
    created, updated = names.index("created_at"), names.index("updated_at")
    converted = [
        (index, convert)
        for index, column in enumerate(TABLES[kind].columns)
        if (convert := _to_stored(column)) is not None and index not in (created, updated)
    ]

    def dump(entity: Entity) -> Row:
        row = list(values_of(entity))
        for index, convert in converted:
            row[index] = convert(row[index])
        # Most rows are written once: the two times are the same object then, and one text.
        written_once = row[updated] is row[created]
        row[created] = format_time(row[created])
        row[updated] = row[created] if written_once else format_time(row[updated])
        return tuple(row)

    return dump


_COLUMNS = {
    kind: [(attrgetter(column.name), column.kind, _to_stored(column)) for column in table.columns]
    for kind, table in TABLES.items()
}


def to_columns(kind: EntityType, entities: Sequence[Entity], times: dict[int, str]) -> list[list[Any]]:
    """The rows of entities, a list for each column in the order of ``INSERT``.

    For many rows this takes half the time of ``to_row``. ``times`` keeps the stored form of each time by the object's
    ``id``, for most rows share their times with others: use it for entities only that exist as long as it does.
    """
    columns = []
    for values_of, what, convert in _COLUMNS[kind]:
        values = list(map(values_of, entities))
        if what == "time":
            values = [
                None if value is None else times.get(id(value)) or times.setdefault(id(value), format_time(value))
                for value in values
            ]
        elif convert is not None:
            values = list(map(convert, values))
        columns.append(values)
    return columns


def interleaved(columns: Sequence[Sequence[Any]]) -> list[Any]:
    """The values of columns row by row, in one flat list."""
    width = len(columns)
    flat: list[Any] = [None] * (width * len(columns[0]))
    for index, values in enumerate(columns):
        flat[index::width] = values
    return flat


def loader(kind: EntityType, entity: type[Entity] | None = None, *extra: str) -> Callable[[Sequence[Any]], Any]:
    """A function from a row selected by ``COLUMNS``, with the values of the ``extra`` fields behind it, to an entity.

    ``entity`` is the kind's own type or one that extends it, such as a node of a graph. The function raises
    IntegrityError for a value that the type does not allow: the program writes none, so the file is damaged.
    """
    make = entity or TABLES[kind].entity
    columns = _stored(kind)
    json_name = dict(zip(make.__struct_fields__, make.__struct_encode_fields__, strict=True))
    names = [json_name[name] for name in (*(column.name for column in columns), *extra)]
    json_names = [column.json for column in columns if column.kind == "json"]

    def load(row: Sequence[Any]) -> Any:
        fields = dict(zip(names, row, strict=True))
        try:
            for name in json_names:
                if (text := fields[name]) is not None:
                    fields[name] = _decode(text)
            return _convert(fields, make)
        except (ValueError, TypeError, RecursionError) as error:
            # Both of msgspec's errors and a text that is no UTF-8 are ValueErrors.
            raise IntegrityError(
                f"a row of {TABLES[kind].name} has a value that it cannot have: {misfit(error)}", hint=WAYS_OUT
            ) from error

    return load


DUMP = {kind: _dumper(kind) for kind in TABLES}
"""For each kind the function behind ``to_row``."""

_LOAD = {kind: loader(kind) for kind in TABLES}


def to_row(entity: Entity) -> Row:
    """An entity's values in the order of ``INSERT``."""
    return DUMP[entity.kind](entity)


_CONVERTED = {kind: [(column.name, _to_stored(column)) for column in table.columns] for kind, table in TABLES.items()}
_VALUES_OF = {kind: attrgetter(*table.column_names) for kind, table in TABLES.items()}


def changed_values(before: Entity, after: Entity) -> dict[str, Any]:
    """The stored value of each column that differs between two states of a row, by its name.

    A value that is another object counts as changed, also where it is equal.
    """
    values: dict[str, Any] = {}
    kind, values_of = after.kind, _VALUES_OF[after.kind]
    for (name, convert), old, new in zip(_CONVERTED[kind], values_of(before), values_of(after), strict=True):
        if new is not old:
            values[name] = new if convert is None else convert(new)
    return values


def from_row(kind: EntityType, row: Sequence[Any]) -> Entity:
    """The entity of a row selected by ``COLUMNS``."""
    return cast(Entity, _LOAD[kind](row))


def fetch(connection: sqlite3.Connection, kind: EntityType, entity_id: str) -> Entity | None:
    """An entity by id, without an artifact's content; None if it does not exist."""
    row = connection.execute(SELECT[kind], (entity_id,)).fetchone()
    return None if row is None else from_row(kind, row)
