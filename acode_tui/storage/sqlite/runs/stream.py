"""Runs as streams of rows: only the present row and its ancestors are in memory."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TypeVar

import msgspec

from acode_tui.domain.entities import Artifact, Entity
from acode_tui.domain.errors import AcodeError, ExportError, NotFoundError
from acode_tui.domain.quantities import size
from acode_tui.domain.schema import TABLES, Table
from acode_tui.domain.states import EntityType
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.sqlite import rows
from acode_tui.storage.sqlite.connection import FunctionConnection, SqliteConnectionFactory
from acode_tui.storage.sqlite.contents import verified
from acode_tui.storage.sqlite.distrust import distrust
from acode_tui.storage.sqlite.errors import translated
from acode_tui.storage.sqlite.migrate import plan
from acode_tui.storage.sqlite.own_schema import read_schema, require_only
from acode_tui.storage.sqlite.readers import snapshot
from acode_tui.storage.sqlite.runs.export_file import APPLICATION_ID, INFO, export_objects

T = TypeVar("T")

_NEXT = "SELECT id FROM sessions WHERE id > ? ORDER BY id LIMIT ?"
_COUNT = "SELECT coalesce(sum(sessions), 0) FROM session_totals"
_COUNTS = [
    f"(SELECT count(*) FROM {table.name} WHERE {table.session_column} = ?1)"  # noqa: S608
    for table in TABLES.values()
]
_ROWS = f"SELECT {' + '.join(_COUNTS)}"
_CONTENT = "SELECT content, size FROM artifacts WHERE id = ?"
_ORDER = {EntityType.SESSION_EVENT: "timestamp, id", EntityType.ARTIFACT: "rowid"}


def _children_of(parent: EntityType, table: Table) -> str:
    """The statement for a row's children in one table: those that hang on it and on nothing below it."""
    names = [column for column, _ in table.parents]
    place = table.parent_kinds.index(parent)
    own = "".join(f" AND {name} IS NULL" for name in names[place + 1 :])
    order = _ORDER.get(table.kind, '"order", rowid')
    return f"SELECT {rows.COLUMNS[table.kind]} FROM {table.name} WHERE {names[place]} = ?{own} ORDER BY {order}"  # noqa: S608


_BELOW = {
    # Artifacts first, as in the graph.
    parent: tuple(
        (kind, _children_of(parent, table))
        for kind, table in sorted(TABLES.items(), key=lambda each: each[0] is not EntityType.ARTIFACT)
        if parent in table.parent_kinds
    )
    for parent in TABLES
}
"""For each kind the kinds below it, each with the statement for a row's children."""


class SqliteRunRows:
    """``RunRows`` over the workspace file, on a connection of its own: no read waits behind a long export."""

    def __init__(self, connection: FunctionConnection) -> None:
        self._connection = connection

    async def session_ids(self, *, after: str, limit: int) -> tuple[str, ...]:
        """The next session ids in order."""
        return await self._run(lambda connection: tuple(row[0] for row in connection.execute(_NEXT, (after, limit))))

    async def count(self) -> int:
        """How many sessions there are."""
        return await self._run(lambda connection: int(connection.execute(_COUNT).fetchone()[0]))

    async def rows(self, session_id: str) -> int:
        """How many rows a run has, each table's from an index."""
        return await self._run(lambda connection: int(connection.execute(_ROWS, (session_id,)).fetchone()[0]))

    async def walk(self, session_id: str, consume: Callable[[Iterator[Entity]], T]) -> T:
        """The answer of ``consume``, called with the run's rows."""
        return await self._run(lambda connection: consume(walk(connection, session_id)))

    async def _run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        with translated("the read failed"):
            return await self._connection.run(lambda connection: snapshot(connection, read))


@asynccontextmanager
async def open_run_rows(path: Path, *, timeout_seconds: float) -> AsyncIterator[SqliteRunRows]:
    """The runs in a workspace's file."""
    connection = await SqliteConnectionFactory(path, timeout_seconds=timeout_seconds).open_reader()
    try:
        # Each page is read once: mapping the pages would count them as memory in use.
        await connection.run(lambda raw: raw.execute("PRAGMA mmap_size = 0").fetchall())
        yield SqliteRunRows(connection)
    finally:
        await connection.close()


def walk(connection: sqlite3.Connection, session_id: str) -> Generator[Entity, None, None]:
    """The run's rows in the connection's snapshot, each parent before its children."""
    row = connection.execute(rows.SELECT[EntityType.SESSION], (session_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no session {session_id[:64]!r}")
    yield from _with_children(connection, EntityType.SESSION, row)


def _with_children(connection: sqlite3.Connection, kind: EntityType, row: rows.Row) -> Iterator[Entity]:
    entity = rows.from_row(kind, row)
    yield _loaded(connection, entity) if isinstance(entity, Artifact) else entity
    for child, children in _BELOW[kind]:
        for below in connection.execute(children, (row[0],)):
            yield from _with_children(connection, child, below)


def _loaded(connection: sqlite3.Connection, artifact: Artifact) -> Artifact:
    stored, size = connection.execute(_CONTENT, (artifact.id,)).fetchone()
    return msgspec.structs.replace(artifact, content=verified(artifact.id, stored, size, artifact.content_hash))


SIGNATURE = b"SQLite format 3\x00"
_IDS = "SELECT id FROM sessions WHERE typeof(id) = 'text' AND id > ? ORDER BY id LIMIT 500"
_KIND = "SELECT type FROM pragma_table_list(?) WHERE schema = 'main'"


# In the place of a former file's table. The walk reads artifacts by row number, which a view does not have of itself.
_FORMER_ARTIFACTS = """
CREATE TEMP VIEW artifacts AS
SELECT a.*, s.task_id, c.step_id, a.rowid AS rowid
FROM main.artifacts AS a LEFT JOIN main.tool_calls AS c ON c.id = a.tool_call_id
LEFT JOIN main.steps AS s ON s.id = c.step_id
"""


class RunSource:
    """A database file with runs, opened for reading. Use it from one thread at a time, and close it.

    ``is_former``: the file is of a build before the first release, whose artifacts name their tool call alone.
    """

    def __init__(self, path: Path, *, most_bytes: int) -> None:
        """``most_bytes``: a value that is larger is refused before it is read."""
        self._path = path
        self._most_bytes = most_bytes
        with translated(f"cannot read {path}", at_open=True):
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
            )
            try:
                distrust(self._connection)
                self._connection.execute("PRAGMA temp_store = MEMORY")
                self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, most_bytes)
                self.is_former = "task_id" not in self._columns("artifacts")
                self._require_tables()
                self._require_own_objects()
                if self.is_former:
                    self._connection.execute(_FORMER_ARTIFACTS)
                self._connection.execute("PRAGMA query_only = ON")
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def info(self) -> dict[str, str]:
        """The info table of an export; empty for any other file."""
        with translated(f"cannot read {self._path}"):
            if self._connection.execute(_KIND, (INFO,)).fetchone() != ("table",):
                return {}
            found = self._connection.execute(f"SELECT key, value FROM {INFO} LIMIT 100")  # noqa: S608
            return {str(key): str(value) for key, value in found}

    def runs(self, use: Callable[[Iterator[Entity]], bytes]) -> Iterator[tuple[str, bytes | str]]:
        """By session id: what ``use`` makes of the run's rows, or a sentence that says what is wrong with the run."""
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
        except sqlite3.DataError:
            return f"has a value larger than {size(self._most_bytes)}"
        except (ValueError, TypeError, KeyError, AttributeError, msgspec.MsgspecError, RecursionError):
            # Rows that no export has: a state or a time that is none, a number where text belongs.
            return "has a row with a value of the wrong type"

    def _require_own_objects(self) -> None:
        """Refuse an export or a workspace with objects that acode-tui did not make.

        A former build's file has others than today's, which are not known here. Nothing of it runs either: only tables
        are read, and nothing is written.
        """
        if self.is_former:
            return
        (application_id,) = self._connection.execute("PRAGMA application_id").fetchone()
        try:
            if application_id == APPLICATION_ID:
                require_only(read_schema(self._connection), export_objects())
            else:
                plan(self._connection, packaged("sqlite"))
        except AcodeError as error:
            raise ExportError(error.message, hint=error.hint) from error

    def _columns(self, table: str) -> set[str]:
        return {row[1] for row in self._connection.execute(f"PRAGMA main.table_info({table})")}

    def _require_tables(self) -> None:
        for table in TABLES.values():
            known = self._connection.execute(_KIND, (table.name,)).fetchone()
            needed = set(table.column_names)
            if table.kind is EntityType.ARTIFACT and self.is_former:
                needed -= {"task_id", "step_id"}
            if known != ("table",) or not self._columns(table.name) >= needed:
                raise ExportError(
                    f"is a SQLite file without the table {table.name} of acode-tui",
                    hint="name a file that `acode-tui db export` wrote",
                )
