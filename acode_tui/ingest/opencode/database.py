"""Reads OpenCode's database. It belongs to another program: it is only read, and nothing in its schema is trusted.

The program leaves what it wrote last in the write-ahead log when it ends, so the log is read too.
"""

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from acode_tui.domain.errors import IngestError

MAX_COPY_BYTES = 2 * 1024 * 1024 * 1024
"""A database without its shared memory is copied, with its log, to be read; a larger one is opened where it is."""

BUSY_SECONDS = 5.0
_TABLES = ("session", "message", "part")
_NO_TABLE = "it has no table {}; a newer release may keep its sessions in another form"


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that reads the database. Raises IngestError where it is locked, damaged or of another program."""
    try:
        with _address(path) as address, closing(_connect(address)) as connection:
            _check(path, connection)
            yield connection
    except sqlite3.OperationalError as error:
        what = "is locked by its program" if "locked" in str(error) else "cannot be read"
        raise IngestError(f"{path}: {what} ({error})", hint="import again later") from error
    except sqlite3.DatabaseError as error:
        raise IngestError(f"{path}: not a sound database ({error})", hint="open it with its program first") from error


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """The address by which the database is opened, so that no file is made beside it."""
    log, shared = Path(f"{path}-wal"), Path(f"{path}-shm")
    logged = log.stat().st_size if log.exists() else 0
    if not logged:
        yield f"{path.absolute().as_uri()}?immutable=1"
    elif shared.exists() or path.stat().st_size + logged > MAX_COPY_BYTES:
        yield f"{path.absolute().as_uri()}?mode=ro"
    else:
        with tempfile.TemporaryDirectory(prefix="acode-tui-") as folder:
            copy = Path(folder, "copy.db")
            shutil.copyfile(path, copy)
            shutil.copyfile(log, f"{copy}-wal")
            yield copy.as_uri()


def _connect(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS)
    try:
        connection.row_factory = sqlite3.Row
        connection.text_factory = _text
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _check(path: Path, connection: sqlite3.Connection) -> None:
    tables = {row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table in _TABLES:
        if table not in tables:
            raise IngestError(f"{path}: {_NO_TABLE.format(table)}", hint="update acode-tui, or export the session")


def folders(connection: sqlite3.Connection) -> dict[str, int]:
    """The folders in which the sessions began, and how many did in each."""
    query = "SELECT directory, count(*) AS count FROM session GROUP BY directory"
    return {str(row["directory"] or ""): int(row["count"]) for row in connection.execute(query)}


def keys(connection: sqlite3.Connection) -> Iterator[tuple[str, str, str]]:
    """Each session's id, what shows that it, its messages or its parts have changed, and its folder; oldest first.

    Rows are rewritten in place and deleted: their number and their latest time say so.
    """
    query = """
        SELECT s.id, s.time_updated
          || '/' || (SELECT count(*) || '/' || ifnull(max(m.time_updated), 0) FROM message m WHERE m.session_id = s.id)
          || '/' || (SELECT count(*) || '/' || ifnull(max(p.time_updated), 0) FROM part p WHERE p.session_id = s.id)
          AS key, s.directory
        FROM session s ORDER BY s.time_created, s.id
    """
    for row in connection.execute(query):
        yield str(row["id"]), str(row["key"]), str(row["directory"] or "")


def size_of(connection: sqlite3.Connection, session: str) -> int:
    """The bytes of a session's parts."""
    query = "SELECT ifnull(sum(length(data)), 0) FROM part WHERE session_id = ?"
    return int(connection.execute(query, (session,)).fetchone()[0])


def export(connection: sqlite3.Connection, session: str) -> dict[str, Any]:
    """A session with its messages and their parts, in the form of the program's own export."""
    row = connection.execute("SELECT * FROM session WHERE id = ?", (session,)).fetchone()
    parts: dict[str, list[Any]] = {}
    for part in connection.execute("SELECT * FROM part WHERE session_id = ? ORDER BY id", (session,)):
        parts.setdefault(part["message_id"], []).append({"id": part["id"], **_json(part["data"])})
    query = "SELECT * FROM message WHERE session_id = ? ORDER BY time_created, id"
    messages = [
        {"info": {"id": message["id"], **_json(message["data"])}, "parts": parts.get(message["id"], [])}
        for message in connection.execute(query, (session,))
    ]
    return {"info": _info(dict(row)), "messages": messages}


def _info(row: dict[str, Any]) -> dict[str, Any]:
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
