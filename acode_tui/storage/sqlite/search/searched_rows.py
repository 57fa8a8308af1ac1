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


_BEGINNING = f"coalesce(substr(t.content, 1, {MAX_TEXT + 1_024}), x'')"
"""As much of a stored content as its searched part is made of. SQLite's ``substr`` of an empty blob is NULL."""


def _columns(kind: EntityType) -> str:
    names = rows.quoted([column.name for column in TABLES[kind].columns if column.kind != "bytes"], "t.")
    return f"{names}, length(t.content), {_BEGINNING}" if kind is EntityType.ARTIFACT else names


def _select(kind: EntityType) -> str:
    if kind is EntityType.SESSION:
        return f"SELECT t.rowid, t.rowid, {_columns(kind)} FROM sessions AS t"  # noqa: S608
    return (
        f"SELECT t.rowid, s.rowid, {_columns(kind)} "  # noqa: S608
        f"FROM {SEARCHED[kind]} AS t CROSS JOIN sessions AS s ON s.id = t.session_id"
    )


_AFTER = {kind: f"{_select(kind)} WHERE t.rowid > ? ORDER BY t.rowid" for kind in SEARCHED}
_AMONG = {
    kind: f"{_select(kind)} WHERE t.rowid IN (SELECT value FROM json_each(?)) ORDER BY t.rowid"  # noqa: S608
    for kind in SEARCHED
}
_WITHIN: dict[EntityType, str] = {
    kind: f"SELECT t.rowid, {_columns(kind)} FROM {SEARCHED[kind]} AS t "  # noqa: S608
    "WHERE t.rowid BETWEEN ? AND ? AND +t.session_id = (SELECT id FROM sessions WHERE rowid = ?) ORDER BY t.rowid"
    for kind in SEARCHED
    if kind is not EntityType.SESSION
}


def rows_after(connection: sqlite3.Connection, kind: EntityType, rowid: int) -> Iterator[SearchedRow]:
    """A table's rows behind a rowid, read as they are taken."""
    for row in connection.execute(_AFTER[kind], (rowid,)):
        yield _row(kind, row)


def rows_within(
    connection: sqlite3.Connection, session: int, covered: Covered, any_of: Sequence[Sequence[str]]
) -> Iterator[SearchedRow]:
    """A session's rows within ranges, without those whose texts cannot have all tokens of one of the groups."""
    if covered.has_session:
        yield from rows_among(connection, EntityType.SESSION, [session])
    for kind, ranges in covered.ranges.items():
        for first, last in ranges:
            for row in connection.execute(_WITHIN[kind], (first, last, session)):
                content = _content(row) if kind is EntityType.ARTIFACT else b""
                if _may_have(kind, row[1:], content, any_of):
                    yield SearchedRow(row[0], session, _entity(kind, row[1:], content))


def rows_among(connection: sqlite3.Connection, kind: EntityType, rowids: Sequence[int]) -> list[SearchedRow]:
    """The rows of these rowids, as far as they are there."""
    found = connection.execute(_AMONG[kind], (msgspec.json.encode(rowids).decode(),))
    return [_row(kind, row) for row in found]


_SIZE = [column.name for column in TABLES[EntityType.ARTIFACT].columns if column.kind != "bytes"].index("size")
_TEXTS = {
    kind: [
        index
        for index, column in enumerate(column for column in TABLES[kind].columns if column.kind != "bytes")
        if column.name
        in ("title", "name", "description", "metadata", "tool_name", "parameters", "result", "error_message")
    ]
    for kind in SEARCHED
}
"""By kind the columns that texts are made of."""


def _row(kind: EntityType, row: Sequence[Any]) -> SearchedRow:
    content = _content(row[1:]) if kind is EntityType.ARTIFACT else b""
    return SearchedRow(row[0], row[1], _entity(kind, row[2:], content))


def _may_have(kind: EntityType, values: Sequence[Any], content: bytes, any_of: Sequence[Sequence[str]]) -> bool:
    """A fast test of the stored values: in ASCII text each token stands as it is, also within JSON."""
    stored = "\n".join(text for index in _TEXTS[kind] if (text := values[index]))
    if not any_of or not (stored.isascii() and content.isascii()) or "\\u" in stored or b"\\u" in content:
        return True
    low, low_content = stored.lower(), content.lower()
    return any(all(token in low or token.encode() in low_content for token in group) for group in any_of)


def _content(row: Sequence[Any]) -> bytes:
    """The searched part of the content of an artifact's row."""
    *known, stored_size, stored = row
    return beginning(stored, known[1 + _SIZE], stored_size, MAX_TEXT)


def _entity(kind: EntityType, values: Sequence[Any], content: bytes) -> Entity:
    if kind is not EntityType.ARTIFACT:
        return rows.from_row(kind, values)
    artifact = rows.from_row(kind, values[:-2])
    assert isinstance(artifact, Artifact)
    return msgspec.structs.replace(artifact, content=content)
