"""The floor of an export: the same rows read, inflated, encoded, written and synced, by one loop a table.

Each reads the workspace file over a bare connection, inflates contents and encodes values with the libraries that the
program uses. What it leaves out is what only the program promises: runs whole and nested, contents compared with their
hashes, one snapshot a run, cancelling, counts, and files that appear when they are complete.
"""

import base64
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import msgspec

from acode_tui.domain.schema import TABLES, Table
from acode_tui.storage.sqlite.runs.export_file import export_objects

Row = tuple[Any, ...]

_BETWEEN = '","'


def bare_json(database: Path, path: Path) -> None:
    """One JSON object a row and line, by column; JSON columns as they are stored."""
    encode = msgspec.json.Encoder().encode
    with closing(sqlite3.connect(database)) as connection, path.open("wb") as file:
        for table in TABLES.values():
            names = table.column_names
            raw = [index for index, column in enumerate(table.columns) if column.kind == "json"]
            for row in _rows(connection, table):
                values: list[Any] = list(row)
                for index in raw:
                    if (text := values[index]) is not None:
                        values[index] = msgspec.Raw(text.encode())
                file.write(encode(dict(zip(names, values, strict=True))) + b"\n")
        _sync(file)


def bare_csv(database: Path, folder: Path) -> None:
    """One file a table, every cell quoted; content in base64. Python's own writer takes four times as long."""
    folder.mkdir()
    with closing(sqlite3.connect(database)) as connection:
        for table in TABLES.values():
            with (folder / f"{table.name}.csv").open("wb") as file:
                for row in _rows(connection, table):
                    cells = [str(value).replace('"', '""') for value in row if not isinstance(value, bytes)]
                    text = f'"{_BETWEEN.join(cells)}"'.encode()
                    last = row[-1]
                    file.write(text + b',"' + base64.b64encode(last) + b'"' if isinstance(last, bytes) else text)
                    file.write(b"\r\n")
                _sync(file)


def bare_sqlite(database: Path, path: Path) -> None:
    """A database with the tables and indexes of an export, filled in one transaction without a journal."""
    with (
        closing(sqlite3.connect(database)) as connection,
        closing(sqlite3.connect(path, isolation_level=None)) as target,
    ):
        target.execute("PRAGMA journal_mode = OFF").fetchall()
        target.execute("PRAGMA synchronous = OFF")
        target.execute("BEGIN")
        objects = export_objects()
        for kind in ("table", "index"):
            for (each, _), statement in objects.items():
                if each == kind:
                    target.execute(statement)
            if kind == "table":
                _fill(connection, target)
        target.execute("COMMIT")
    with path.open("rb+") as file:
        _sync(file)


def _fill(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    for table in TABLES.values():
        marks = ", ".join("?" for _ in table.columns)
        target.executemany(f"INSERT INTO {table.name} VALUES ({marks})", _rows(source, table))


def _rows(connection: sqlite3.Connection, table: Table) -> Iterator[Row]:
    """The rows of a table, contents inflated."""
    names = ", ".join(f'"{name}"' for name in table.column_names)
    found = connection.execute(f"SELECT {names} FROM {table.name}")
    if table.columns[-1].kind != "bytes":
        return found
    return _inflated(found, table.column_names.index("size"), _decompress())


def _inflated(found: Iterator[Row], size: int, decompress: Callable[[bytes], bytes]) -> Iterator[Row]:
    for row in found:
        content = row[-1]
        yield (*row[:-1], decompress(content) if len(content) < row[size] else content)


def _decompress() -> Callable[[bytes], bytes]:
    try:
        from isal import isal_zlib
    except ImportError:
        import zlib

        return zlib.decompress
    return isal_zlib.decompress


def _sync(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())
