"""Whether the SQLite that Python uses has FTS5, the part that the search index needs.

A few systems build SQLite without it. Everything but search works there: the virtual tables are left out, the rest of
what is derived from the rows follows them, and a Python that has FTS5 makes the index when it opens the file.
"""

import functools
import re
import sqlite3
from contextlib import closing

from acode_tui.domain.errors import SearchUnavailableError

_VIRTUAL = re.compile(r"^CREATE VIRTUAL TABLE (\w+)", re.MULTILINE)
SHADOWS = ("_data", "_idx", "_config")
"""How the names of FTS5's own tables behind an index end."""

FORMAT_WITHOUT_WORDS = 0
"""The form of an index that was made without FTS5: documents and facts, and no words."""

NOTE_WITHOUT_WORDS = f"UPDATE search_marks SET upto = {FORMAT_WITHOUT_WORDS} WHERE kind = 'format'"  # noqa: S608


def has_fts5() -> bool:
    """Whether there is FTS5. One library serves the whole process, so it is asked once."""
    return _ask_library()


@functools.cache
def _ask_library() -> bool:
    with closing(sqlite3.connect(":memory:")) as connection:
        return connection.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").fetchone() is not None


def require_fts5() -> None:
    """Raise SearchUnavailableError where there is none."""
    if not has_fts5():
        raise unavailable()


def unavailable() -> SearchUnavailableError:
    return SearchUnavailableError(f"this Python's SQLite {sqlite3.sqlite_version} has no FTS5, so it cannot search")


def execute(connection: sqlite3.Connection, statement: str) -> bool:
    """Execute a statement of a migration; False, and nothing is done, where it needs FTS5 and there is none."""
    if not has_fts5() and _VIRTUAL.search(statement):
        return False
    connection.execute(statement)
    return True


def objects_of(statement: str) -> dict[tuple[str, str], str]:
    """What such a statement makes where there is FTS5, as the schema of a file has it."""
    found = _VIRTUAL.search(statement)
    assert found is not None
    name = found[1]
    made = {("table", name): " ".join(statement[found.start() :].rstrip(";").split())}
    if "USING fts5 " in statement:
        made.update({("table", f"{name}{suffix}"): "" for suffix in SHADOWS})
    return made
