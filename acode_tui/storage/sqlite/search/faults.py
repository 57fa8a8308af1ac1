"""A search index that is missing or damaged: every row is safe then, and the index can be made again."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from acode_tui.domain.errors import IntegrityError
from acode_tui.storage.sqlite.fts5 import has_fts5, unavailable
from acode_tui.storage.sqlite.search.marks import is_without_words
from acode_tui.storage.sqlite.search.tables import DERIVED_TABLES, NEED_FTS5

REBUILD = "every row is safe; make the index again with `acode-tui db search rebuild`"

_CORRUPT_VTAB = 267
"""SQLITE_CORRUPT_VTAB, which the sqlite3 module has no name for before Python 3.11."""

_GONE = re.compile(
    r"(no such table|no such column|vtable constructor failed|no such index).*(search_|session_facts|figures_)"
)


_NEEDS_FTS5 = re.compile(r"no such module: fts5|no such table: search_(index|terms)")


@contextmanager
def index_faults() -> Iterator[None]:
    """Report a fault of the index in the block as IntegrityError that names the way out, and as SearchUnavailableError
    where there is no FTS5. Other errors pass.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        if not has_fts5() and _NEEDS_FTS5.search(str(error)):
            raise unavailable() from error
        if is_gone(error):
            raise IntegrityError("the search index is missing", hint=REBUILD) from error
        code = getattr(error, "sqlite_errorcode", 0)
        if code == _CORRUPT_VTAB:
            raise IntegrityError("the search index is damaged", hint=REBUILD) from error
        if code & 0xFF == sqlite3.SQLITE_CORRUPT:
            raise IntegrityError(
                "the search index is damaged, or the file is",
                hint="see which with `acode-tui db check`; `acode-tui db search rebuild` makes the index again",
            ) from error
        raise


def require_index(connection: sqlite3.Connection) -> None:
    """Raise IntegrityError where a table of the index is not there, whatever the search would have read of it.

    Where the index was made without FTS5, its words are not missed: they are made when it is brought up to date.
    """
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    lost = DERIVED_TABLES - there
    if lost and not (lost <= NEED_FTS5 and is_without_words(connection)):
        raise IntegrityError("the search index is missing", hint=REBUILD)


def is_gone(error: sqlite3.Error) -> bool:
    """Whether an error says that a table of the index is not there."""
    return _GONE.search(str(error)) is not None
