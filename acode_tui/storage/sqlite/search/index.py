"""The search index of one workspace file: catching up, rebuilding, comparison with the rows."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from time import perf_counter

from acode_tui.domain.errors import IntegrityError
from acode_tui.domain.progress import Progress, ReportProgress, progress_after
from acode_tui.storage.ports import IndexSize, PriceRow
from acode_tui.storage.sqlite.connection import FunctionConnection, SqliteConnectionFactory
from acode_tui.storage.sqlite.errors import translated
from acode_tui.storage.sqlite.figures.changes import update_figures
from acode_tui.storage.sqlite.figures.prices import is_priced, price_some, store_prices
from acode_tui.storage.sqlite.fts5 import has_fts5, require_fts5
from acode_tui.storage.sqlite.readers import Readers
from acode_tui.storage.sqlite.search.catch_up import read_batch, write_batch
from acode_tui.storage.sqlite.search.check import differences
from acode_tui.storage.sqlite.search.faults import index_faults, require_index
from acode_tui.storage.sqlite.search.marks import count_indexed, count_rows, fits, has_words, is_behind, read_marks
from acode_tui.storage.sqlite.search.schema import recreate
from acode_tui.storage.sqlite.search.tables import DERIVED_TABLES, is_derived

_WHAT = "the search index could not be brought up to date"


class SqliteSearchIndex:
    """``SearchIndex`` over the workspace file. It writes on a connection of its own, which is open only meanwhile."""

    def __init__(self, connections: SqliteConnectionFactory, readers: Readers) -> None:
        self._connections = connections
        self._readers = readers
        self._turn = asyncio.Lock()

    async def catch_up(self, on_progress: ReportProgress | None = None) -> None:
        """Index and count everything that is committed now. Another process may do so at the same time.

        Raises IntegrityError where the index is missing or damaged; DiskFullError and TransactionError where it cannot
        be written.
        """
        if not await self._is_behind():
            return
        started = perf_counter()
        async with self._turn, self._connection() as connection:
            while await connection.run(step):
                if on_progress is not None:
                    done, total = await connection.run(_progress)
                    on_progress(progress_after(perf_counter() - started, done, total, "rows"))

    async def price(self, models: Collection[str], prices: Collection[PriceRow]) -> None:
        """Store the prices of these models, and price every session by them where that was not done yet.

        A model without a row has no known price. Raises as ``catch_up``.
        """

        def read(connection: sqlite3.Connection) -> bool:
            with index_faults():
                return is_priced(connection, models, prices)

        if await self._readers.run(read):
            return
        async with self._turn, self._connection() as connection:
            await connection.run(lambda raw: store_prices(raw, models, prices))
            while await connection.run(price_some):
                pass

    async def rebuild(self, on_progress: ReportProgress | None = None) -> IndexSize:
        """Rebuild the index from the rows. The next search completes a rebuild that was interrupted."""
        require_fts5()
        started = perf_counter()
        async with self._turn, self._connection() as connection:
            await connection.run(recreate)
            total = await connection.run(count_rows)
            while await connection.run(step):
                if on_progress is not None:
                    done = await connection.run(count_indexed)
                    on_progress(progress_after(perf_counter() - started, done, total, "rows"))
            while await connection.run(merge):
                if on_progress is not None:
                    on_progress(Progress(total, total, "rows"))
            entries, size = await connection.run(_size)
        return IndexSize(entries=entries, bytes=size, duration_seconds=perf_counter() - started)

    async def check(self, *, deep: bool = False) -> tuple[str, ...]:
        """A sentence for each difference between the index and the rows that it covers."""
        return await self._readers.run(lambda connection: differences(connection, deep=deep))

    async def _is_behind(self) -> bool:
        def read(connection: sqlite3.Connection) -> bool:
            with index_faults():
                require_index(connection)
                return not _is_left_alone(connection) and is_behind(connection)

        return await self._readers.run(read)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[FunctionConnection]:
        with translated(_WHAT), index_faults():
            connection = await self._connections.open_indexer()
            try:
                yield connection
            finally:
                await connection.close()


def _is_left_alone(connection: sqlite3.Connection) -> bool:
    """Whether the index has words that this process cannot write: then it is left to one that can."""
    return not has_fts5() and has_words(connection)


def step(connection: sqlite3.Connection) -> bool:
    """Index one batch, or where all is indexed count one; or make way for a new index. Whether there may be more."""
    marks = read_marks(connection)
    if marks is None or not fits(connection, marks):
        # Rows were renumbered, or the words are of another form: nothing in the index can be relied on.
        recreate(connection)
        return True
    batch = read_batch(connection)
    if batch is None:
        return update_figures(connection)
    write_batch(connection, batch)
    return True


STALE_SHARE = 5
"""The index is made anew by a vacuum where one document in so many is stale: all their words are looked up in texts."""

_MERGE_PAGES = 1_000


def merge(connection: sqlite3.Connection) -> bool:
    """Merge a bounded part of FTS5's segments; returns whether there is more to merge."""
    before = connection.total_changes
    connection.execute("INSERT INTO search_index (search_index, rank) VALUES ('merge', ?)", (_MERGE_PAGES,))
    # FTS5's own rule: a merge that changes less than two rows had nothing to do.
    return connection.total_changes - before >= 2


def tidy(connection: sqlite3.Connection) -> None:
    """Make the index as small as it can be; part of a vacuum. A fault of the index is left to ``db search rebuild``."""
    if not has_fts5():
        return
    with suppress(IntegrityError), index_faults():
        every, stale = connection.execute("SELECT count(*), coalesce(sum(stale), 0) FROM search_documents").fetchone()
        if stale * STALE_SHARE > every:
            recreate(connection)
            while step(connection):
                pass
        connection.execute("INSERT INTO search_index (search_index) VALUES ('optimize')")


def renew(connection: sqlite3.Connection) -> None:
    """Rebuild the index where its rows were renumbered: SQLite does not promise to keep rowids in a vacuum."""
    with suppress(IntegrityError), index_faults():
        if _is_left_alone(connection):
            return
        marks = read_marks(connection)
        if marks is None or not fits(connection, marks):
            while step(connection):
                pass


def _progress(connection: sqlite3.Connection) -> tuple[int, int]:
    """How many rows are indexed and sessions counted, and how many there are."""
    sessions, marked = connection.execute(
        "SELECT (SELECT max(rowid) FROM sessions), (SELECT count(*) FROM figures_changes)"
    ).fetchone()
    return count_indexed(connection) + (sessions or 0) - marked, count_rows(connection) + (sessions or 0)


def _size(connection: sqlite3.Connection) -> tuple[int, int]:
    """How many documents the index has, and its size in bytes."""
    (entries,) = connection.execute("SELECT count(*) FROM search_documents").fetchone()
    return int(entries), index_bytes(connection)


def index_bytes(connection: sqlite3.Connection) -> int:
    """The bytes of the pages that the index takes, its own indexes included."""
    try:
        found = connection.execute("SELECT name, pgsize FROM dbstat WHERE aggregate = 1").fetchall()
        return sum(int(size) for name, size in found if name in DERIVED_TABLES or is_derived(name))
    except sqlite3.OperationalError:
        # This SQLite was built without dbstat: the words alone, which are nearly all of it.
        return int(connection.execute("SELECT coalesce(sum(length(block)), 0) FROM search_index_data").fetchone()[0])
