"""The schema that a workspace file should have, made by the migrations themselves, and how a file differs from it."""

import functools
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple

from acode_tui.domain.errors import IntegrityError
from acode_tui.domain.schema import version_key
from acode_tui.storage.migrations.runner import Migration, newest, packaged
from acode_tui.storage.sqlite.errors import WAYS_OUT
from acode_tui.storage.sqlite.migrate import HISTORY, read_applied, statements
from acode_tui.storage.sqlite.search.tables import SHADOWS, is_derived

_OBJECTS = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"


class Difference(NamedTuple):
    """A table, index or trigger that is ``missing``, or ``changed``."""

    kind: str
    name: str
    how: str


def schema_of(migrations: Sequence[Migration], upto: str) -> dict[tuple[str, str], str]:
    """The SQL of each (type, name) that the migrations up to a version make."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(HISTORY)
        for migration in migrations:
            if version_key(migration.version) <= version_key(upto):
                for statement in statements(migration.sql):
                    connection.execute(statement)
        return read_schema(connection)


def read_schema(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """The SQL of each (type, name) in a file. FTS5's shadow tables count by name alone: their SQL is the library's."""
    return {
        (kind, name): "" if name in SHADOWS else " ".join((sql or "").split())
        for kind, name, sql in connection.execute(_OBJECTS)
    }


def differences(present: dict[tuple[str, str], str], expected: dict[tuple[str, str], str]) -> tuple[Difference, ...]:
    """Expected objects that are missing or changed. Additional objects are no difference."""
    found = []
    for (kind, name), sql in sorted(expected.items()):
        if (kind, name) not in present:
            found.append(Difference(kind, name, "missing"))
        elif present[kind, name] != sql:
            found.append(Difference(kind, name, "changed"))
    return tuple(found)


def lost_tables(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Tables that an applied migration made and that are gone; none of a schema that this program does not know.

    Those of the search index are not among them: they are derived, and every row is safe without them.
    Reads names only, so it is cheap enough for every inspection. Raises SchemaMismatchError for another program's file.
    """
    at = newest(read_applied(connection))
    if at not in {migration.version for migration in packaged("sqlite")}:
        return ()
    present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return tuple(sorted(_tables(at) - present))


def require_tables(connection: sqlite3.Connection, what: str) -> None:
    """Refuse the operation ``what`` where a table is lost: nothing repairs that in place. Raises IntegrityError."""
    lost = lost_tables(connection)
    if lost:
        raise IntegrityError(f"{what}: the file has lost {', '.join(lost)}", hint=WAYS_OUT)


@functools.cache
def _tables(upto: str) -> frozenset[str]:
    made = schema_of(packaged("sqlite"), upto)
    return frozenset(name for kind, name in made if kind == "table" and not is_derived(name))
