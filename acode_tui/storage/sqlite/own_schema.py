"""The schema that migrations make, and the refusal of a file that has anything else in it.

A file may be received: with a clone, as a backup, from a colleague. A trigger in it would run with this program's
writes, a view or a virtual table would answer in a table's place. So every object must be one that the migrations make.
"""

import functools
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

from acode_tui.domain.errors import IntegrityError, MigrationError
from acode_tui.domain.schema import version_key
from acode_tui.storage.migrations.runner import Migration
from acode_tui.storage.sqlite import fts5
from acode_tui.storage.sqlite.errors import WAYS_OUT

HISTORY = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version     TEXT NOT NULL PRIMARY KEY,
    description TEXT NOT NULL,
    checksum    TEXT NOT NULL,
    applied_at  TEXT NOT NULL,
    duration_ms INTEGER NOT NULL
) STRICT
"""

_OBJECTS = "SELECT type, name, sql FROM sqlite_master"
_OF_SQLITE = {
    "CREATE TABLE sqlite_sequence(name,seq)",
    "CREATE TABLE sqlite_stat1(tbl,idx,stat)",
    "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)",
}
_SHADOWS = ("_data", "_idx", "_config", "_content", "_docsize")
_VIRTUAL = "CREATE VIRTUAL TABLE "

Objects = dict[tuple[str, str], str]
"""The SQL of each object by type and name, its white space made single blanks."""


def statements(sql: str) -> Iterator[str]:
    """The statements of a script, each trigger as one: ``executescript`` would commit before them."""
    pending = ""
    for line in sql.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending.strip()
            pending = ""
    if pending.strip() and not all(line.startswith("--") for line in pending.strip().splitlines()):
        raise MigrationError("a migration ends in the middle of a statement")


def schema_of(migrations: Sequence[Migration], upto: str | None) -> Objects:
    """The objects that the history table and the migrations up to a version make."""
    return dict(_schema_of(tuple(migrations), upto))


@functools.lru_cache(maxsize=8)
def _schema_of(migrations: tuple[Migration, ...], upto: str | None) -> Mapping[tuple[str, str], str]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(HISTORY)
        virtual: Objects = {}
        for migration in migrations:
            if upto is not None and version_key(migration.version) <= version_key(upto):
                try:
                    for statement in statements(migration.sql):
                        if not fts5.execute(connection, statement):
                            virtual.update(fts5.objects_of(statement))
                except sqlite3.Error:
                    # It makes nothing that a file may have. Applying it to the file fails as well, and says so.
                    break
        return {**read_schema(connection), **virtual}


def read_schema(connection: sqlite3.Connection) -> Objects:
    """The objects of a file, but for those that SQLite makes of itself. A shadow table of FTS5 has no SQL here: it is
    the library's.
    """
    found = {
        (str(kind), str(name)): " ".join(str(sql or "").split())
        for kind, name, sql in connection.execute(_OBJECTS)
        if sql not in _OF_SQLITE and not (kind == "index" and sql is None)
    }
    shadows = _shadows_of(found)
    return {key: "" if key in shadows and not sql.startswith(_VIRTUAL) else sql for key, sql in found.items()}


def require_own(connection: sqlite3.Connection, migrations: Sequence[Migration], at: str | None) -> None:
    """Refuse a file of version ``at`` with an object that no migration makes, or makes otherwise.

    An object of a later migration than the history's last is one of the program's too. A missing one is accepted: it is
    damage, and ``db check`` says so. Raises IntegrityError.
    """
    present = read_schema(connection)
    if present:
        newest = migrations[-1].version if migrations else None
        require_only(present, {**schema_of(migrations, newest), **schema_of(migrations, at)})


def require_only(present: Objects, expected: Objects) -> None:
    """The same for objects that were read, and those that are expected."""
    for (kind, name), sql in sorted(present.items()):
        if expected.get((kind, name)) != sql:
            raise _foreign_object(kind, name, is_known=(kind, name) in expected)


def _shadows_of(objects: Objects) -> frozenset[tuple[str, str]]:
    indexes = [name for (kind, name), sql in objects.items() if kind == "table" and sql.startswith(_VIRTUAL)]
    return frozenset(("table", f"{name}{suffix}") for name in indexes for suffix in _SHADOWS)


def _foreign_object(kind: str, name: str, *, is_known: bool) -> IntegrityError:
    what = f"the {kind} {name[:64]!r}"
    if is_known:
        return IntegrityError(
            f"{what} is not as acode-tui makes it, so the file is not used",
            hint=WAYS_OUT,
        )
    return IntegrityError(
        f"the file has {what}, which acode-tui did not make, so the file is not used",
        hint=f"if you made it, remove it with DROP {kind.upper()} in the sqlite3 program; if the file came from "
        "somebody else, do not use it",
    )
