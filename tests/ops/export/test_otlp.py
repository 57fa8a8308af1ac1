"""Runs as OTLP's spans: another tool can read them, and an import gives the same runs back."""

import json
from pathlib import Path
from typing import Any

from acode_tui.domain.states import ArtifactType, SessionState
from acode_tui.ingest import discover, import_transcripts
from acode_tui.ops.export.export import ExportRequest
from acode_tui.storage.ports import SessionFilter
from acode_tui.workspace import Workspace, open_workspace
from tests.conftest import PLAIN_SETTINGS
from tests.ops.export.test_atif import facts, record, workspace

__all__ = ["workspace"]


async def exported(workspace: Workspace, path: Path, *sessions: str) -> list[Any]:
    await workspace.export(ExportRequest(format="otlp", path=path, sessions=sessions, redact=False))
    requests = [json.loads(line) for line in path.read_text().splitlines()]
    return [span for each in requests for group in each["resourceSpans"] for span in group["scopeSpans"][0]["spans"]]


async def test_an_exported_run_is_imported_as_it_was(workspace: Workspace, tmp_path: Path) -> None:
    session_id = await record(workspace)
    store = workspace.store
    second = await store.create_session("Picture")
    task = await store.add_task(second.id, "Draw", started=True)
    await store.add_artifact(task.id, ArtifactType.USER_PROMPT, "prompt", b"Draw a cat", "text/markdown")
    await store.add_artifact(task.id, ArtifactType.IMAGE, "shot.png", b"\x89PNG\xff\0", "image/png")
    path = tmp_path / "runs.otlp.jsonl"
    spans = await exported(workspace, path, session_id, second.id)
    operations = [
        next(pair["value"]["stringValue"] for pair in span["attributes"] if pair["key"] == "gen_ai.operation.name")
        for span in spans
    ]
    assert operations == ["invoke_agent", "chat", *["execute_tool"] * 3, "chat", "invoke_agent"]
    assert len({span["spanId"] for span in spans}) == len(spans)
    assert {span.get("parentSpanId", spans[0]["spanId"]) for span in spans[:-1]} == {spans[0]["spanId"]}
    async with open_workspace(tmp_path / "b", settings=PLAIN_SETTINGS) as other:
        await import_transcripts(other.transcripts, await discover([path]), workspace_id=other.workspace_id)
        back = {
            (found.metadata or {})["nativeId"]: await other.store.get_with_hierarchy(found.id)
            for found in await other.store.list(SessionFilter(), limit=5)
        }
        for native in (session_id, second.id):
            assert await facts(other, back[native]) == await facts(workspace, await store.get_with_hierarchy(native))
        assert back[session_id].state is SessionState.COMPLETED
        assert [task.title for task in back[second.id].tasks] == ["Draw a cat"]
