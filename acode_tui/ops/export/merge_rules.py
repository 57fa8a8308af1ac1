"""Which version of a row stays when a run is imported that is stored already. Pure."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from acode_tui.domain.codec import content_digest
from acode_tui.domain.entities import Entity, SessionGraph, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.domain.errors import ExportError
from acode_tui.domain.schema import TABLES

N = TypeVar("N", bound=Entity)
S = TypeVar("S", TaskGraph, StepGraph, ToolCallGraph)


class Overwrites(ExportError):
    """A redacted row would replace a stored one."""


def newest_of(given: SessionGraph, stored: SessionGraph) -> SessionGraph:
    """The given run, but with every row of which a later version is stored as it is stored.

    Between equal stamps the larger digest stays, as in the sync: two workspaces that import each other's exports end
    up with the same rows.
    """
    rows = _Rows(stored)
    tasks = tuple(
        msgspec.structs.replace(
            rows.settled(task),
            steps=tuple(
                msgspec.structs.replace(
                    rows.settled(step), tool_calls=tuple(rows.settled(call) for call in step.tool_calls)
                )
                for step in task.steps
            ),
        )
        for task in given.tasks
    )
    return msgspec.structs.replace(rows.settled(given), tasks=tasks)


def unless_it_overwrites(given: SessionGraph, stored: SessionGraph) -> SessionGraph:
    """The given, redacted run. Raises Overwrites where a row of it is stored with other content."""
    rows = _Rows(stored)
    for entity in given.entities():
        there = rows.like(entity)
        if there is not None and content_digest(entity) != content_digest(there):
            raise Overwrites("the run is stored with other content")
    return newest_of(given, stored)


def renumbered(graph: SessionGraph) -> SessionGraph:
    """The run with siblings numbered from 0 without gaps, in their present order.

    Two machines that each add a task to one run give both the same order. Such a run is stored and exported, but would
    not pass validation as it is.
    """
    tasks = _numbered(graph.tasks)
    return msgspec.structs.replace(
        graph,
        tasks=tuple(
            msgspec.structs.replace(
                task,
                steps=tuple(
                    msgspec.structs.replace(step, tool_calls=_numbered(step.tool_calls))
                    for step in _numbered(task.steps)
                ),
            )
            for task in tasks
        ),
    )


def _numbered(siblings: Sequence[S]) -> tuple[S, ...]:
    given = [each.order for each in siblings]
    if given == list(range(len(given))) or min(given) < 0 or max(given) >= 2**63 or given != sorted(given):
        return tuple(siblings)
    return tuple(msgspec.structs.replace(each, order=place) for place, each in enumerate(siblings))


class _Rows:
    """The stored rows, by kind and id."""

    def __init__(self, stored: SessionGraph) -> None:
        self._known = {(entity.kind, entity.id): entity for entity in stored.entities()}

    def like(self, entity: Entity) -> Entity | None:
        """The stored version of a row."""
        return self._known.get((entity.kind, entity.id))

    def settled(self, entity: N) -> N:
        """The row with the columns of the version that stays."""
        there = self.like(entity)
        if there is None or _wins(entity, there):
            return entity
        own = TABLES[entity.kind].entity
        return msgspec.structs.replace(entity, **{name: getattr(there, name) for name in own.__struct_fields__})


def _wins(given: Entity, there: Entity) -> bool:
    if given.updated_at != there.updated_at:
        return given.updated_at > there.updated_at
    return content_digest(given) > content_digest(there)
