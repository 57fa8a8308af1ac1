"""JSON of entities and whole runs: camelCase, every field present, fixed-width times, decoded without loss."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given

from acode_tui.domain.codec import (
    canonical_digest,
    content_digest,
    decode_json,
    decode_payload,
    digest,
    encode_json,
    encode_payload,
)
from acode_tui.domain.entities import Entity, SessionGraph
from acode_tui.domain.schema import TABLES, parent_of
from acode_tui.domain.states import EntityType
from tests.domain.graphs import graphs, strip_children
from tests.storage.runs import make_run, plain

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
TIMES = {"createdAt", "updatedAt", "timestamp", "completedAt"}

FIELDS = {
    "session": "id taskDescription state createdAt updatedAt metadata userId workspaceId syncVersion tasks events",
    "session_event": "id sessionId fromState toState reason timestamp createdAt updatedAt",
    "session_task": "id sessionId title description state order createdAt updatedAt metadata syncVersion "
    "artifacts steps",
    "step": "id sessionId taskId name description state order createdAt updatedAt metadata syncVersion "
    "artifacts toolCalls",
    "tool_call": "id sessionId stepId toolName parameters state order createdAt updatedAt completedAt result "
    "errorMessage syncVersion artifacts",
    "artifact": "id sessionId taskId stepId toolCallId type name contentHash contentType size createdAt updatedAt "
    "content",
}
"""The fields of every JSON object by kind: the contract, repeated here independently of the code."""

CHILDREN = {
    "session": {"events": "session_event", "tasks": "session_task"},
    "session_task": {"artifacts": "artifact", "steps": "step"},
    "step": {"artifacts": "artifact", "toolCalls": "tool_call"},
    "tool_call": {"artifacts": "artifact"},
}
"""The lists of an object that hold others, each with their kind."""


def _nodes(kind: str, node: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    found = [(kind, node)]
    for name, below in CHILDREN.get(kind, {}).items():
        for child in node[name]:
            found += _nodes(below, child)
    return found


@given(graphs())
def test_a_whole_run_is_decoded_without_loss(graph: SessionGraph) -> None:
    encoded = encode_json(graph)
    decoded = decode_json(encoded, SessionGraph)
    assert encode_json(decoded) == encoded
    rows = zip(graph.entities(), decoded.entities(), strict=True)
    for before, after in rows:
        assert type(before) is type(after)
        for field in before.__struct_fields__:
            assert getattr(before, field) == getattr(after, field), field


@given(graphs())
def test_every_field_is_present_and_named_in_camel_case(graph: SessionGraph) -> None:
    for kind, node in _nodes("session", msgspec.json.decode(encode_json(graph))):
        assert set(node) == set(FIELDS[kind].split())


@given(graphs())
def test_every_time_has_the_same_width(graph: SessionGraph) -> None:
    for _, node in _nodes("session", msgspec.json.decode(encode_json(graph))):
        for name in TIMES & set(node):
            assert node[name] is None or STAMP.fullmatch(node[name])


@given(graphs())
def test_fields_of_a_newer_program_are_ignored(graph: SessionGraph) -> None:
    plain = msgspec.json.decode(encode_json(graph))
    for _, node in _nodes("session", plain):
        node["inventedLater"] = {"deep": [1, 2]}
    decoded = decode_json(msgspec.json.encode(plain), SessionGraph)
    assert encode_json(decoded) == encode_json(graph)


@pytest.mark.ac("AC-032")
@given(graphs())
def test_a_payload_rebuilds_its_row_except_an_artifacts_content(graph: SessionGraph) -> None:
    for entity in strip_children(graph.entities()):
        rebuilt = decode_payload(entity.kind, encode_payload(entity))
        for column in TABLES[entity.kind].columns:
            expected = None if column.kind == "bytes" else getattr(entity, column.name)
            assert getattr(rebuilt, column.name) == expected


@given(graphs())
def test_the_canonical_digest_does_not_depend_on_the_order_of_keys(graph: SessionGraph) -> None:
    def reordered(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: reordered(item) for key, item in reversed(value.items())}
        return [reordered(item) for item in value] if isinstance(value, list) else value

    plain = msgspec.json.decode(encode_json(graph))
    other = decode_json(msgspec.json.encode(reordered(plain)), SessionGraph)
    for entity, same in zip(graph.entities(), other.entities(), strict=True):
        assert canonical_digest(entity) == canonical_digest(same)


@given(graphs())
def test_stripping_children_leaves_rows_with_their_own_columns(graph: SessionGraph) -> None:
    rows = strip_children(graph.entities())
    assert [row.id for row in rows] == [entity.id for entity in graph.entities()]
    assert all(type(row) is TABLES[row.kind].entity for row in rows)


@given(graphs())
def test_a_run_lists_every_parent_before_its_children(graph: SessionGraph) -> None:
    seen: set[tuple[EntityType, str]] = set()
    for entity in graph.entities():
        parent = parent_of(entity)
        assert parent in seen or (entity is graph and parent is None)
        seen.add((entity.kind, entity.id))


@given(graphs())
def test_an_entity_s_parent_is_the_row_that_holds_it(graph: SessionGraph) -> None:
    def check(node: Entity, children: Iterable[Entity]) -> None:
        for child in children:
            assert parent_of(child) == (node.kind, node.id)

    check(graph, (*graph.tasks, *graph.events))
    for task in graph.tasks:
        check(task, (*task.artifacts, *task.steps))
        for step in task.steps:
            check(step, (*step.artifacts, *step.tool_calls))
            for call in step.tool_calls:
                check(call, call.artifacts)


def test_the_schema_lists_exactly_the_contracts_columns() -> None:
    for kind, table in TABLES.items():
        own = set(FIELDS[kind.value].split()) - {"tasks", "events", "steps", "toolCalls", "artifacts"}
        assert {column.json for column in table.columns} == own
        assert set(table.column_names) == set(table.entity.__struct_fields__)
        assert table.mutable == ("syncVersion" in own)
    assert list(TABLES) == list(EntityType)


def test_equality_and_hash_are_by_kind_and_id() -> None:
    first, second = _event(), _event(reason="other")
    assert first == second
    assert hash(first) == hash(second)
    assert first != _event(id="0190d6a1-0000-7000-8000-00000000000b")
    assert first != "a string"


def test_entities_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        _event().reason = "changed"  # type: ignore[attr-defined]


def test_a_digest_names_its_algorithm() -> None:
    assert digest(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def _event(**changes: str) -> Entity:
    fields = {
        "id": "0190d6a1-0000-7000-8000-00000000000a",
        "sessionId": "0190d6a1-0000-7000-8000-000000000001",
        "fromState": "Created",
        "toState": "Planning",
        "reason": "start",
        "timestamp": "2026-01-05T18:23:45.123456Z",
        "createdAt": "2026-01-05T18:23:45.123456Z",
        "updatedAt": "2026-01-05T18:23:45.123456Z",
        **changes,
    }
    return decode_payload(EntityType.SESSION_EVENT, msgspec.json.encode(fields))


@pytest.mark.parametrize(
    "moment", ["2026-01-05T18:23:45.123456Z", "2026-01-05T18:23:45Z", "2026-01-05T19:23:45.5+01:00"]
)
def test_the_digest_of_content_is_the_canonical_one(moment: str) -> None:
    at = datetime.fromisoformat(moment)
    for entity in plain(make_run("0190d6a1-0000-7000-8000-000000000001")):
        row = msgspec.structs.replace(entity, created_at=at)
        expected = canonical_digest(row, without=("updatedAt", "syncVersion", "workspaceId"))
        assert content_digest(row) == expected
