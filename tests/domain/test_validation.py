"""Invalid values are refused with the field's name, and the value is never quoted."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given

from acode_tui.domain.entities import Artifact, SessionEvent, SessionGraph, StepGraph, TaskGraph, ToolCallGraph
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.states import ArtifactType, SessionState, ToolCallState, WorkState
from acode_tui.domain.validation import (
    Limits,
    optional_text,
    require_content,
    require_json,
    require_metadata,
    require_not_before,
    require_order,
    require_text,
    require_uuid,
    validate_graph,
)
from tests.clocks import NOON
from tests.domain.graphs import HOSTILE, graphs

SECRET = "hunter2-never-shown"
LIMITS = Limits(max_artifact_bytes=8, max_metadata_bytes=64)


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = {"a": value} if depth % 2 else [value]
    return value


REFUSALS: list[tuple[str, Any]] = [
    ("title", lambda: require_text("", "title")),
    ("title", lambda: require_text(" \t\n", "title")),
    ("title", lambda: require_text(SECRET * 100, "title", max_chars=1000)),
    ("title", lambda: require_text(SECRET + "\x00", "title")),
    ("title", lambda: require_text(SECRET + "\ud800", "title")),
    ("title", lambda: require_text(SECRET.encode(), "title")),  # type: ignore[arg-type]
    ("user_id", lambda: optional_text(7, "user_id")),  # type: ignore[arg-type]
    ("user_id", lambda: optional_text(SECRET + "\udfff", "user_id")),
    ("result", lambda: require_json({SECRET: float("nan")}, "result")),
    ("result", lambda: require_json([SECRET, float("inf")], "result")),
    ("result", lambda: require_json({1: SECRET}, "result")),
    ("result", lambda: require_json([10**5_000], "result")),
    ("result", lambda: require_json({"a": -(10**4_299)}, "result")),
    ("result", lambda: require_json({SECRET + "\x00": 1}, "result")),
    ("result", lambda: require_json([{SECRET: "\ud800"}], "result")),
    ("result", lambda: require_json({SECRET}, "result")),
    ("result", lambda: require_json(SECRET.encode(), "result")),
    ("result", lambda: require_json(_nested(101), "result")),
    ("metadata", lambda: require_metadata([SECRET], "metadata", LIMITS)),
    ("metadata", lambda: require_metadata({"a": _nested(10)}, "metadata", LIMITS)),
    ("metadata", lambda: require_metadata({SECRET: SECRET * 4}, "metadata", LIMITS)),
    ("content", lambda: require_content(SECRET, "content", LIMITS)),  # type: ignore[arg-type]
    ("content", lambda: require_content(SECRET.encode(), "content", LIMITS)),
    ("id", lambda: require_uuid(SECRET, "id")),
    ("id", lambda: require_uuid(None, "id")),  # type: ignore[arg-type]
    ("order", lambda: require_order(-1, "order")),
    ("completed_at", lambda: require_not_before(NOON, NOON + timedelta(seconds=1), "completed_at", "created_at")),
    ("completed_at", lambda: require_not_before(datetime(2026, 1, 1), NOON, "completed_at", "x")),
]


@pytest.mark.parametrize(("field", "refused"), REFUSALS, ids=[f"{n}-{r[0]}" for n, r in enumerate(REFUSALS)])
def test_the_error_names_the_field_and_never_quotes_the_value(field: str, refused: Any) -> None:
    with pytest.raises(ValidationError) as error:
        refused()
    assert error.value.field == field
    assert str(error.value).startswith(f"ACODE-VALIDATION-001: {field}: ")
    assert SECRET not in f"{error.value} {error.value.hint}"


def test_the_error_about_a_size_gives_the_size_and_the_limit() -> None:
    with pytest.raises(ValidationError, match=r"has 1,001 characters; at most 1,000"):
        require_text("x" * 1001, "title", max_chars=1000)
    with pytest.raises(ValidationError, match=r"is 9 bytes; at most 8"):
        require_content(b"x" * 9, "content", LIMITS)


def test_values_at_the_limits_are_accepted() -> None:
    assert require_text("x" * 1000, "title", max_chars=1000)
    assert require_content(b"x" * 8, "content", LIMITS)
    assert require_metadata({"a": "x" * 56}, "metadata", LIMITS)
    require_json(_nested(100), "result")
    require_metadata({"a": _nested(9)}, "metadata", Limits())
    require_not_before(NOON, NOON, "updated_at", "created_at")


@pytest.mark.ac("AC-059")
@pytest.mark.parametrize("text", [*HOSTILE, "Update references; drop table", "SELECT 1 -- fine"])
def test_no_keyword_is_refused(text: str) -> None:
    assert require_text(text, "task_description") == text


def test_limits_of_the_reference() -> None:
    assert Limits() == Limits(max_artifact_bytes=10 * 1024 * 1024, max_metadata_bytes=64 * 1024)


@given(graphs())
def test_well_formed_runs_are_accepted(graph: SessionGraph) -> None:
    validate_graph(graph, Limits())


def _run(**changes: Any) -> SessionGraph:
    """A small valid run with ``changes`` to the entity that each name begins with: ``call__state="x"``."""
    parts: dict[str, dict[str, Any]] = {name: {} for name in ("session", "event", "task", "step", "call", "artifact")}
    for name, value in changes.items():
        kind, _, field = name.partition("__")
        parts[kind][field] = value
    ids = [f"0190d6a1-0000-7000-8000-00000000000{n}" for n in range(6)]
    times = {"created_at": NOON, "updated_at": NOON}
    artifact = Artifact(
        **{
            "id": ids[4],
            "session_id": ids[0],
            "task_id": ids[1],
            "step_id": ids[2],
            "tool_call_id": ids[3],
            "type": ArtifactType.FILE_CONTENT,
            "name": "login.ts",
            "content": b"",
            "content_hash": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "content_type": "text/plain",
            "size": 0,
            **times,
            **parts["artifact"],
        }
    )
    call = ToolCallGraph(
        **{
            "id": ids[3],
            "session_id": ids[0],
            "step_id": ids[2],
            "tool_name": "read_file",
            "parameters": {},
            "state": ToolCallState.PENDING,
            "order": 0,
            "artifacts": (artifact,),
            **times,
            **parts["call"],
        }
    )
    step = StepGraph(
        **{
            "id": ids[2],
            "session_id": ids[0],
            "task_id": ids[1],
            "name": "Read",
            "state": WorkState.PENDING,
            "order": 0,
            "tool_calls": (call,),
            **times,
            **parts["step"],
        }
    )
    task = TaskGraph(
        **{
            "id": ids[1],
            "session_id": ids[0],
            "title": "Analyse",
            "state": WorkState.PENDING,
            "order": 0,
            "steps": (step,),
            **times,
            **parts["task"],
        }
    )
    event = SessionEvent(
        **{
            "id": ids[5],
            "session_id": ids[0],
            "from_state": SessionState.CREATED,
            "to_state": SessionState.PLANNING,
            "reason": "",
            "timestamp": NOON,
            **times,
            **parts["event"],
        }
    )
    return SessionGraph(
        **{
            "id": ids[0],
            "task_description": "Add input validation",
            "state": SessionState.CREATED,
            "workspace_id": ids[5],
            "tasks": (task,),
            "events": (event,),
            **times,
            **parts["session"],
        }
    )


LATER = NOON + timedelta(seconds=1)
OTHER = "0190d6a1-0000-7000-8000-0000000000ff"
BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("workspace_id", {"session__workspace_id": SECRET}),
    ("task_description", {"session__task_description": "x" * 1001}),
    ("task_description", {"session__task_description": SECRET + "\x00"}),
    ("metadata", {"session__metadata": [SECRET]}),
    ("user_id", {"session__user_id": SECRET + "\ud800"}),
    ("session.id", {"session__id": SECRET}),
    ("session_task.id", {"task__id": OTHER.upper()}),
    ("session_task.session_id", {"task__session_id": OTHER}),
    ("step.id", {"step__id": "0190d6a1-0000-7000-8000-000000000001"}),
    ("updated_at", {"session__created_at": LATER}),
    ("updated_at", {"session__updated_at": None}),
    ("updated_at", {"session__updated_at": "2026-01-05T12:00:00Z"}),
    ("updated_at", {"session__updated_at": datetime.max.replace(tzinfo=UTC)}),
    ("created_at", {"session__created_at": None}),
    ("completed_at", {"call__completed_at": datetime.max.replace(tzinfo=UTC)}),
    ("reason", {"event__reason": None}),
    ("timestamp", {"event__timestamp": None}),
    ("timestamp", {"event__timestamp": datetime(2026, 1, 5)}),
    ("state", {"session__state": SECRET}),
    ("state", {"task__state": SECRET}),
    ("state", {"step__state": SessionState.EXECUTING}),
    ("state", {"call__state": WorkState.SKIPPED}),
    ("type", {"artifact__type": SECRET}),
    ("title", {"task__title": " "}),
    ("description", {"task__description": 7}),
    ("metadata", {"task__metadata": SECRET}),
    ("name", {"step__name": SECRET + "\x00"}),
    ("task_id", {"step__task_id": OTHER}),
    ("order", {"task__order": 1}),
    ("order", {"step__order": -1}),
    ("order", {"call__order": "0"}),
    ("step_id", {"call__step_id": OTHER}),
    ("tool_name", {"call__tool_name": ""}),
    ("parameters", {"call__parameters": {SECRET}}),
    ("result", {"call__result": float("nan")}),
    ("error_message", {"call__error_message": "\x00"}),
    ("completed_at", {"call__completed_at": NOON - timedelta(microseconds=1)}),
    ("tool_call_id", {"artifact__tool_call_id": OTHER}),
    ("tool_call_id", {"artifact__tool_call_id": None}),
    ("step_id", {"artifact__step_id": OTHER}),
    ("step_id", {"artifact__step_id": None}),
    ("task_id", {"artifact__task_id": OTHER}),
    ("name", {"artifact__name": ""}),
    ("size", {"artifact__size": 1}),
    ("size", {"artifact__size": -1, "artifact__content": None}),
    ("content_hash", {"artifact__content_hash": "sha256:" + "0" * 64}),
    ("content_hash", {"artifact__content_hash": SECRET, "artifact__content": None}),
    ("content_type", {"artifact__content_type": "\x00"}),
]


def test_the_unchanged_run_is_valid() -> None:
    validate_graph(_run(), Limits())


@pytest.mark.parametrize(
    ("field", "changes"), BROKEN, ids=[f"{n}-{'-'.join(changes)}" for n, (_, changes) in enumerate(BROKEN)]
)
def test_an_invalid_run_is_refused_with_the_name_of_the_first_bad_field(field: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        validate_graph(_run(**changes), Limits())
    assert refused.value.field == field
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("holder", ["task", "step"])
def test_an_artifact_names_the_row_that_holds_it_and_those_above_it_only(holder: str) -> None:
    (task,) = _run().tasks
    (artifact,) = task.steps[0].tool_calls[0].artifacts
    own = msgspec.structs.replace(artifact, id=OTHER, tool_call_id=None)
    if holder == "task":
        own = msgspec.structs.replace(own, step_id=None)
    for field in (None, "task_id", "step_id", "tool_call_id"):
        held = own if field is None else msgspec.structs.replace(own, **{field: OTHER})
        run = _run(**{f"{holder}__artifacts": (held,)})
        if field is None:
            validate_graph(run, Limits())
            continue
        with pytest.raises(ValidationError) as refused:
            validate_graph(run, Limits())
        assert refused.value.field == field


def test_states_may_be_given_by_name() -> None:
    validate_graph(_run(session__state="Executing", call__state="Failed"), Limits())


def test_siblings_with_a_gap_in_their_order_are_refused() -> None:
    run = _run()
    second = msgspec.structs.replace(run.tasks[0], id=OTHER, steps=(), order=2)
    with pytest.raises(ValidationError, match="without gaps"):
        validate_graph(msgspec.structs.replace(run, tasks=(*run.tasks, second)), Limits())
