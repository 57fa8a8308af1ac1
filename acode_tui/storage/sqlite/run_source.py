"""Runs in a SQLite file that somebody else may have made: an export, a backup, another workspace. Only ever read."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from acode_tui.domain.entities import Entity
from acode_tui.domain.errors import AcodeError, ExportError
from acode_tui.domain.schema import TABLES
from acode_tui.storage.sqlite.errors import translated
from acode_tui.storage.sqlite.runs.export_file import INFO
from acode_tui.storage.sqlite.runs.stream import walk

SIGNATURE = b"SQLite format 3\x00"
_IDS = "SELECT id FROM sessions WHERE typeof(id) = 'text' AND id > ? ORDER BY id LIMIT 500"
_KIND = "SELECT type FROM pragma_table_list(?) WHERE schema = 'main'"


class RunSource:
    """An open file. Use it from one thread at a time, and close it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with translated(f"cannot read {path}", at_open=True):
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
            )
            try:
                for pragma in ("trusted_schema = OFF", "query_only = ON", "cell_size_check = ON"):
                    self._connection.execute(f"PRAGMA {pragma}")
                self._require_tables()
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    def info(self) -> dict[str, str]:
        """What an export says of itself; empty for any other file."""
        with translated(f"cannot read {self._path}"):
            if self._connection.execute(_KIND, (INFO,)).fetchone() != ("table",):
                return {}
            found = self._connection.execute(f"SELECT key, value FROM {INFO} LIMIT 100")  # noqa: S608
            return {str(key): str(value) for key, value in found}

    def runs(self, use: Callable[[Iterator[Entity]], bytes]) -> Iterator[tuple[str, bytes | str]]:
        """By session id: what ``use`` makes of the run's rows, or a sentence that says what is wrong with them."""
        after = ""
        with translated(f"cannot read {self._path}"):
            while ids := [str(row[0]) for row in self._connection.execute(_IDS, (after,)).fetchall()]:
                for each in ids:
                    yield each, self._run(each, use)
                after = ids[-1]

    def _run(self, session_id: str, use: Callable[[Iterator[Entity]], bytes]) -> bytes | str:
        try:
            with closing(walk(self._connection, session_id)) as found:
                return use(found)
        except AcodeError as error:
            return error.message
        except (ValueError, TypeError, KeyError, AttributeError, msgspec.MsgspecError, RecursionError):
            # Rows that no export has: a state or a time that is none, a number where text belongs.
            return "has a row with a value of the wrong type"

    def _require_tables(self) -> None:
        for table in TABLES.values():
            known = self._connection.execute(_KIND, (table.name,)).fetchone()
            columns = {row[1] for row in self._connection.execute(f"PRAGMA table_info({table.name})")}
            if known != ("table",) or not columns >= set(table.column_names):
                raise ExportError(
                    f"is a SQLite file without the table {table.name} of acode-tui",
                    hint="name a file that `acode-tui db export` wrote",
                )
