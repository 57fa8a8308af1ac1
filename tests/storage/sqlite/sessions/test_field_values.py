"""The stored values of the fields of a query."""

from acode_tui.domain.states import ArtifactType
from acode_tui.workspace import Workspace


async def test_the_values_of_a_field_are_those_of_the_stored_runs(workspace: Workspace) -> None:
    store = workspace.store
    for number, (agent, branch) in enumerate((("codex", "main"), ("claude-code", "fix"), ("claude-code", "main"))):
        metadata = {"agent": agent, "gitRoot": f"/src/shop{number % 2}", "model": "opus", "gitBranch": branch}
        session = await store.create_session("x", metadata=metadata, user_id=f"user{number}")
        step = await store.add_step((await store.add_task(session.id, "t")).id, "s")
        await store.add_tool_call(step.id, "Bash", {})
        await store.add_artifact(step.id, ArtifactType.FILE_DIFF, "src/[a].py.diff", b"x", "text/x-diff")
        await store.add_artifact(step.id, ArtifactType.COMMAND_OUTPUT, "stdout", b"x", "text/plain")
    await workspace.index.catch_up()
    expected = {
        "agent": ("claude-code", "codex"),
        "project": ("shop0", "shop1"),
        "model": ("opus",),
        "branch": ("main", "fix"),
        "user": ("user0", "user1", "user2"),
        "tool": ("Bash",),
        "file": ("[a].py",),
        "is": (),
        "nonsense": (),
    }
    assert {field: await workspace.field_values(field) for field in expected} == expected
    assert await workspace.field_values("user", most=2) == ("user0", "user1")
