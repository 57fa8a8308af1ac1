"""A run as the rows that will be stored, made before anybody waits for the lock, if need be in another process.

It is made of plain lists, strings, numbers and bytes alone, so that any encoding carries it from one process to
another. What only the transaction knows, stamps of this moment and what is stored already, is left to ``graph_save``.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.schema import TABLES
from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite.entity_writes import payload_of
from acode_tui.storage.sqlite.rows import Row, to_row

PreparedRun: TypeAlias = Sequence[Any]
"""For each kind in the order of ``TABLES``: its rows as ``rows.to_row`` makes them, and their payloads or none."""


class PreparedRows(NamedTuple):
    """One kind's rows in the graph's order, and each one's payload; ``payloads`` is empty where none were made."""

    kind: EntityType
    rows: Sequence[Row]
    payloads: Sequence[str]

    def planned(self) -> Iterator[tuple[Row, str | None]]:
        """Each row with its payload, or None where that is still to be made."""
        if self.payloads:
            return zip(self.rows, self.payloads, strict=True)
        return ((row, None) for row in self.rows)


def prepare_run(graph: SessionGraph, new: bool) -> PreparedRun:
    """``new``: the session is likely not stored yet, so that every row's payload will be wanted.

    Raises ValidationError where a text holds what the team's database never could.
    """
    made: dict[EntityType, list[Row]] = {kind: [] for kind in TABLES}
    for entity in graph.entities():
        made[entity.kind].append(to_row(entity))
    return [(found, [payload_of(kind, row) for row in found] if new else []) for kind, found in made.items()]


def tables(run: PreparedRun) -> list[PreparedRows]:
    """The run's parts, kind by kind, parents before children."""
    return [PreparedRows(kind, found, payloads) for kind, (found, payloads) in zip(TABLES, run, strict=True)]


def session_id(run: PreparedRun) -> str:
    """The id of the run's session."""
    return str(run[0][0][0][0])
