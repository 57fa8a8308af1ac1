"""What a SWE-agent trajectory becomes."""

import json
from typing import Any

import pytest

from acode_tui.domain.states import ArtifactType, SessionState, ToolCallState
from tests.ingest.builders import calls_of, read, steps_of

HISTORY = [
    {"role": "system", "content": "You work in a shell."},
    {"role": "user", "content": "How others did it", "is_demo": True},
    {"role": "user", "content": "The parser drops the last line"},
]


def turn(action: str, observation: str = "ok", **fields: Any) -> dict[str, Any]:
    return {"thought": f"Now {action}", "response": "r", "action": action, "observation": observation, **fields}


def document(*turns: dict[str, Any], history: Any = HISTORY, **info: Any) -> bytes:
    return json.dumps({"environment": "main", "trajectory": list(turns), "history": history, "info": info}).encode()


def run(data: bytes, path: str = "/t/parser-7.traj") -> Any:
    (graph,) = read([data], format="swe-agent", path=path).graphs
    return graph


def test_the_problem_is_the_task_and_each_turn_a_step_with_its_command() -> None:
    graph = run(document(turn("open parser.py", "code"), turn("python -m pytest", "1 failed")))
    assert [task.title for task in graph.tasks] == ["The parser drops the last line"]
    assert [step.name for step in steps_of(graph)] == ["Now open parser.py", "Now python -m pytest"]
    assert [(call.tool_name, call.artifacts[0].type) for call in calls_of(graph)] == [
        ("open", ArtifactType.FILE_CONTENT),
        ("bash", ArtifactType.COMMAND_OUTPUT),
    ]


def test_times_follow_from_how_long_the_commands_took() -> None:
    graph = run(document(turn("ls", execution_time=2.5), turn("ls", execution_time=0.5), turn("ls")))
    starts = [step.created_at.timestamp() for step in steps_of(graph)]
    assert starts == [0.0, 2.5, 3.0]
    ended = calls_of(graph)[0].completed_at
    assert ended is not None
    assert ended.timestamp() == 2.5


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("submitted", SessionState.COMPLETED),
        ("submitted (exit_cost)", SessionState.COMPLETED),
        ("exit_cost", SessionState.FAILED),
        ("early_exit", SessionState.FAILED),
    ],
)
def test_the_exit_status_decides_how_the_session_ended(status: str, state: SessionState) -> None:
    assert run(document(turn("submit"), exit_status=status)).state is state


def test_the_submission_is_a_diff_and_the_totals_are_the_session_s() -> None:
    stats = {"tokens_sent": 900, "tokens_received": 40, "instance_cost": 0.5}
    graph = run(document(turn("submit"), exit_status="submitted", submission="--- a\n+++ a\n", model_stats=stats))
    found = steps_of(graph)[0].artifacts[-1]
    assert (found.type, found.content) == (ArtifactType.FILE_DIFF, b"--- a\n+++ a\n")
    assert graph.metadata["tokens"] == {"input": 900, "output": 40, "cacheRead": 0, "cacheWrite": 0}
    assert graph.metadata["cost"] == 0.5


def test_a_command_that_timed_out_has_failed() -> None:
    (call,) = calls_of(run(document(turn("make", "EXECUTION TIMED OUT after 30 s"))))
    assert call.state is ToolCallState.FAILED


def test_a_demonstration_has_a_history_alone() -> None:
    function = {"name": "find_file", "arguments": json.dumps({"file_name": "a.py"})}
    history = [
        *HISTORY,
        {"role": "assistant", "content": "I look", "action": "find_file a.py", "tool_calls": [{"function": function}]},
        {"role": "tool", "content": "Found 1"},
    ]
    graph = run(json.dumps({"history": history}).encode())
    (call,) = calls_of(graph)
    assert (call.tool_name, call.parameters["file_name"]) == ("find_file", "a.py")
    assert call.artifacts[0].content == b"Found 1"


def test_two_attempts_at_a_problem_are_two_sessions_and_a_longer_one_is_the_same() -> None:
    one, other = run(document(turn("ls"))), run(document(turn("pwd")))
    assert one.id != other.id
    assert run(document(turn("ls"), turn("pwd"))).id == one.id
