"""The first page of the list, read before the workspace is opened: a dashboard shows it in its first frame.

Opening a workspace loads its store, its outbox and its sync, and takes longer than to read a page. The page is read
over a connection of its own, which changes nothing about the file.
"""

import sqlite3
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from acode_tui.config import Settings
from acode_tui.config.ownership import require_own
from acode_tui.config.workspace_root import require_plain
from acode_tui.domain.errors import AcodeError
from acode_tui.domain.states import SessionState
from acode_tui.storage.cursors import FIGURES
from acode_tui.storage.migrations.runner import packaged
from acode_tui.storage.ports import SessionFilter, SessionPage
from acode_tui.storage.sqlite.connection import has_content
from acode_tui.storage.sqlite.files.open_unchanged import read_unchanged
from acode_tui.storage.sqlite.migrate import plan
from acode_tui.storage.sqlite.sessions import pages

_SECONDS = 0.25
"""How long it may take, with the wait for a lock: the first frame waits for it."""


class FirstPage(NamedTuple):
    """The page, and how many sessions there are in each state; None where no counter has it."""

    page: SessionPage
    counts: Mapping[SessionState, int] | None


def read_first_page(root: Path, settings: Settings, given: SessionFilter, limit: int) -> FirstPage | None:
    """The first ``limit`` sessions of a filter without a text.

    None where there is nothing to show before the workspace is open: no runs, migrations to apply, an order that the
    search index has to be caught up for, or a file that cannot be read.
    """
    database = settings.persistence.sqlite.resolve(root)
    if given.sort in FIGURES or not has_content(database):
        return None
    try:
        require_own(root)
        require_plain(root)
        return read_unchanged(database, partial(_read, given=given, limit=limit), seconds=_SECONDS)
    except AcodeError:
        return None  # opening the workspace finds the same, and reports it


def _read(connection: sqlite3.Connection, *, given: SessionFilter, limit: int) -> FirstPage | None:
    if plan(connection, packaged("sqlite")).pending:
        return None
    page = pages.read_page(connection, given, limit=limit, after=None, before=None)
    return FirstPage(page, pages.by_state(connection, given)) if page.sessions else None
