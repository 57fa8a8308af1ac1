"""The audit of settled conflicts: both versions of a row, both stamps, and the winner. Nothing is deleted from it."""

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from acode_tui.domain.clock import WallClock, format_time, parse_time, stamp_after, system_clock
from acode_tui.domain.codec import decode_payload
from acode_tui.domain.errors import AmbiguousIdError, ConflictError, NotFoundError
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.ports import Conflict, ConflictCounts, QuarantinedRow
from acode_tui.storage.sqlite.readers import Readers
from acode_tui.storage.sqlite.runs import row_writes
from acode_tui.storage.sqlite.sync import quarantine
from acode_tui.storage.sqlite.writer import Writer

_COLUMNS = ", ".join(Conflict.__struct_fields__)
_LIST = f"""
SELECT {_COLUMNS} FROM sync_conflicts WHERE (detected_at, id) < (?, ?) ORDER BY detected_at DESC, id DESC LIMIT ?
"""  # noqa: S608
_UNREVIEWED = f"""
SELECT {_COLUMNS} FROM sync_conflicts INDEXED BY sync_conflicts_unreviewed
WHERE reviewed_at IS NULL AND (detected_at, id) < (?, ?)
ORDER BY detected_at DESC, id DESC LIMIT ?
"""  # noqa: S608
_FRONT = ("~", "~")
"""Sorts behind every time and every id."""
_BY_PREFIX = f"SELECT {_COLUMNS} FROM sync_conflicts WHERE id >= ? AND id < ? ORDER BY id LIMIT 2"  # noqa: S608
_INSERT = f"""
INSERT INTO sync_conflicts ({_COLUMNS}) VALUES ({", ".join("?" for _ in Conflict.__struct_fields__)})
ON CONFLICT (id) DO NOTHING
"""  # noqa: S608
_REVIEW = "UPDATE sync_conflicts SET reviewed_at = ? WHERE id = ? AND reviewed_at IS NULL"


class SqliteConflictLog:
    """``ConflictLog`` over the workspace file."""

    def __init__(self, writer: Writer, readers: Readers, *, wall: WallClock = system_clock) -> None:
        self._writer = writer
        self._readers = readers
        self._wall = wall

    async def counts(self) -> ConflictCounts:
        """How many there are, and how many are not reviewed (AC-051)."""
        return await self._readers.run(read_counts)

    async def list(
        self, *, unreviewed_only: bool = False, limit: int = 100, after: Conflict | None = None
    ) -> tuple[Conflict, ...]:
        """Newest first; ``after`` is the conflict that the page before ended with."""
        sql = _UNREVIEWED if unreviewed_only else _LIST
        position = _FRONT if after is None else (format_time(after.detected_at), after.id)
        return await self._readers.run(
            lambda connection: tuple(_conflict(row) for row in connection.execute(sql, (*position, limit)))
        )

    async def get(self, conflict_id: str) -> Conflict:
        """By id or unique prefix. Raises NotFoundError, AmbiguousIdError."""
        return await self._readers.run(lambda connection: _find(connection, conflict_id))

    async def mark_reviewed(self, conflict_id: str) -> Conflict:
        """Mark a conflict as reviewed. Raises NotFoundError, AmbiguousIdError."""

        def unit(connection: sqlite3.Connection) -> Conflict:
            found = _find(connection, conflict_id)
            connection.execute(_REVIEW, (format_time(self._wall()), found.id))
            return _find(connection, found.id)

        return await self._writer.run(unit)

    async def quarantined(self, *, limit: int = 100) -> tuple[QuarantinedRow, ...]:
        """Rows of the team's database that are kept aside, the last seen first."""
        return await self._readers.run(lambda connection: quarantine.read(connection, limit=limit))

    async def take_other(self, conflict_id: str) -> Conflict:
        """Make the losing version win: a local write of it, later than both versions.

        Raises ConflictError for rows that never change, NotFoundError, AmbiguousIdError.
        """

        def unit(connection: sqlite3.Connection) -> Conflict:
            found = _find(connection, conflict_id)
            if not TABLES[found.entity_type].mutable:
                raise ConflictError(
                    f"a {found.entity_type.value.replace('_', ' ')} never changes, so its other version cannot be taken"
                )
            loser = found.local_payload if found.winner == "remote" else found.remote_payload
            stored, seen = row_writes.require_with_session_stamp(connection, found.entity_type, found.entity_id)
            now = self._writer.clock.tick()
            # Later than both versions, and the clock follows neither: one of them may be of a clock that was wrong.
            latest = max(stored.updated_at, found.local_updated_at, found.remote_updated_at)
            other = msgspec.structs.replace(
                decode_payload(found.entity_type, bytes(loser)),
                sync_version=stored.sync_version,
                updated_at=stamp_after(latest, now),
            )
            row_writes.update(connection, other, now)
            row_writes.touch_session(self._writer, other, seen, now)
            connection.execute(_REVIEW, (format_time(self._wall()), found.id))
            return _find(connection, found.id)

        return await self._writer.run(unit)


def read_counts(connection: sqlite3.Connection) -> ConflictCounts:
    """The counts in the connection's present snapshot."""
    total = connection.execute("SELECT count(*) FROM sync_conflicts").fetchone()[0]
    unreviewed = connection.execute("SELECT count(*) FROM sync_conflicts WHERE reviewed_at IS NULL").fetchone()[0]
    return ConflictCounts(total=total, unreviewed=unreviewed, quarantined=quarantine.count(connection))


def insert_conflict(connection: sqlite3.Connection, conflict: Conflict) -> bool:
    """Store a settled conflict once, however often it is delivered; part of a unit. Returns whether it is new."""
    row = [getattr(conflict, name) for name in Conflict.__struct_fields__]
    values = [_stored(value) for value in row]
    return connection.execute(_INSERT, values).rowcount > 0


def _stored(value: Any) -> Any:
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode()
    return format_time(value) if hasattr(value, "tzinfo") else value


def _conflict(row: Sequence[Any]) -> Conflict:
    values = dict(zip(Conflict.__struct_fields__, row, strict=True))
    for name in ("local_updated_at", "remote_updated_at", "detected_at", "reviewed_at"):
        if values[name] is not None:
            values[name] = parse_time(values[name])
    values["entity_type"] = EntityType(values["entity_type"])
    for name in ("local_payload", "remote_payload"):
        values[name] = msgspec.Raw(values[name])
    return Conflict(**values)


def _find(connection: sqlite3.Connection, conflict_id: str) -> Conflict:
    start = conflict_id.strip().lower()
    found = []
    if start and set(start) <= set("0123456789abcdef-"):
        found = connection.execute(_BY_PREFIX, (start, start + "g")).fetchall()
    if not found:
        raise NotFoundError(f"there is no conflict {conflict_id[:64]!r}", hint="see `acode-tui db conflicts list`")
    if len(found) > 1:
        raise AmbiguousIdError(f"more than one conflict id begins with {start[:64]!r}")
    return _conflict(found[0])
