"""The tables of received spans, for the module that writes and the one that reads them."""

import sqlite3
from pathlib import Path

from acode_tui.domain.errors import IntegrityError

SCHEMA = (
    """
CREATE TABLE traces (
    trace        TEXT NOT NULL PRIMARY KEY,
    session      TEXT NOT NULL,
    named_at     INTEGER NOT NULL,
    named_by     TEXT NOT NULL,
    has_root     INTEGER NOT NULL,
    change       INTEGER NOT NULL,
    added_at     INTEGER NOT NULL
) STRICT
""",
    "CREATE INDEX traces_by_session ON traces (session)",
    "CREATE INDEX traces_by_change ON traces (change)",
    """
CREATE TABLE spans (
    trace TEXT NOT NULL,
    id    TEXT NOT NULL,
    rank  BLOB NOT NULL,
    body  BLOB NOT NULL,
    PRIMARY KEY (trace, id)
) STRICT
""",
    "CREATE TABLE pruned (session TEXT NOT NULL PRIMARY KEY) STRICT",
)
"""``session`` is the conversation that the earliest span of the trace names (``named_at``, ``named_by``), else the
trace. ``change`` rises with every change of a trace; ``added_at`` is in seconds since 1970. ``pruned`` are the sessions
whose spans were deleted: what comes for them later is another session, for the run of the first one is stored whole."""
BUSY_SECONDS = 10.0


def require_own_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Raise IntegrityError where the file has other objects than this program makes: it may have been received."""
    found = {_plain(sql) for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
    if found != {_plain(statement) for statement in SCHEMA}:
        raise IntegrityError(
            f"{path}: not a file that this program has made", hint="move it away; the runs that are stored stay"
        )


def _plain(sql: str) -> str:
    return " ".join(sql.split())
