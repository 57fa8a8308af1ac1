"""Reading the rows whose texts are searched, each with its rowid and that of its session."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from acode_tui.domain.entities import Artifact, Entity
from acode_tui.domain.schema import TABLES
from acode_tui.domain.search.places import MAX_TEXT
from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.contents import beginning
from acode_tui.storage.sqlite.search.tables import SEARCHED


class Covered(NamedTuple):
    """Rows of one session: whether its own is one of them, and by kind the ranges of rowids of those below it."""

    has_session: bool
    ranges: dict[EntityType, list[tuple[int, int]]]


class SearchedRow(NamedTuple):
    """A row and its session's rowid. An artifact has the beginning of its content, as far as it is searched."""

    rowid: int
    session: int
    entity: Entity


CONTENT = f"length(t.content), coalesce(substr(t.content, 1, {MAX_TEXT + 1_024}), x'')"
"""The size of a stored content, and as much of it as its searched part is made of. SQLite's ``substr`` of an empty blob
is NULL.
"""


def _columns(kind: EntityType) -> str:
    names = rows.quoted([column.name for column in TABLES[kind].columns if column.kind != "bytes"], "t.")
    return f"{names}, {CONTENT}" if kind is EntityType.ARTIFACT else names


def _select(kind: EntityType) -> str:
    if kind is EntityType.SESSION:
        return f"SELECT t.rowid, t.rowid, {_columns(kind)} FROM sessions AS t"  # noqa: S608
    return (
        f"SELECT t.rowid, s.rowid, {_columns(kind)} "  # noqa: S608
        f"FROM {SEARCHED[kind]} AS t CROSS JOIN sessions AS s ON s.id = t.session_id"
    )


_AMONG = {
    kind: f"{_select(kind)} WHERE t.rowid IN (SELECT value FROM json_each(?)) ORDER BY t.rowid"  # noqa: S608
    for kind in SEARCHED
}
_ONE = {kind: f"{_select(kind)} WHERE t.rowid = ?" for kind in SEARCHED}
_WITHIN: dict[EntityType, str] = {
    kind: f"SELECT t.rowid, {_columns(kind)} FROM {SEARCHED[kind]} AS t "  # noqa: S608
    "WHERE t.rowid BETWEEN ? AND ? AND +t.session_id = (SELECT id FROM sessions WHERE rowid = ?) ORDER BY t.rowid"
    for kind in SEARCHED
    if kind is not EntityType.SESSION
}


def rows_within(connection: sqlite3.Connection, session: int, covered: Covered) -> Iterator[SearchedRow]:
    """A session's rows within ranges."""
    if covered.has_session:
        yield from rows_among(connection, EntityType.SESSION, [session])
    for kind, ranges in covered.ranges.items():
        for first, last in ranges:
            for row in connection.execute(_WITHIN[kind], (first, last, session)):
                yield SearchedRow(row[0], session, _entity(kind, row[1:]))


def rows_among(connection: sqlite3.Connection, kind: EntityType, rowids: Sequence[int]) -> list[SearchedRow]:
    """The rows of these rowids, as far as they are there."""
    found = connection.execute(_AMONG[kind], (msgspec.json.encode(rowids).decode(),))
    return [_row(kind, row) for row in found]


def row_at(connection: sqlite3.Connection, kind: EntityType, rowid: int) -> SearchedRow | None:
    """The row of a rowid; None if it is not there."""
    found = connection.execute(_ONE[kind], (rowid,)).fetchone()
    return None if found is None else _row(kind, found)


def _row(kind: EntityType, row: Sequence[Any]) -> SearchedRow:
    return SearchedRow(row[0], row[1], _entity(kind, row[2:]))


def content_of(stored: bytes, size: int, stored_size: int) -> bytes:
    """The searched part of an artifact's content, of the columns of ``CONTENT`` and its size."""
    return beginning(stored, size, stored_size, MAX_TEXT)


def _entity(kind: EntityType, values: Sequence[Any]) -> Entity:
    if kind is not EntityType.ARTIFACT:
        return rows.from_row(kind, values)
    *known, stored_size, stored = values
    artifact = rows.from_row(kind, known)
    assert isinstance(artifact, Artifact)
    return msgspec.structs.replace(artifact, content=content_of(stored, artifact.size, stored_size))
