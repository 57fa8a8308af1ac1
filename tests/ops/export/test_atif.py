"""A run as an ATIF trajectory: another tool can read it, and an import gives the same run back."""

import json
from pathlib import Path
from typing import Any

import pytest

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.states import ArtifactType, SessionState, StepState, TaskState
from acode_tui.ingest import discover, import_transcripts
from acode_tui.ops.export.export import ExportRequest
from acode_tui.storage.ports import SessionFilter
from acode_tui.workspace import Workspace, open_workspace
from tests.conftest import PLAIN_SETTINGS

TOKENS = {"input": 10, "output": 5, "cacheRead": 3, "cacheWrite": 2}


async def record(workspace: Workspace) -> str:
    store = workspace.store
    metadata = {"source": "codex", "agentVersion": "0.150.0", "models": ["gpt-5"]}
    session = await store.create_session("Repair the login", metadata=metadata)
    await store.transition_session(session.id, SessionState.PLANNING)
    task = await store.add_task(session.id, "Repair the login", started=True)
    await store.transition_session(session.id, SessionState.EXECUTING)
    await store.add_artifact(
        task.id, ArtifactType.USER_PROMPT, "prompt", "Repair the login, é".encode(), "text/markdown"
    )
    step = await store.add_step(
        task.id, "Try", started=True, metadata={"model": "gpt-5", "tokens": TOKENS, "cost": 0.25}
    )
    await store.add_artifact(step.id, ArtifactType.REASONING, "reasoning", b"It is the server.", "text/markdown")
    await store.add_artifact(step.id, ArtifactType.MODEL_RESPONSE, "answer", b"I look.", "text/markdown")
    read = await store.add_tool_call(step.id, "read", {"path": "login.py"}, started=True)
    await store.add_artifact(read.id, ArtifactType.FILE_CONTENT, "login.py", b"print(1)\n", "text/x-python")
    await store.complete_tool_call(read.id)
    failed = await store.add_tool_call(step.id, "Bash", {"command": "curl"}, started=True)
    await store.fail_tool_call(failed.id, "exit code 7")
    stopped = await store.add_tool_call(step.id, "Bash", {"command": "sleep"}, started=True)
    await store.cancel_tool_call(stopped.id, "stopped")
    await store.transition_step(step.id, StepState.SKIPPED)
    last = await store.add_step(task.id, "Answer", started=True)
    await store.add_artifact(last.id, ArtifactType.MODEL_RESPONSE, "answer", b"The server is down.", "text/markdown")
    await store.transition_step(last.id, StepState.COMPLETED)
    await store.transition_task(task.id, TaskState.COMPLETED)
    await store.transition_session(session.id, SessionState.COMPLETED)
    return session.id


async def facts(workspace: Workspace, graph: SessionGraph) -> list[Any]:
    """What a run says, without ids and times."""
    said: list[Any] = []

    async def add(holder: Any) -> None:
        for artifact in holder.artifacts:
            content = await workspace.store.get_artifact_content(artifact.id)
            said.append((artifact.type.value, content))

    for task in graph.tasks:
        await add(task)
        for step in task.steps:
            await add(step)
            kept = step.metadata or {}
            said.append((kept.get("tokens"), kept.get("cost")))
            for call in step.tool_calls:
                said.append((call.tool_name, call.parameters, call.state.value, call.error_message))
                await add(call)
    return said


@pytest.fixture
async def workspace(tmp_path: Path) -> Any:
    async with open_workspace(tmp_path / "a", settings=PLAIN_SETTINGS) as workspace:
        yield workspace


async def test_an_exported_run_is_imported_as_it_was(workspace: Workspace, tmp_path: Path) -> None:
    session_id = await record(workspace)
    path = tmp_path / "run.atif.json"
    await workspace.export(ExportRequest(format="atif", path=path, sessions=(session_id,), redact=False))
    document = json.loads(path.read_text())
    assert [step["source"] for step in document["steps"]] == ["user", "agent", "agent"]
    assert [step["step_id"] for step in document["steps"]] == [1, 2, 3]
    assert document["schema_version"] == "ATIF-v1.7"
    assert document["agent"] == {"name": "codex", "version": "0.150.0", "model_name": "gpt-5"}
    assert document["steps"][1]["metrics"]["prompt_tokens"] == 15
    assert document["final_metrics"] == {
        "total_prompt_tokens": 15,
        "total_completion_tokens": 5,
        "total_cached_tokens": 3,
        "total_steps": 3,
        "total_cost_usd": 0.25,
    }
    calls = {call["tool_call_id"] for call in document["steps"][1]["tool_calls"]}
    assert {result["source_call_id"] for result in document["steps"][1]["observation"]["results"]} <= calls

    async with open_workspace(tmp_path / "b", settings=PLAIN_SETTINGS) as other:
        found_files = await discover([path])
        await import_transcripts(other.transcripts, found_files, workspace_id=other.workspace_id)
        [found] = await other.store.list(SessionFilter(), limit=5)
        back = await other.store.get_with_hierarchy(found.id)
        first = await facts(workspace, await workspace.store.get_with_hierarchy(session_id))
        assert await facts(other, back) == first
        assert back.state is SessionState.COMPLETED


async def test_what_is_no_text_is_named(workspace: Workspace, tmp_path: Path) -> None:
    store = workspace.store
    session = await store.create_session("Picture")
    task = await store.add_task(session.id, "Draw")
    await store.add_artifact(task.id, ArtifactType.IMAGE, "shot.png", b"\x89PNG\0", "image/png")
    path = tmp_path / "run.json"
    await workspace.export(ExportRequest(format="atif", path=path, sessions=(session.id,)))
    steps = json.loads(path.read_text())["steps"]
    assert [step["source"] for step in steps] == ["user", "system"]
    [result] = steps[1]["observation"]["results"]
    assert result["content"] == "(shot.png: 5 bytes that are no text)"
