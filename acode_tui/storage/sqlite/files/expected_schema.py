"""The schema that a workspace file should have, made by the migrations themselves, and how a file differs from it."""

import functools
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from acode_tui.domain.errors import IntegrityError
from acode_tui.storage.migrations.runner import Migration, newest, packaged
from acode_tui.storage.ports import AppliedMigration
from acode_tui.storage.sqlite.errors import WAYS_OUT
from acode_tui.storage.sqlite.migrate import read_applied
from acode_tui.storage.sqlite.own_schema import schema_of
from acode_tui.storage.sqlite.search.tables import is_derived

_LISTED = 5


class Difference(NamedTuple):
    """A table, index or trigger that is ``missing``, or ``changed``."""

    kind: str
    name: str
    how: str


def differences(present: dict[tuple[str, str], str], expected: dict[tuple[str, str], str]) -> tuple[Difference, ...]:
    """Expected objects that are missing or changed. Additional objects are no difference."""
    found = []
    for (kind, name), sql in sorted(expected.items()):
        if (kind, name) not in present:
            found.append(Difference(kind, name, "missing"))
        elif present[kind, name] != sql:
            found.append(Difference(kind, name, "changed"))
    return tuple(found)


def listed(found: Sequence[Difference]) -> str:
    """The first few differences in one line, and how many there are beside them."""
    shown = "; ".join(f"{each.kind} {each.name} is {each.how}" for each in found[:_LISTED])
    return shown if len(found) <= _LISTED else f"{shown}; and {len(found) - _LISTED} more"


def is_of_this_build(applied: Sequence[AppliedMigration], known: Sequence[Migration]) -> bool:
    """Whether this program's texts made the schema, or an earlier version of it."""
    return {(each.version, each.checksum) for each in applied} <= {(each.version, each.checksum) for each in known}


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
