"""An export as CSV: a folder with one file per table, as in RFC 4180, in UTF-8.

Text is always quoted, so line breaks and commas stay within their cell; NULL is an empty cell without quotes, an empty
text one with. A cell that a spreadsheet might run as a formula begins with an apostrophe; so does every cell that began
with one, so that removing the first apostrophe restores what was recorded. Content is base64, JSON is JSON.
"""

import os
from base64 import b64encode
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import msgspec

from acode_tui.domain.clock import format_time
from acode_tui.domain.entities import Entity
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.files import PRIVATE_FILE
from acode_tui.ops.export.destination import CSV_LOG
from acode_tui.ops.export.json import About

ABOUT = "export.json"
MEMBERS = frozenset({f"{table.name}.csv" for table in TABLES.values()} | {ABOUT, CSV_LOG})
"""Every file that such a folder may hold."""

_RISKY = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")


class CsvFolder:
    """Writes rows into one file per table."""

    def __init__(self, folder: Path, about: About) -> None:
        self._folder = folder
        self._about = about
        self._stack = ExitStack()
        self._files: dict[EntityType, IO[bytes]] = {}
        for kind, table in TABLES.items():
            file = self._stack.enter_context(private(folder / f"{table.name}.csv"))
            self._files[kind] = file
            file.write((",".join(table.column_names) + "\r\n").encode())

    def add(self, entity: Entity) -> None:
        """Write the next row."""
        cells = [cell(getattr(entity, column.name), column.kind) for column in TABLES[entity.kind].columns]
        self._files[entity.kind].write((",".join(cells) + "\r\n").encode())

    def close(self, counts: dict[str, int]) -> None:
        """Write the description of the export, and close the files."""
        self._stack.close()
        about = {**msgspec.to_builtins(self._about), "counts": counts}
        with private(self._folder / ABOUT) as file:
            file.write(msgspec.json.format(msgspec.json.encode(about), indent=2) + b"\n")

    def abandon(self) -> None:
        """Close the files of an export that failed."""
        self._stack.close()


def private(path: Path) -> IO[bytes]:
    """A new private file, open for writing."""
    return open(path, "xb", opener=lambda name, flags: os.open(name, flags, PRIVATE_FILE))


def cell(value: Any, kind: str) -> str:
    """A value as one cell."""
    if kind == "json":
        # NULL in the database; JSON's own null is written `null` where the column must hold something.
        return "" if value is None else quoted(msgspec.json.encode(value).decode())
    if value is None:
        return ""
    if kind == "int":
        return str(value)
    if kind == "bytes":
        return quoted(b64encode(value).decode())
    return quoted(format_time(value) if kind == "time" else str(value))


def quoted(text: str) -> str:
    """Text in quotes, harmless to a spreadsheet."""
    safe = "'" + text if text.startswith(_RISKY) else text
    return '"' + safe.replace('"', '""') + '"'
