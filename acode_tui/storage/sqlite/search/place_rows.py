"""The places of single rows, with what they take from the rows above them."""

import sqlite3

from acode_tui.domain.entities import Artifact, Entity, Step, ToolCall
from acode_tui.domain.search.places import Place, places_of_run
from acode_tui.domain.search.query import Conditions
from acode_tui.domain.states import EntityType
from acode_tui.storage.sqlite import rows


def places_of(connection: sqlite3.Connection, entity: Entity, conditions: Conditions) -> list[Place]:
    """A row's places, with as much of its tool call as the conditions are about. The ids above it may be missing."""
    if isinstance(entity, Artifact) and (conditions.tools or conditions.files or conditions.failed):
        return [place for place in places_of_run(_with_call(connection, entity)) if place.artifact_id is not None]
    return list(places_of_run((entity,)))


def complete_places_of(connection: sqlite3.Connection, entity: Entity) -> list[Place]:
    """A row's places with the ids of every row above it."""
    if isinstance(entity, Artifact):
        return [place for place in places_of_run(_with_call(connection, entity)) if place.artifact_id is not None]
    if isinstance(entity, ToolCall):
        step = rows.fetch(connection, EntityType.STEP, entity.step_id)
        return [place for place in places_of_run(filter(None, (step, entity))) if place.tool_call_id is not None]
    return list(places_of_run((entity,)))


def _with_call(connection: sqlite3.Connection, artifact: Artifact) -> list[Entity]:
    """An artifact behind the step and the tool call that it belongs to."""
    call = artifact.tool_call_id and rows.fetch(connection, EntityType.TOOL_CALL, artifact.tool_call_id)
    if not isinstance(call, ToolCall):
        return [artifact]
    step = rows.fetch(connection, EntityType.STEP, call.step_id)
    return [step, call, artifact] if isinstance(step, Step) else [call, artifact]
