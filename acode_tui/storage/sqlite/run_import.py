"""Bringing a run from elsewhere in beside what is stored, decided inside the transaction that writes it."""

import sqlite3
from collections.abc import Callable

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.errors import NotFoundError
from acode_tui.storage.ports import SaveResult
from acode_tui.storage.sqlite.runs.reader import read_graph
from acode_tui.storage.sqlite.runs.save_graph import save_graph
from acode_tui.storage.sqlite.writer import Writer

Choose = Callable[[SessionGraph, SessionGraph], SessionGraph]
"""Given the run and the stored one: what is to be stored. What it raises undoes everything."""


class SqliteRunImport:
    """``RunImport`` over the workspace file."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def bring_in(self, graph: SessionGraph, choose: Choose, *, dry_run: bool = False) -> SaveResult:
        """Save the run, or what ``choose`` makes of it and the stored one. A dry run is undone again."""

        def unit(connection: sqlite3.Connection) -> SaveResult:
            try:
                wanted = choose(graph, read_graph(connection, graph.id))
            except NotFoundError:
                wanted = graph
            result = save_graph(connection, wanted, self._writer.clock)
            if dry_run:
                raise _Undone(result)
            return result

        try:
            return await self._writer.run(unit)
        except _Undone as undone:
            return undone.result


class _Undone(Exception):
    """Carries a result out of a unit that is to leave nothing behind."""

    def __init__(self, result: SaveResult) -> None:
        super().__init__()
        self.result = result
