"""What an ATIF document becomes."""

import json
from typing import Any

from acode_tui.domain.states import ArtifactType, SessionState, ToolCallState
from acode_tui.ingest.registry import formats
from tests.ingest.builders import calls_of, read, stamp, steps_of


def document(*steps: dict[str, Any], **fields: Any) -> bytes:
    numbered = [{"step_id": index, "timestamp": stamp(index), **step} for index, step in enumerate(steps, 1)]
    agent = {"name": "runner", "version": "2.0", "model_name": "model-a"}
    return json.dumps(
        {"schema_version": "ATIF-v1.7", "session_id": "s-1", "agent": agent, "steps": numbered, **fields}
    ).encode()


def agent(message: str = "", **fields: Any) -> dict[str, Any]:
    return {"source": "agent", "message": message, **fields}


def call(key: str, name: str = "shell") -> dict[str, Any]:
    return {"tool_call_id": key, "function_name": name, "arguments": {"command": "ls"}}


def test_prompts_answers_reasoning_calls_and_usage() -> None:
    data = document(
        {"source": "system", "message": "You are an agent."},
        {"source": "user", "message": "List the files"},
        agent(
            "I list them.",
            reasoning_content="A listing helps.",
            tool_calls=[call("c1")],
            observation={"results": [{"source_call_id": "c1", "content": "a.py"}]},
            metrics={"prompt_tokens": 100, "completion_tokens": 7, "cached_tokens": 60, "cost_usd": 0.25},
        ),
        agent("One file.", metrics={"prompt_tokens": 120, "completion_tokens": 3, "cost_usd": 0.5}),
    )
    parsed = read([data], format="atif", path="/t/run.trajectory.json")
    (graph,) = parsed.graphs
    assert [task.title for task in graph.tasks] == ["List the files"]
    assert [step.name for step in steps_of(graph)] == ["I list them.", "One file."]
    first = steps_of(graph)[0]
    assert {found.type for found in first.artifacts} == {ArtifactType.REASONING, ArtifactType.MODEL_RESPONSE}
    assert first.metadata == {
        "model": "model-a",
        "tokens": {"input": 40, "output": 7, "cacheRead": 60, "cacheWrite": 0},
        "cost": 0.25,
    }
    (made,) = calls_of(graph)
    assert (made.tool_name, made.state, made.artifacts[0].content) == ("shell", ToolCallState.SUCCEEDED, b"a.py")
    assert graph.state is SessionState.COMPLETED
    assert graph.metadata is not None
    assert graph.metadata["tokens"] == {"input": 160, "output": 10, "cacheRead": 60, "cacheWrite": 0}
    assert graph.metadata["cost"] == 0.75


def test_a_result_without_the_id_of_a_call_is_that_of_the_step_s_only_call() -> None:
    """Some harnesses leave the id out."""
    observed = {"results": [{"content": "done"}]}
    data = document({"source": "user", "message": "Go"}, agent(tool_calls=[call("c1")], observation=observed))
    (made,) = calls_of(read([data], format="atif").graphs[0])
    assert made.artifacts[0].content == b"done"


def test_a_result_that_fits_no_call_is_kept_by_its_step() -> None:
    observed = {"results": [{"content": "which?"}]}
    calls = [call("c1"), call("c2")]
    data = document({"source": "user", "message": "Go"}, agent("x", tool_calls=calls, observation=observed))
    (graph,) = read([data], format="atif").graphs
    assert b"which?" in [found.content for found in steps_of(graph)[0].artifacts]
    assert all(made.state is not ToolCallState.SUCCEEDED for made in calls_of(graph))


def test_copied_steps_do_not_count_and_subagents_are_sessions_of_their_own() -> None:
    named = {"source_call_id": "c", "content": "Yes", "subagent_trajectory_ref": [{"trajectory_id": "t-2"}]}
    child = {"trajectory_id": "t-2", "steps": [{"source": "user", "message": "Help"}, agent("Yes")]}
    data = document(
        {"source": "user", "message": "Before", "is_copied_context": True},
        {"source": "user", "message": "Go on"},
        agent("Done", tool_calls=[{"tool_call_id": "c"}], observation={"results": [named]}),
        subagent_trajectories=[child],
    )
    parent, sub = read([data], format="atif").graphs
    assert [task.title for task in parent.tasks] == ["Go on"]
    assert [task.title for task in sub.tasks] == ["Help"]
    assert sub.metadata is not None
    assert sub.metadata["parentSessionId"] == parent.id
    assert [call.result["childSessionId"] for call in calls_of(parent)] == [sub.id]


def test_parts_of_a_message_and_names_of_images_are_kept() -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image", "source": {"media_type": "image/png", "path": "images/a.png"}},
    ]
    (graph,) = read([document({"source": "user", "message": parts}, agent("A cat"))], format="atif").graphs
    (task,) = graph.tasks
    assert task.title == "What is this?"
    assert [(found.type, found.name) for found in task.artifacts][1:] == [(ArtifactType.IMAGE, "images/a.png")]


def test_unknown_sources_are_counted() -> None:
    parsed = read([document({"source": "user", "message": "Go"}, {"source": "oracle"})], format="atif")
    assert parsed.unknown == {"oracle": 1}


def test_the_content_decides() -> None:
    record = json.loads(document(agent("x")))
    assert [found.name for found in formats().values() if found.recognises([record])] == ["atif"]
