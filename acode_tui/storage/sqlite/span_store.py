"""Keeps received spans in a file of their own until they are read into runs: each span once, in its last version.

Adding is durable when it returns, and repeating it changes nothing. The file may be open in several processes.
"""

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

from acode_tui.domain.errors import DatabaseConnectionError
from acode_tui.files import make_private_folder
from acode_tui.plain_files import what_is_wrong
from acode_tui.storage.sqlite.connection import make_private
from acode_tui.storage.sqlite.distrust import distrust
from acode_tui.storage.sqlite.errors import opening, translated
from acode_tui.storage.sqlite.file_systems import shared_file_system
from acode_tui.storage.sqlite.span_schema import BUSY_SECONDS, SCHEMA, require_own_schema
from acode_tui.storage.transcript_ports import StoredSpan

KEPT_SECONDS = 30 * 24 * 60 * 60
"""Spans of a session to which nothing was added for so long are deleted: its run is stored."""

_NEVER = 2**63 - 1
_FIND = "SELECT rank FROM spans WHERE trace = ? AND id = ?"
_PUT = """
INSERT INTO spans VALUES (?, ?, ?, ?)
ON CONFLICT (trace, id) DO UPDATE SET rank = excluded.rank, body = excluded.body WHERE excluded.rank > rank
"""
_TRACE = "SELECT session, named_at, named_by, has_root FROM traces WHERE trace = ?"
_PUT_TRACE = "INSERT OR REPLACE INTO traces VALUES (?, ?, ?, ?, ?, ?, ?)"
_OLD = "SELECT session FROM traces GROUP BY session HAVING max(added_at) < ?"


class SpanStore:
    """The open file. Used by one thread at a time: calls wait for each other."""

    def __init__(self, path: Path) -> None:
        """Open the file, made where there is none. Raises DatabaseConnectionError, IntegrityError, TransactionError."""
        self._lock = threading.Lock()
        with opening(path):
            self._connection = _connect(path)

    def add(self, spans: Sequence[StoredSpan], now: int) -> int:
        """Store spans; returns the number of those that are new or newer. All are on disk then, or none is stored.

        ``now`` is in seconds since 1970. Raises DiskFullError, TransactionError.
        """
        with self._lock, translated("store spans"):
            connection = self._connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                changed = self._put(spans, now)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        return changed

    def _put(self, spans: Sequence[StoredSpan], now: int) -> int:
        connection = self._connection
        cursor = connection.executemany(_PUT, [(span.trace, span.id, span.rank, span.body) for span in spans])
        changed = cursor.rowcount
        if not changed:
            return 0
        (latest,) = connection.execute("SELECT ifnull(max(change), 0) FROM traces").fetchone()
        by_trace: dict[str, list[StoredSpan]] = {}
        for span in spans:
            by_trace.setdefault(span.trace, []).append(span)
        for trace, own in by_trace.items():
            known = connection.execute(_TRACE, (trace,)).fetchone()
            session, named_at, named_by, has_root = known or (self._name(trace, trace), _NEVER, "", 0)
            for span in own:
                if span.conversation and (span.start, span.id) < (named_at, named_by):
                    session, named_at, named_by = self._name(span.conversation, trace), span.start, span.id
            has_root = has_root or any(span.is_root for span in own)
            row = (trace, session, named_at, named_by, int(has_root), latest + 1, now)
            connection.execute(_PUT_TRACE, row)
        return changed

    def _name(self, session: str, trace: str) -> str:
        is_pruned = self._connection.execute("SELECT 1 FROM pruned WHERE session = ?", (session,)).fetchone()
        return f"{session}/{trace}" if is_pruned else session

    def prune(self, now: int) -> int:
        """Delete the spans of sessions to which nothing was added for ``KEPT_SECONDS``. Returns their number."""
        with self._lock, translated("delete old spans"):
            connection = self._connection
            old = [session for (session,) in connection.execute(_OLD, (now - KEPT_SECONDS,))]
            for session in old:
                connection.execute("BEGIN IMMEDIATE")
                own = "trace IN (SELECT trace FROM traces WHERE session = ?)"
                connection.execute(f"DELETE FROM spans WHERE {own}", (session,))  # noqa: S608
                connection.execute("DELETE FROM traces WHERE session = ?", (session,))
                connection.execute("INSERT OR IGNORE INTO pruned VALUES (?)", (session,))
                connection.execute("COMMIT")
        return len(old)

    def close(self) -> None:
        """Close the file; harmless if repeated."""
        with self._lock:
            self._connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    make_private_folder(path.parent)
    wrong = what_is_wrong(path)
    if wrong:
        raise DatabaseConnectionError(f"cannot open {path}: it is {wrong}", hint="remove it")
    # Threads share it, one at a time.
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        make_private(path)
        distrust(connection)
        journal = "DELETE" if shared_file_system(path.parent) else "WAL"
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            for statement in SCHEMA:
                connection.execute(statement)
        connection.execute("COMMIT")
        require_own_schema(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection
