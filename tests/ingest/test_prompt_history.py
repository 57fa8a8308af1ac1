"""Prompts of sessions whose transcripts were deleted."""

import json
from pathlib import Path
from typing import Any

import pytest

from acode_tui.domain.states import SessionState, WorkState
from acode_tui.ingest.discover import find
from acode_tui.ingest.scope import split
from acode_tui.workspace import Workspace
from tests.ingest.builders import SESSION, START, Claude, Codex
from tests.ingest.test_import import OTHER, run_import, stored
from tests.ingest.test_import import workspace as workspace

MILLISECONDS = int(START.timestamp() * 1_000)


def write_claude(home: Path, *entries: tuple[str, str], **fields: Any) -> Path:
    """The list of prompts in the agent's folder: pairs of a session and a prompt, a second after each other."""
    (home / "projects").mkdir(parents=True, exist_ok=True)
    path = home / "history.jsonl"
    with open(path, "a") as target:
        for number, (session, prompt) in enumerate(entries):
            at = MILLISECONDS + 1_000 * number
            line = {"display": prompt, "pastedContents": {}, "timestamp": at, "project": "/src/shop", **fields}
            target.write(json.dumps({**line, **({"sessionId": session} if session else {})}) + "\n")
    return path


def transcript(*prompts: str, session: str = SESSION) -> Claude:
    found = Claude(session)
    for number, prompt in enumerate(prompts):
        found.user(prompt)
        found.says(f"m{number}", "Done.")
    return found


async def titles(workspace: Workspace, native: str = SESSION, source: str = "claude-code") -> list[tuple[str, bool]]:
    """The tasks of a stored session, and whether they are superseded."""
    graph = await stored(workspace, native, source)
    return [(task.title, (task.metadata or {}).get("superseded") is True) for task in graph.tasks]


async def test_a_session_whose_transcript_is_gone_is_a_run_of_its_prompts(workspace: Workspace, tmp_path: Path) -> None:
    pasted = {"1": {"id": 1, "type": "text", "content": "the whole log"}}
    path = write_claude(tmp_path, (SESSION, "Draw the map"), (OTHER, "Count"), (SESSION, "/model"))
    write_claude(tmp_path, (SESSION, "Read [Pasted text #1 +9 lines] please"), pastedContents=pasted)
    write_claude(tmp_path, ("", "Of an older release"))
    report = await run_import(workspace, path)
    assert (report.sessions, report.tasks, report.errors) == (2, 3, ())
    assert report.unknown_records == {"claude-code": {"history/without a session": 1}}
    graph = await stored(workspace)
    assert graph.metadata is not None
    assert (graph.metadata["transcript"], graph.metadata["cwd"]) == ("deleted", "/src/shop")
    assert (graph.state, graph.task_description) == (SessionState.PAUSED, "Draw the map")
    assert [(task.title, task.state) for task in graph.tasks] == [
        ("Draw the map", WorkState.SKIPPED),
        ("Read the whole log please", WorkState.SKIPPED),
    ]
    assert any("command of the user: /model" in event.reason for event in graph.events)
    write_claude(tmp_path, (SESSION, "One more"))
    assert (await run_import(workspace, path)).written > 0
    assert len((await stored(workspace)).tasks) == 3
    assert (await run_import(workspace, path)).unchanged == 1


async def test_a_session_of_which_more_is_known_is_left_as_it_is(workspace: Workspace, tmp_path: Path) -> None:
    kept = transcript("Draw the map").write(tmp_path / "projects" / "-src" / f"{SESSION}.jsonl")
    gone = transcript("Count", session=OTHER).write(tmp_path / "projects" / "-src" / f"{OTHER}.jsonl")
    history = write_claude(tmp_path, (SESSION, "Draw the map"), (OTHER, "Count"))
    await run_import(workspace, gone)
    gone.unlink()
    report = await run_import(workspace, kept, history)
    assert (report.sessions, report.tasks) == (1, 1)
    assert await titles(workspace) == [("Draw the map", False)]
    assert await titles(workspace, OTHER) == [("Count", False)]


async def test_a_transcript_that_comes_back_takes_the_place_of_its_prompts(
    workspace: Workspace, tmp_path: Path
) -> None:
    history = write_claude(tmp_path, (SESSION, "Draw the map"), (SESSION, "Now in colour"))
    await run_import(workspace, history)
    backup = transcript("Draw the map", "Now in colour").write(tmp_path / "backup" / f"{SESSION}.jsonl")
    await run_import(workspace, backup, history)
    graph = await stored(workspace)
    assert "transcript" not in (graph.metadata or {})
    assert graph.state is SessionState.COMPLETED
    assert await titles(workspace) == [
        ("Draw the map", False),
        ("Now in colour", False),
        ("Draw the map", True),
        ("Now in colour", True),
    ]
    write_claude(tmp_path, (SESSION, "And a frame"))
    assert (await run_import(workspace, backup, history)).written == 0


async def test_only_the_prompts_of_the_workspace_s_folder_are_taken(workspace: Workspace, tmp_path: Path) -> None:
    project = tmp_path / "shop"
    project.mkdir()
    write_claude(tmp_path / "agent", (SESSION, "Elsewhere"))
    history = write_claude(tmp_path / "agent", (OTHER, "Here"), project=str(project))
    scoped = split(find([history]), project, {})
    assert scoped.elsewhere == {}
    assert [item.within for item in scoped.found] == [(str(project),)]


@pytest.mark.parametrize("line", ["{", "[]", '{"display": 7, "timestamp": "x", "sessionId": "s"}', "\\ud800"])
async def test_a_damaged_line_costs_itself_alone(workspace: Workspace, tmp_path: Path, line: str) -> None:
    path = write_claude(tmp_path, (SESSION, "Draw"))
    path.write_text(path.read_text() + line + "\n")
    report = await run_import(workspace, path)
    assert (report.sessions, report.tasks) == (1, 1)


async def test_codex_keeps_such_a_list_too(workspace: Workspace, tmp_path: Path) -> None:
    rollout = Codex(OTHER)
    rollout.prompt("Known")
    rollout.write(tmp_path / "sessions" / "2026" / f"rollout-2026-01-05T12-00-00-{OTHER}.jsonl")
    seconds = MILLISECONDS // 1_000
    prompts = ((SESSION, "Gone"), (OTHER, "Known"))
    lines = [{"session_id": session, "ts": seconds, "text": text} for session, text in prompts]
    history = tmp_path / "history.jsonl"
    history.write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = await run_import(workspace, tmp_path)
    assert (report.files, report.sessions) == (2, 2)
    assert await titles(workspace, source="codex") == [("Gone", False)]
    assert await titles(workspace, OTHER, "codex") == [("Known", False)]
