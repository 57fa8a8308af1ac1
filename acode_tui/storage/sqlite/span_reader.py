"""Reads the spans that ``SpanStore`` keeps, session by session, in one snapshot."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from acode_tui.domain.errors import DatabaseConnectionError
from acode_tui.plain_files import what_is_wrong
from acode_tui.storage.sqlite.distrust import distrust
from acode_tui.storage.sqlite.errors import opening, translated
from acode_tui.storage.sqlite.span_schema import BUSY_SECONDS, require_own_schema

MAX_SESSION_BYTES = 256 * 1024 * 1024
"""The spans of a session that have more bytes are not read."""
HELD_SECONDS = 30
"""A trace without its outermost span and without a conversation is not read for so long: both say where it belongs."""

_SESSIONS = """
SELECT session, max(change) || '/' || count(*)
FROM traces
GROUP BY session
HAVING max(has_root) OR min(named_at) < 9223372036854775807 OR max(added_at) <= ?
ORDER BY max(change)
"""
_SIZE = "SELECT ifnull(sum(length(body)), 0) FROM spans WHERE trace IN (SELECT trace FROM traces WHERE session = ?)"
_BODIES = """
SELECT body FROM spans WHERE trace IN (SELECT trace FROM traces WHERE session = ?) ORDER BY trace, id
"""


class SpanReader:
    """The file, open for reading."""

    def __init__(self, path: Path) -> None:
        wrong = what_is_wrong(path)
        if wrong:
            raise DatabaseConnectionError(f"cannot open {path}: it is {wrong}", hint="remove it")
        with opening(path):
            address = f"{path.absolute().as_uri()}?mode=rw"
            self._connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                distrust(self._connection)
                self._connection.execute("PRAGMA query_only = ON")
                require_own_schema(self._connection, path)
                self._connection.execute("BEGIN")
            except BaseException:
                self._connection.close()
                raise

    def __enter__(self) -> "SpanReader":
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def sessions(self, now: float) -> list[tuple[str, str]]:
        """Each session, and what shows that its spans have changed; the oldest change first.

        One that cannot be placed yet at ``now``, in seconds since 1970, is left out.
        """
        with translated("read spans"):
            return self._connection.execute(_SESSIONS, (int(now) - HELD_SECONDS,)).fetchall()

    def size(self, session: str) -> int:
        """The bytes of a session's spans."""
        with translated("read spans"):
            (size,) = self._connection.execute(_SIZE, (session,)).fetchone()
        return int(size)

    def bodies(self, session: str) -> Iterator[bytes]:
        """The spans of a session as they were given to ``SpanStore.add``."""
        with translated("read spans"):
            for (body,) in self._connection.execute(_BODIES, (session,)):
                yield body
