"""Reading the rows that are to be indexed: their texts, and what the index notes of each. No entities are made.

The texts and paths are those of ``domain.search.places.texts_of`` and ``paths_of``.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from acode_tui.domain.entities import Session
from acode_tui.domain.search.facts import RunFacts, facts_of
from acode_tui.domain.search.places import artifact_text, joined_text, json_texts, paths_in, session_text
from acode_tui.domain.states import EntityType, ToolCallState
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.search.searched_rows import CONTENT, content_of

Stamp = tuple[str, int]
"""A row's time of change and its version, as stored: one of them changes with its text."""


class IndexedRow(msgspec.Struct, frozen=True, gc=False):
    """A row to be indexed. The times are as stored; ``last_at`` is when a call ended."""

    kind: EntityType
    rowid: int
    session: int
    """The rowid of its session."""
    row_id: str
    texts: tuple[str, ...]
    stamp: Stamp
    first_at: str
    last_at: str
    is_failed: bool = False
    facts: RunFacts | None = None
    """A session's."""
    paths: tuple[str, ...] = ()


_HEAD = "rowid, session_id, id, created_at, updated_at, sync_version"
_SELECT: dict[EntityType, str] = {
    EntityType.SESSION: f"SELECT rowid, id, id, created_at, updated_at, sync_version, "  # noqa: S608
    f"{rows.COLUMNS[EntityType.SESSION]} FROM sessions",
    EntityType.SESSION_TASK: f"SELECT {_HEAD}, title, description, metadata FROM session_tasks",  # noqa: S608
    EntityType.STEP: f"SELECT {_HEAD}, name, description FROM steps",  # noqa: S608
    EntityType.TOOL_CALL: f"SELECT {_HEAD}, "  # noqa: S608
    "tool_name, parameters, error_message, result, state, completed_at FROM tool_calls",
    EntityType.ARTIFACT: f"SELECT {_HEAD.replace('sync_version', '0')}, "  # noqa: S608
    f"name, content_type, type, size, {CONTENT} FROM artifacts AS t",
}
_AFTER = {kind: f"{sql} WHERE rowid > ? ORDER BY rowid" for kind, sql in _SELECT.items()}
_AMONG = {
    kind: f"{sql} WHERE rowid IN (SELECT value FROM json_each(?)) ORDER BY rowid"  # noqa: S608
    for kind, sql in _SELECT.items()
}
_decode = msgspec.json.Decoder().decode


class IndexedRows:
    """Reads rows of one snapshot."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._sessions: dict[str, int | None] = {}

    def after(self, kind: EntityType, rowid: int) -> Iterator[IndexedRow]:
        """A table's rows behind a rowid, read as they are taken."""
        return self._read(kind, self._connection.execute(_AFTER[kind], (rowid,)))

    def among(self, kind: EntityType, rowids: Sequence[int]) -> Iterator[IndexedRow]:
        """The rows of these rowids, as far as they are there."""
        return self._read(kind, self._connection.execute(_AMONG[kind], (msgspec.json.encode(rowids).decode(),)))

    def _read(self, kind: EntityType, found: sqlite3.Cursor) -> Iterator[IndexedRow]:
        if kind is EntityType.SESSION:
            for row in found:
                yield _session(row)
            return
        read = _READ[kind]
        is_call = kind is EntityType.TOOL_CALL
        session_id, session = "", None
        for row in found:
            if row[1] != session_id:
                session_id = row[1]
                session = self._rowid(session_id)
            # A row without its session belongs to no run.
            if session is None:
                continue
            _, _, row_id, created, updated, version, *given = row
            texts, paths = read(*given)
            ended = (given[5] if is_call else None) or created
            is_failed = is_call and given[4] == ToolCallState.FAILED
            yield IndexedRow(
                kind,
                row[0],
                session,
                row_id,
                tuple([text for text in texts if text]),
                (updated, version),
                created,
                ended,
                is_failed,
                paths=paths,
            )

    def _rowid(self, session_id: str) -> int | None:
        if session_id not in self._sessions:
            row = self._connection.execute("SELECT rowid FROM sessions WHERE id = ?", (session_id,)).fetchone()
            self._sessions[session_id] = None if row is None else row[0]
        return self._sessions[session_id]


def _session(row: Sequence[Any]) -> IndexedRow:
    session = rows.from_row(EntityType.SESSION, row[6:])
    assert isinstance(session, Session)
    rowid, _, row_id, created, updated, version = row[:6]
    text = session_text(session)
    return IndexedRow(
        EntityType.SESSION,
        rowid,
        rowid,
        row_id,
        (text,) if text else (),
        (updated, version),
        created,
        created,
        facts=facts_of(session),
    )


_Read = tuple[tuple[str, ...], tuple[str, ...]]
"""The texts and the paths of a row."""


def _read_task(title: str, description: str | None, metadata: str | None) -> _Read:
    return (joined_text(title, description, value=_json(metadata)),), ()


def _read_step(name: str, description: str | None) -> _Read:
    return (joined_text(name, description),), ()


def _read_call(
    tool_name: str, parameters: str, error: str | None, result: str | None, _state: str, _ended: str | None
) -> _Read:
    given = json_texts(_json(parameters))
    return (joined_text(tool_name, *given), joined_text(error, value=_json(result))), tuple(paths_in(given))


def _read_artifact(name: str, content_type: str, type_: str, size: int, stored_size: int, stored: bytes) -> _Read:
    return (artifact_text(name, content_type, content_of(stored, size, stored_size), type_),), (name,)


def _json(stored: str | None) -> Any:
    return None if stored is None else _decode(stored)


_READ: dict[EntityType, Callable[..., _Read]] = {
    EntityType.SESSION_TASK: _read_task,
    EntityType.STEP: _read_step,
    EntityType.TOOL_CALL: _read_call,
    EntityType.ARTIFACT: _read_artifact,
}
