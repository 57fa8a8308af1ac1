"""Checksums of the rows stored in the workspace file, artifact content included. One row is in memory at a time."""

import sqlite3
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Protocol, TypeVar

import msgspec

from acode_tui.domain.codec import canonical_digest
from acode_tui.domain.errors import IntegrityError
from acode_tui.domain.redaction import Redact, unchanged
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.ports import RowChecksums
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.contents import unpack

T = TypeVar("T")

_NEXT = "SELECT id FROM sessions WHERE id > ? ORDER BY id LIMIT ?"
_OF_SESSION = {
    kind: rows.SELECT[kind] if kind is EntityType.SESSION else rows.SELECT_SESSION_ROWS[kind] for kind in TABLES
}
_CONTENT = "SELECT content, size FROM artifacts WHERE id = ?"


class Reads(Protocol):
    """An object that runs a read: the pool of an open workspace, or ``files.open_unchanged.UnchangedFileReads``."""

    async def run(self, read: Callable[[sqlite3.Connection], T]) -> T: ...


class SqliteRowChecksums:
    """``RowChecksumReader`` over a workspace file."""

    def __init__(self, readers: Reads, *, redact: Redact[Any] = unchanged) -> None:
        """The checksums are those of the rows as ``redact`` makes them: of the form in which the team gets them."""
        self._readers = readers
        self._redact = redact

    async def session_ids(self, *, after: str, limit: int) -> tuple[str, ...]:
        """The next session ids in order."""
        return await self._readers.run(
            lambda connection: tuple(row[0] for row in connection.execute(_NEXT, (after, limit)))
        )

    async def of_sessions(self, ids: tuple[str, ...]) -> dict[str, RowChecksums]:
        """By session: each row's checksum by (table, id)."""
        return await self._readers.run(
            lambda connection: {each: _of_session(connection, each, self._redact) for each in ids}
        )


def _of_session(connection: sqlite3.Connection, session_id: str, redact: Redact[Any]) -> RowChecksums:
    found: RowChecksums = {}
    for kind, table in TABLES.items():
        for row in connection.execute(_OF_SESSION[kind], (session_id,)):
            content = None
            entity: Any = rows.from_row(kind, row)
            if kind is EntityType.ARTIFACT:
                stored = _content(*connection.execute(_CONTENT, (row[0],)).fetchone())
                entity = redact(msgspec.structs.replace(entity, content=stored))
                content = sha256(entity.content).hexdigest()
            else:
                entity = redact(entity)
            found[table.name, row[0]] = canonical_digest(entity, without=("workspaceId",), content_sha256=content)
    return found


def _content(stored: bytes, size: int) -> bytes:
    """An artifact's content; of a damaged one the stored bytes: the row then differs from every sound one."""
    try:
        return unpack(stored, size)
    except IntegrityError:
        return stored
