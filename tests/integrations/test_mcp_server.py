"""An agent asks over the Model Context Protocol what was tried before: the real client, in process and as a process."""

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from acode_tui.domain.states import ArtifactType, EntityType, SessionState, WorkState
from acode_tui.storage.ports import SessionFilter
from acode_tui.workspace import Workspace, open_workspace
from tests.conftest import PLAIN_SETTINGS

mcp = pytest.importorskip("mcp", reason="the extra mcp is not installed")
from acode_tui.integrations.mcp_server import MAX_ANSWER_CHARS, server  # noqa: E402

SECRET = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


@pytest.fixture
async def workspace(tmp_path: Path) -> AsyncIterator[Workspace]:
    async with open_workspace(tmp_path, settings=PLAIN_SETTINGS) as workspace:
        yield workspace


async def record(workspace: Workspace) -> dict[str, str]:
    """A run with a prompt, an answer, a call that failed and a file; returns ids by name."""
    store = workspace.store
    session = await store.create_session("Repair the login", metadata={"source": "codex", "project": "shop"})
    await store.transition_session(session.id, SessionState.PLANNING)
    task = await store.add_task(session.id, "Repair the login", started=True)
    await store.transition_session(session.id, SessionState.EXECUTING)
    await store.add_artifact(task.id, ArtifactType.USER_PROMPT, "prompt", b"Repair the login \x1b[2J", "text/plain")
    step = await store.add_step(task.id, "Try", started=True)
    failed = await store.add_tool_call(step.id, "Bash", {"command": f"curl -H 'token: {SECRET}'"}, started=True)
    await store.fail_tool_call(failed.id, "exit code 7: connection refused")
    long = await store.add_artifact(
        failed.id, ArtifactType.COMMAND_OUTPUT, "out", b"line of output\n" * 4_000, "text/plain"
    )
    image = await store.add_artifact(failed.id, ArtifactType.IMAGE, "shot.png", b"\x89PNG\0\0", "image/png")
    await store.add_artifact(step.id, ArtifactType.MODEL_RESPONSE, "answer", b"The server is down.", "text/plain")
    await store.transition_step(step.id, WorkState.SKIPPED)
    return {"session": session.id, "long": long.id, "image": image.id}


async def ask(workspace: Workspace, tool: str, **arguments: object) -> str:
    async with mcp.Client(server(workspace)) as client:
        answer = await client.call_tool(tool, arguments)
        text = "\n".join(block.text for block in answer.content)
        return f"error: {text}" if answer.is_error else str(text)


async def test_the_tools_say_that_they_change_nothing(workspace: Workspace) -> None:
    async with mcp.Client(server(workspace)) as client:
        tools = (await client.list_tools()).tools
    assert {tool.name for tool in tools} == {"search_runs", "get_run", "get_artifact", "recent_failures"}
    assert all(tool.annotations.read_only_hint and tool.description for tool in tools)


async def test_a_run_is_found_read_and_its_failure_listed(workspace: Workspace) -> None:
    ids = await record(workspace)
    found = await ask(workspace, "search_runs", query="refused")
    assert f"run {ids['session']} | codex | shop | Repair the login" in found
    assert "connection **refused**" in found

    read = await ask(workspace, "get_run", run_id=ids["session"][:13])
    assert "[user] Repair the login" in read
    assert "[assistant] The server is down." in read
    assert "-> Failed\n    error: exit code 7: connection refused" in read
    assert f"[artifact {ids['long']}] CommandOutput out, 60,000 bytes" in read
    assert SECRET not in read
    assert "\x1b" not in read

    failures = await ask(workspace, "recent_failures")
    assert "exit code 7" in failures
    assert SECRET not in failures
    assert await ask(workspace, "recent_failures", query="agent:nobody") == "no run with a failed call matches"


async def test_a_long_content_is_read_page_by_page(workspace: Workspace) -> None:
    ids = await record(workspace)
    whole, offset = "", 0
    while True:
        page = await ask(workspace, "get_artifact", artifact_id=ids["long"], offset=offset)
        text, cut, again = page.partition("\n(cut; go on with ")
        whole += text
        assert len(text) <= MAX_ANSWER_CHARS
        if not cut:
            break
        offset = int(again.rpartition("offset=")[2].rstrip(")"))
    assert whole == "line of output\n" * 4_000
    assert "6 bytes, no text" in await ask(workspace, "get_artifact", artifact_id=ids["image"])


async def test_a_long_run_is_read_page_by_page(workspace: Workspace) -> None:
    store = workspace.store
    session = await store.create_session("Talk")
    task = await store.add_task(session.id, "Talk")
    for number in range(60):
        step = await store.add_step(task.id, f"turn {number}")
        await store.add_artifact(
            step.id, ArtifactType.MODEL_RESPONSE, "answer", f"answer {number} ".encode() * 50, "text/plain"
        )
    whole, offset = "", 0
    while True:
        page = await ask(workspace, "get_run", run_id=session.id, offset=offset)
        text, cut, again = page.partition("\n(cut; go on with ")
        whole += text
        if not cut:
            break
        offset = int(again.rpartition("offset=")[2].rstrip(")"))
    assert [f"answer {number} " in whole for number in range(60)] == [True] * 60
    assert whole.count("[assistant]") == 60


@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("get_run", {"run_id": "ffff"}, "ACODE-"),
        ("get_run", {"run_id": "'; DROP TABLE sessions"}, "ACODE-"),
        ("search_runs", {"query": "colour:red"}, "ACODE-"),
        ("search_runs", {"query": ""}, "ACODE-"),
        ("get_artifact", {"artifact_id": "ffff", "offset": -1}, "ACODE-"),
    ],
)
async def test_what_cannot_be_answered_is_an_error_with_its_code(
    workspace: Workspace, tool: str, arguments: dict[str, object], code: str
) -> None:
    answer = await ask(workspace, tool, **arguments)
    assert answer.startswith("error: ")
    assert code in answer
    assert await workspace.store.count(SessionFilter()) == 0
    assert await ask(workspace, "search_runs", query="word") == "no run matches; use fewer or other words"


async def test_the_command_speaks_on_its_standard_streams(workspace: Workspace) -> None:
    ids = await record(workspace)
    command = mcp.StdioServerParameters(
        command=sys.executable,
        args=["-m", "acode_tui", "--workspace", str(workspace.root), "mcp"],
        env={**os.environ},
    )
    async with mcp.Client(command) as client:
        answer = await client.call_tool("get_run", {"run_id": ids["session"]})
        assert "The server is down." in answer.content[0].text
    assert await workspace.store.resolve_id(EntityType.SESSION, ids["session"]) == ids["session"]
