"""The database file of an export: the entity tables and an info table, readable by any SQLite program.

Contents stand in it as they are, not compressed as in the workspace file.
"""

import errno
import functools
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from acode_tui.domain.entities import Artifact, Entity
from acode_tui.domain.schema import TABLES, Column, Table
from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.own_schema import Objects, read_schema

INFO = "export_info"
APPLICATION_ID = 1094930277
"""In the header of an export's file."""

_TYPES = {"int": "INTEGER", "bytes": "BLOB"}
_ROWS_AT_ONCE = 200
_BYTES_AT_ONCE = 4 * 1024 * 1024


def _ddl(table: Table) -> str:
    columns = [_column(table, column) for column in table.columns]
    return f"CREATE TABLE {table.name} (\n    " + ",\n    ".join(columns) + "\n) STRICT"


def _column(table: Table, column: Column) -> str:
    text = f'"{column.name}" {_TYPES.get(column.kind, "TEXT")}' + ("" if column.nullable else " NOT NULL")
    if column.name == "id":
        return text + " PRIMARY KEY"
    if (parent := dict(table.parents).get(column.name)) is not None:
        return text + f" REFERENCES {TABLES[parent].name} (id)"
    return text + (" REFERENCES sessions (id)" if column.name == "session_id" else "")


_INFO_DDL = f"CREATE TABLE {INFO} (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT"


def _indexes(table: Table) -> list[str]:
    columns = dict.fromkeys(["session_id", *dict(table.parents)] if table.parents else [])
    return [f"CREATE INDEX {table.name}_by_{each.removesuffix('_id')} ON {table.name} ({each})" for each in columns]


@functools.cache
def export_objects() -> Objects:
    """Every object of an export's file."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for table in TABLES.values():
            connection.execute(_ddl(table))
        connection.execute(_INFO_DDL)
        for table in TABLES.values():
            for statement in _indexes(table):
                connection.execute(statement)
        return read_schema(connection)


def _row(entity: Entity) -> rows.Row:
    if not isinstance(entity, Artifact):
        return rows.to_row(entity)
    # The content is the last column.
    return (*rows.to_row(msgspec.structs.replace(entity, content=b""))[:-1], entity.content)


class RunFile:
    """Writes rows into a new database at ``path``, which exists and is empty. Raises OSError where that fails."""

    def __init__(self, path: Path, info: dict[str, str]) -> None:
        self._path = path
        # Rows come from whichever thread reads them, one at a time.
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._waiting: dict[EntityType, list[rows.Row]] = {kind: [] for kind in TABLES}
        self._rows = self._bytes = 0
        try:
            # The file is synced as a whole before it gets its name; until then no commit has to be durable.
            self._run(
                "PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", f"PRAGMA application_id = {APPLICATION_ID}"
            )
            self._run("BEGIN", *map(_ddl, TABLES.values()))
            self._run(_INFO_DDL)
            self._many(f"INSERT INTO {INFO} VALUES (?, ?)", list(info.items()))  # noqa: S608
        except BaseException:
            self.abandon()
            raise

    def add(self, entity: Entity) -> None:
        """Write a row, parents before children."""
        self._waiting[entity.kind].append(_row(entity))
        self._rows += 1
        self._bytes += len(getattr(entity, "content", None) or b"")
        if self._rows >= _ROWS_AT_ONCE or self._bytes >= _BYTES_AT_ONCE:
            self._flush()

    def close(self, counts: dict[str, int]) -> None:
        """Finish the file."""
        self._flush()
        self._many(f"INSERT INTO {INFO} VALUES (?, ?)", [(f"rows.{name}", str(n)) for name, n in counts.items()])  # noqa: S608
        for table in TABLES.values():
            # Reading goes from a session, and from a parent, to its rows.
            self._run(*_indexes(table))
        self._run("COMMIT")
        self._connection.close()

    def abandon(self) -> None:
        """Close an unfinished file."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def _flush(self) -> None:
        for kind, waiting in self._waiting.items():
            if waiting:
                self._many(rows.INSERT[kind], waiting)
                waiting.clear()
        self._rows = self._bytes = 0

    def _run(self, *statements: str) -> None:
        try:
            for statement in statements:
                self._connection.execute(statement)
        except sqlite3.Error as error:
            raise self._unwritten(error) from error

    def _many(self, statement: str, values: list[rows.Row]) -> None:
        try:
            self._connection.executemany(statement, values)
        except sqlite3.Error as error:
            raise self._unwritten(error) from error

    def _unwritten(self, error: sqlite3.Error) -> OSError:
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        return OSError(
            errno.ENOSPC if full else errno.EIO, os.strerror(errno.ENOSPC) if full else str(error), str(self._path)
        )
