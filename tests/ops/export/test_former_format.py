"""Exports of format version 1: calls that were made up go, what they held stays, all else is as it was."""

import json
import sqlite3
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from acode_tui.domain.codec import digest
from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.errors import ExportError, ValidationError
from acode_tui.domain.states import ArtifactType, EntityType
from acode_tui.domain.validation import Limits
from acode_tui.ops.export.former_format import FormerRun, present_form
from acode_tui.ops.export.merge_rules import renumbered
from acode_tui.ops.export.parse_json import Issue, RawRun, ReadRun, read_run
from acode_tui.workspace import Workspace, open_workspace
from tests.conftest import PLAIN_SETTINGS

STAMP = "2026-01-05T18:23:01.000000Z"
TIMES = {"createdAt": STAMP, "updatedAt": STAMP}
PROMPT = "Please check every field. " * 60


def ident(number: int) -> str:
    return f"3e195d93-146f-522b-9548-{number:012d}"


SESSION = ident(1)


def call(number: int, step: int, order: int, name: str, type: str, text: str) -> dict[str, Any]:
    """A former call with one artifact, whose number is 100 more."""
    artifact = {
        "id": ident(100 + number),
        "sessionId": SESSION,
        "toolCallId": ident(number),
        "type": type,
        "name": name,
        "contentHash": digest(text.encode()),
        "contentType": "text/markdown",
        "size": len(text.encode()),
        "content": b64encode(text.encode()).decode(),
        **TIMES,
    }
    return {
        "id": ident(number),
        "sessionId": SESSION,
        "stepId": ident(step),
        "toolName": name,
        "parameters": {"carrier": True} if name.startswith("(") else {"path": "a.ts"},
        "state": "Succeeded",
        "order": order,
        "completedAt": STAMP,
        "result": None,
        "errorMessage": None,
        "syncVersion": 0,
        "artifacts": [artifact],
        **TIMES,
    }


def step(number: int, task: int, order: int, name: str, *calls: dict[str, Any], marked: bool = False) -> dict[str, Any]:
    return {
        "id": ident(number),
        "sessionId": SESSION,
        "taskId": ident(task),
        "name": name,
        "description": None,
        "state": "Completed",
        "order": order,
        "metadata": {"carrier": True} if marked else None,
        "syncVersion": 3,
        "toolCalls": list(calls),
        **TIMES,
    }


def task(number: int, order: int, *steps: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": ident(number),
        "sessionId": SESSION,
        "title": "Check",
        "description": PROMPT[:1000],
        "state": "Completed",
        "order": order,
        "metadata": {"line": order},
        "syncVersion": 0,
        "steps": list(steps),
        **TIMES,
    }


def former_run() -> dict[str, Any]:
    """A run as an earlier build exported it: an answered long prompt, then one without an answer."""
    answered = step(
        20,
        10,
        0,
        "I read the form first.",
        call(30, 20, 0, "(prompt)", "FileContent", PROMPT),
        call(31, 20, 1, "(response)", "ModelResponse", "I read the form first."),
        call(32, 20, 2, "Read", "FileContent", "text of a.ts"),
        call(33, 20, 3, "(unclaimed result)", "CommandOutput", "who asked?"),
        call(34, 20, 4, "Bash", "CommandOutput", "ok"),
    )
    last = step(21, 10, 1, "Done.", call(35, 21, 0, "(response)", "ModelResponse", "Done."))
    prompt = call(36, 22, 0, "(prompt)", "FileContent", "And again. " + PROMPT)
    event = {
        "id": ident(40),
        "sessionId": SESSION,
        "fromState": "Created",
        "toState": "Planning",
        "reason": "first prompt",
        "timestamp": STAMP,
        **TIMES,
    }
    return {
        "id": SESSION,
        "taskDescription": PROMPT[:1000],
        "state": "Executing",
        "metadata": {"source": "claude-code"},
        "userId": "ada",
        "workspaceId": ident(2),
        "syncVersion": 0,
        "events": [event],
        "tasks": [task(10, 0, answered, last), task(11, 1, step(22, 11, 0, "(no answer yet)", prompt, marked=True))],
        **TIMES,
    }


COUNTS = {"sessions": 1, "session_events": 1, "session_tasks": 2, "steps": 3, "tool_calls": 7, "artifacts": 7}


def former_json(path: Path, run: dict[str, Any] | None = None) -> Path:
    document = {
        "format": "acode-export",
        "formatVersion": 1,
        "createdAt": STAMP,
        "programVersion": "0.1.0",
        "schemaVersion": "1.2.0",
        "workspaceId": ident(2),
        "redacted": False,
        "sessions": [run or former_run()],
        "counts": COUNTS,
    }
    path.write_text(json.dumps(document))
    return path


FORMER_TABLES = """
CREATE TABLE sessions (id TEXT NOT NULL PRIMARY KEY, task_description TEXT, state TEXT, created_at TEXT,
    updated_at TEXT, metadata TEXT, user_id TEXT, workspace_id TEXT, sync_version INTEGER) STRICT;
CREATE TABLE session_events (id TEXT NOT NULL PRIMARY KEY, session_id TEXT, from_state TEXT, to_state TEXT, reason TEXT,
    timestamp TEXT, created_at TEXT, updated_at TEXT) STRICT;
CREATE TABLE session_tasks (id TEXT NOT NULL PRIMARY KEY, session_id TEXT, title TEXT, description TEXT, state TEXT,
    "order" INTEGER, created_at TEXT, updated_at TEXT, metadata TEXT, sync_version INTEGER) STRICT;
CREATE TABLE steps (id TEXT NOT NULL PRIMARY KEY, session_id TEXT, task_id TEXT, name TEXT, description TEXT,
    state TEXT, "order" INTEGER, created_at TEXT, updated_at TEXT, metadata TEXT, sync_version INTEGER) STRICT;
CREATE TABLE tool_calls (id TEXT NOT NULL PRIMARY KEY, session_id TEXT, step_id TEXT, tool_name TEXT, parameters TEXT,
    state TEXT, "order" INTEGER, created_at TEXT, updated_at TEXT, completed_at TEXT, result TEXT, error_message TEXT,
    sync_version INTEGER) STRICT;
CREATE TABLE artifacts (id TEXT NOT NULL PRIMARY KEY, session_id TEXT, tool_call_id TEXT, type TEXT, name TEXT,
    content_hash TEXT, content_type TEXT, size INTEGER, created_at TEXT, updated_at TEXT, content BLOB) STRICT;
"""
"""The entity tables of a file that an earlier build made."""

_CHILDREN = {
    "sessions": (("events", "session_events"), ("tasks", "session_tasks")),
    "session_tasks": (("steps", "steps"),),
    "steps": (("toolCalls", "tool_calls"),),
    "tool_calls": (("artifacts", "artifacts"),),
}


def former_sqlite(path: Path, *, info: bool = True) -> Path:
    """The same run in a SQLite file of an earlier build: an export, or as its workspace file held it."""
    connection = sqlite3.connect(path)
    with connection:
        connection.executescript(FORMER_TABLES)
        _insert(connection, "sessions", former_run())
        if info:
            connection.execute("CREATE TABLE export_info (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT")
            stated = [("formatVersion", "1"), ("redacted", "False")]
            connection.executemany("INSERT INTO export_info VALUES (?, ?)", stated)
    connection.close()
    return path


def _insert(connection: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    columns = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}
    values = {}
    for name, value in row.items():
        column = "".join("_" + letter.lower() if letter.isupper() else letter for letter in name)
        if column in columns:
            is_json = column in ("metadata", "parameters", "result") and value is not None
            values[column] = json.dumps(value) if is_json else b64decode(value) if column == "content" else value
    names = ", ".join(f'"{name}"' for name in values)
    marks = ", ".join("?" for _ in values)
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(values.values()))
    for key, child in _CHILDREN.get(table, ()):
        for each in row[key]:
            _insert(connection, child, each)


def present(run: dict[str, Any]) -> SessionGraph:
    return renumbered(present_form(msgspec.convert(run, FormerRun)))


def test_texts_hang_where_they_were_said_and_only_real_calls_stay() -> None:
    graph = present(former_run())
    first, second = graph.tasks
    assert [(each.id, each.type) for each in first.artifacts] == [(ident(130), ArtifactType.USER_PROMPT)]
    assert first.artifacts[0].content == PROMPT.encode()
    answered, last = first.steps
    assert [each.id for each in answered.artifacts] == [ident(131), ident(133)]
    assert [each.type for each in answered.artifacts] == [ArtifactType.MODEL_RESPONSE, ArtifactType.COMMAND_OUTPUT]
    assert [(each.tool_name, each.order) for each in answered.tool_calls] == [("Read", 0), ("Bash", 1)]
    assert [each.id for each in last.artifacts] == [ident(135)]
    assert last.tool_calls == ()
    assert second.steps == (), "a step that only held the prompt is gone"
    assert [each.id for each in second.artifacts] == [ident(136)]
    for each in first.artifacts:
        assert (each.task_id, each.step_id, each.tool_call_id) == (first.id, None, None)
    for each in answered.artifacts:
        assert (each.task_id, each.step_id, each.tool_call_id) == (first.id, answered.id, None)
    for made in answered.tool_calls:
        (artifact,) = made.artifacts
        assert (artifact.task_id, artifact.step_id, artifact.tool_call_id) == (first.id, answered.id, made.id)


def test_everything_else_stays_as_it_was() -> None:
    graph = present(former_run())
    assert graph.metadata == {"source": "claude-code"}
    assert [event.reason for event in graph.events] == ["first prompt"]
    assert [(each.order, each.metadata) for each in graph.tasks] == [(0, {"line": 0}), (1, {"line": 1})]
    steps = graph.tasks[0].steps
    assert [(each.name, each.sync_version) for each in steps] == [("I read the form first.", 3), ("Done.", 3)]
    assert steps[0].tool_calls[0].parameters == {"path": "a.ts"}


def test_a_step_that_was_not_made_up_for_the_prompt_alone_stays() -> None:
    run = former_run()
    run["tasks"][1]["steps"][0]["toolCalls"].append(call(37, 22, 1, "Read", "FileContent", "b"))
    (kept,) = present(run).tasks[1].steps
    assert [each.tool_name for each in kept.tool_calls] == ["Read"]
    run = former_run()
    run["tasks"][1]["steps"][0]["metadata"] = None
    assert len(present(run).tasks[1].steps) == 1


def test_an_artifact_of_another_call_is_refused() -> None:
    run = former_run()
    run["tasks"][0]["steps"][0]["toolCalls"][1]["artifacts"][0]["toolCallId"] = ident(99)
    with pytest.raises(ValidationError, match="tool_call_id"):
        present(run)
    issue = read_run(RawRun(1, json.dumps(run).encode(), 1), Limits())
    assert isinstance(issue, Issue)
    assert issue.field == "tool_call_id"


def test_rows_are_counted_as_the_file_has_them() -> None:
    read = read_run(RawRun(1, json.dumps(former_run()).encode(), 1), Limits())
    assert isinstance(read, ReadRun)
    assert sum(read.rows.values()) == sum(COUNTS.values())
    assert read.rows[EntityType.TOOL_CALL] == 7
    assert sum(1 for _ in read.graph.entities()) == sum(COUNTS.values()) - 6


@asynccontextmanager
async def new_workspace(folder: Path) -> AsyncIterator[Workspace]:
    folder.mkdir()
    async with open_workspace(folder, settings=PLAIN_SETTINGS) as opened:
        yield opened


@pytest.mark.parametrize(
    "make",
    [former_json, former_sqlite, lambda path: former_sqlite(path, info=False)],
    ids=["json", "sqlite", "workspace file"],
)
async def test_a_former_file_is_imported_and_a_second_import_writes_nothing(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    path = make(tmp_path / "former")
    before = path.read_bytes()
    expected = present(former_run())
    async with new_workspace(tmp_path / "w") as workspace:
        report = await workspace.import_export(path)
        assert report.ok, report
        assert report.counts == COUNTS
        assert report.inserted == COUNTS | {"steps": 2, "tool_calls": 2}
        stored = await workspace.store.get_with_hierarchy(SESSION)
        for ours, theirs in zip(stored.entities(), expected.entities(), strict=True):
            assert ours == theirs
            for name in ("order", "type", "task_id", "step_id", "tool_call_id", "state", "updated_at"):
                assert getattr(ours, name, None) == getattr(theirs, name, None)
            if (content := getattr(theirs, "content", None)) is not None:
                assert await workspace.store.get_artifact_content(ours.id) == content
        again = await workspace.import_export(path)
        assert (again.ok, again.written) == (True, 0)
    assert path.read_bytes() == before


async def test_a_former_file_that_lost_a_row_is_refused(tmp_path: Path) -> None:
    run = former_run()
    run["tasks"][0]["steps"][0]["toolCalls"].pop(1)
    async with new_workspace(tmp_path / "w") as workspace:
        with pytest.raises(ExportError, match="holds 7 tool_calls; it holds 6"):
            await workspace.import_export(former_json(tmp_path / "former.json", run))


async def test_the_version_may_stand_behind_the_runs(tmp_path: Path) -> None:
    path = former_json(tmp_path / "former.json")
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items()))))
    async with new_workspace(tmp_path / "w") as workspace:
        report = await workspace.import_export(path)
        assert report.inserted["tool_calls"] == 2
