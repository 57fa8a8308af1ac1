"""Reads the sessions of OpenCode's database, in the form of the program's own export."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from acode_tui.domain.errors import IngestError
from acode_tui.ingest.lines import MAX_LINE_BYTES
from acode_tui.storage.sqlite.foreign_file import ForeignDatabase, open_foreign

__all__ = ["ForeignDatabase", "TooLargeError", "export", "folders", "has_session", "keys", "opened", "stat_size"]

_TABLES = {
    "session": "id, directory, time_created, time_updated",
    "message": "id, session_id, time_created, time_updated, data",
    "part": "id, session_id, message_id, time_updated, data",
}
"""The tables, and the columns that each must have."""
_NO_TABLE = "it has no table {}; a newer release may keep its sessions in another form"


class TooLargeError(Exception):
    """A session has more bytes than a line of a transcript may have."""


@contextmanager
def opened(path: Path) -> Iterator[ForeignDatabase]:
    """The database. Raises IngestError where it is locked, damaged, of another program, or of another form."""
    with open_foreign(path) as database:
        tables = database.tables()
        for table in _TABLES:
            if table not in tables:
                hint = "update acode-tui, or export the session"
                raise IngestError(f"{path}: {_NO_TABLE.format(table)}", hint=hint)
        for table, columns in _TABLES.items():
            for _ in database.rows(f"SELECT {columns} FROM {table} LIMIT 0"):  # noqa: S608
                pass
        yield database


def folders(database: ForeignDatabase) -> dict[str, int]:
    """The folders in which the sessions began, and how many did in each."""
    query = "SELECT directory, count(*) AS count FROM session GROUP BY directory"
    return {str(row["directory"] or ""): int(row["count"]) for row in database.rows(query)}


def keys(database: ForeignDatabase, after: tuple[int, str]) -> Iterator[tuple[int, str, str, str]]:
    """Each session's time, id, what shows that it, its messages or its parts have changed, and its folder.

    Oldest first, from the one ``after`` this time and id on. Rows are rewritten in place and deleted: their number and
    their latest time say so.
    """
    query = """
        SELECT ifnull(s.time_created, 0) AS created, s.id, s.time_updated
          || '/' || (SELECT count(*) || '/' || ifnull(max(m.time_updated), 0) FROM message m WHERE m.session_id = s.id)
          || '/' || (SELECT count(*) || '/' || ifnull(max(p.time_updated), 0) FROM part p WHERE p.session_id = s.id)
          AS key, s.directory
        FROM session s WHERE (created, s.id) > (?, ?) ORDER BY created, s.id
    """
    for row in database.rows(query, after):
        created = row["created"] if isinstance(row["created"], int) else 0
        yield created, str(row["id"]), str(row["key"]), str(row["directory"] or "")


def has_session(database: ForeignDatabase, session: str) -> bool:
    """Whether the database holds a session."""
    return any(True for _ in database.rows("SELECT 1 FROM session WHERE id = ?", (session,)))


def export(database: ForeignDatabase, session: str) -> dict[str, Any]:
    """A session with its messages and their parts. Raises TooLargeError, before all of it is in memory."""
    (row,) = database.rows("SELECT * FROM session WHERE id = ?", (session,))
    left = MAX_LINE_BYTES
    parts: dict[str, list[Any]] = {}
    for part in database.rows("SELECT * FROM part WHERE session_id = ? ORDER BY id", (session,)):
        left = _counted(left, part)
        parts.setdefault(part["message_id"], []).append({"id": part["id"], **_json(part["data"])})
    messages = []
    query = "SELECT * FROM message WHERE session_id = ? ORDER BY time_created, id"
    for message in database.rows(query, (session,)):
        left = _counted(left, message)
        info = {"id": message["id"], **_json(message["data"])}
        messages.append({"info": info, "parts": parts.get(message["id"], [])})
    return {"info": _info(row), "messages": messages}


def _counted(left: int, row: Mapping[str, Any]) -> int:
    left -= len(row["data"]) if isinstance(row["data"], str | bytes) else 0
    if left < 0:
        raise TooLargeError
    return left


def _info(row: Mapping[str, Any]) -> dict[str, Any]:
    """The session's columns by the names of its export."""
    revert = row.get("revert")
    return {
        "id": row["id"],
        "parentID": row.get("parent_id"),
        "directory": row.get("directory"),
        "title": row.get("title"),
        "version": row.get("version"),
        "agent": row.get("agent"),
        "revert": _json(revert) if isinstance(revert, str) else None,
        "time": {"created": row.get("time_created"), "updated": row.get("time_updated")},
    }


def _json(data: Any) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (TypeError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def stat_size(path: Path) -> tuple[int, int]:
    """The bytes of a database with its log, and the later of their times in nanoseconds. Raises OSError."""
    own = os.stat(path)
    try:
        log = os.stat(f"{path}-wal")
    except OSError:
        return own.st_size, own.st_mtime_ns
    return own.st_size + log.st_size, max(own.st_mtime_ns, log.st_mtime_ns)
