"""Exports: whole runs in every format, private, whole or not at all."""

import asyncio
import csv
import json
import os
import resource
import sqlite3
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from acode_tui.domain.codec import decode_json, encode_json
from acode_tui.domain.entities import Artifact, Entity, SessionGraph
from acode_tui.domain.errors import ExportError, IntegrityError, NotFoundError
from acode_tui.domain.schema import TABLES
from acode_tui.ops.export.export import ExportProgress, ExportRequest
from acode_tui.storage.sqlite.runs.stream import SqliteRunRows
from acode_tui.workspace import Workspace
from tests.storage.runs import make_run

T = TypeVar("T")


@pytest.fixture
async def filled(workspace: Workspace) -> Workspace:
    for number in range(3):
        await workspace.store.save(
            make_run(workspace.workspace_id, calls=2, description=f"=SUM(A{number})\nsecond, line")
        )
    return workspace


def rows_of(graph: SessionGraph) -> list[str]:
    """Every row of a run as JSON, in order; artifact content with it."""
    return sorted(encode_json(each).decode() for each in plain_rows(graph))


def plain_rows(graph: SessionGraph) -> Iterator[Entity]:
    for entity in graph.entities():
        own = TABLES[entity.kind].entity
        yield own(**{name: getattr(entity, name) for name in own.__struct_fields__})


async def stored(workspace: Workspace) -> dict[str, list[str]]:
    """Every run as it is stored, content loaded."""
    found: dict[str, list[str]] = {}
    for session in await workspace.store.list(limit=200):
        lines = []
        for entity in plain_rows(await workspace.store.get_with_hierarchy(session.id)):
            plain = json.loads(encode_json(entity))
            if isinstance(entity, Artifact):
                plain["content"] = b64encode(await workspace.store.get_artifact_content(entity.id)).decode()
            lines.append(encode_json(plain).decode())
        found[session.id] = sorted(lines)
    return found


def parts_left(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.rglob("*") if each.name.startswith("."))


async def test_json_holds_whole_runs_with_every_field(filled: Workspace, tmp_path: Path) -> None:
    report = await filled.export(ExportRequest(format="json", path=tmp_path / "all.json", redact=False))
    document = json.loads((tmp_path / "all.json").read_bytes())
    assert {name: value for name, value in document.items() if name != "sessions"} == {
        "format": "acode-export",
        "formatVersion": 2,
        "createdAt": document["createdAt"],
        "programVersion": document["programVersion"],
        "schemaVersion": filled.migrated.to_version,
        "workspaceId": filled.workspace_id,
        "redacted": False,
        "counts": report.counts,
    }
    graphs = [decode_json(json.dumps(each), SessionGraph) for each in document["sessions"]]
    assert {graph.id: rows_of(graph) for graph in graphs} == await stored(filled)
    assert report.counts == {
        "sessions": 3, "session_events": 3, "session_tasks": 3, "steps": 3, "tool_calls": 6, "artifacts": 12
    }  # fmt: skip


async def test_an_empty_workspace_has_an_empty_export(workspace: Workspace, tmp_path: Path) -> None:
    report = await workspace.export(ExportRequest(format="json", path=tmp_path / "none.json"))
    document = json.loads((tmp_path / "none.json").read_bytes())
    assert document["sessions"] == []
    assert set(report.counts.values()) == {0}


async def test_csv_cells_hold_any_text_and_run_no_formula(filled: Workspace, tmp_path: Path) -> None:
    await filled.export(ExportRequest(format="csv", path=tmp_path / "all", redact=False))
    tables = {table.name: table for table in TABLES.values()}
    rows_found: dict[str, list[dict[str, str]]] = {}
    for name, table in tables.items():
        with (tmp_path / "all" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows_found[name] = list(reader)
            assert reader.fieldnames == list(table.column_names)
    first = rows_found["sessions"][0]
    assert first["task_description"].startswith("'=SUM(A")
    assert "\nsecond, line" in first["task_description"]
    assert not any(value[:1] in "=+-@\t\r\n" for row in rows_found["sessions"] for value in row.values() if value)
    graph = await filled.store.get_with_hierarchy(first["id"])
    assert first["task_description"][1:] == graph.task_description
    assert json.loads(first["metadata"]) == graph.metadata
    content = await filled.store.get_artifact_content(rows_found["artifacts"][0]["id"])
    assert rows_found["artifacts"][0]["content"] == b64encode(content).decode()
    about = json.loads((tmp_path / "all" / "export.json").read_bytes())
    assert about["counts"]["sessions"] == 3


async def test_sqlite_is_a_database_of_its_own(filled: Workspace, tmp_path: Path) -> None:
    report = await filled.export(ExportRequest(format="sqlite", path=tmp_path / "all.db", redact=False))
    exported, own = sqlite3.connect(tmp_path / "all.db"), sqlite3.connect(filled.database_path)
    try:
        assert exported.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert exported.execute("PRAGMA foreign_key_check").fetchall() == []
        for table in TABLES.values():
            columns = ", ".join(f'"{name}"' for name in table.column_names)
            query = f"SELECT {columns} FROM {table.name} ORDER BY id"
            assert exported.execute(query).fetchall() == own.execute(query).fetchall()
            assert exported.execute(f"SELECT strict FROM pragma_table_list('{table.name}')").fetchone() == (1,)
        info = dict(exported.execute("SELECT key, value FROM export_info").fetchall())
        assert info["rows.tool_calls"] == str(report.counts["tool_calls"])
        assert info["workspaceId"] == filled.workspace_id
    finally:
        exported.close()
        own.close()


@pytest.mark.parametrize("format", ["json", "csv", "sqlite"])
async def test_one_session_is_exported_by_the_beginning_of_its_id(filled: Workspace, format: str) -> None:
    chosen = (await filled.store.list()).sessions[1]
    report = await filled.export_session(chosen.id[:13], format)  # type: ignore[arg-type]
    assert report.counts["sessions"] == 1
    assert report.counts["tool_calls"] == 2
    path = Path(report.path)
    assert path.parent == filled.agent_dir / "exports"
    assert path.parent.stat().st_mode & 0o777 == 0o700
    files = [each for each in path.parent.rglob("*") if each.is_file()]
    assert files
    assert all(each.stat().st_mode & 0o777 == 0o600 for each in files)
    assert all(each.stat().st_mode & 0o777 == 0o700 for each in path.parent.rglob("*") if each.is_dir())
    again = await filled.export_session(chosen.id, format)  # type: ignore[arg-type]
    assert again.path != report.path


@pytest.mark.parametrize("format", ["json", "csv", "sqlite"])
async def test_an_existing_file_stays_unless_forced(filled: Workspace, tmp_path: Path, format: str) -> None:
    path = tmp_path / "taken"
    request = ExportRequest(format=format, path=path)  # type: ignore[arg-type]
    first = await filled.export(request)
    with pytest.raises(ExportError, match="is there already"):
        await filled.export(request)
    forced = await filled.export(ExportRequest(format=format, path=path, overwrite=True))  # type: ignore[arg-type]
    assert forced.counts == first.counts
    assert parts_left(tmp_path) == [".agent", ".gitignore"]


async def test_a_folder_with_something_else_in_it_is_not_replaced(filled: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(ExportError, match="holds something"):
        await filled.export(ExportRequest(format="csv", path=folder, overwrite=True))
    with pytest.raises(ExportError, match="is a folder"):
        await filled.export(ExportRequest(format="json", path=folder, overwrite=True))
    assert (folder / "thesis.tex").read_text() == "years of work"
    assert parts_left(tmp_path) == [".agent", ".gitignore"]


async def test_a_pipe_or_device_is_not_replaced(filled: Workspace, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)
    for path in (pipe, tmp_path / "link"):
        with pytest.raises(ExportError, match="is no ordinary file"):
            await filled.export(ExportRequest(path=path, overwrite=True))
    assert pipe.is_fifo()


@pytest.mark.parametrize("format", ["json", "csv", "sqlite", "html"])
async def test_a_full_disk_is_named_in_the_error_and_leaves_no_file(
    filled: Workspace, tmp_path: Path, format: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (session, *_) = await filled.store.list()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, before[1]))
    try:
        with pytest.raises(OSError) as refused:
            await filled.export(ExportRequest(format=format, path=out / "x", sessions=(session.id,)))  # type: ignore[arg-type]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert refused.value.filename == str(out / "x")
    assert list(out.iterdir()) == []


async def test_a_dry_run_counts_and_writes_nothing(filled: Workspace, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    report = await filled.export(ExportRequest(format="csv", path=tmp_path / "x", dry_run=True))
    assert report.dry_run
    assert report.size_bytes is None
    assert report.counts["artifacts"] == 12
    assert sorted(tmp_path.rglob("*")) == before


async def test_progress_reaches_the_end(filled: Workspace, tmp_path: Path) -> None:
    seen: list[ExportProgress] = []
    await filled.export(ExportRequest(path=tmp_path / "x.json"), progress=seen.append)
    last = seen[-1]
    assert (last.sessions.done, last.sessions.total, last.rows.done, last.rows.total) == (3, 3, 30, None)


async def test_the_rows_of_one_run_are_counted_before_they_are_read(filled: Workspace) -> None:
    await filled.store.save(make_run(filled.workspace_id, calls=150))
    session = next(each for each in await filled.store.list() if each.tool_call_count == 150)
    seen: list[ExportProgress] = []
    report = await filled.export_session(session.id, "json", progress=seen.append)
    total = sum(report.counts.values())
    assert total > 300
    done = [each.rows.done for each in seen]
    assert {each.rows.total for each in seen} == {total}
    assert done == sorted(done)
    assert (done[-1], done[0] < total) == (total, True)


@pytest.mark.parametrize("format", ["json", "csv", "sqlite"])
async def test_a_cancelled_export_leaves_nothing(
    filled: Workspace, tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()
    walk = SqliteRunRows.walk

    async def slow(self: SqliteRunRows, session_id: str, consume: Callable[[Iterator[Entity]], T]) -> T:
        def endless(rows: Iterator[Entity]) -> Iterator[Entity]:
            last = None
            for last in rows:
                yield last
            loop.call_soon_threadsafe(reached.set)
            while last is not None:
                yield last

        return await walk(self, session_id, lambda rows: consume(endless(rows)))

    monkeypatch.setattr(SqliteRunRows, "walk", slow)
    request = ExportRequest(format=format, path=tmp_path / "x", redact=False)  # type: ignore[arg-type]
    task = asyncio.create_task(filled.export(request))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not (tmp_path / "x").exists()
    assert parts_left(tmp_path) == [".agent", ".gitignore"]
    monkeypatch.undo()
    assert (await filled.store.list()).total == 3


async def test_an_artifact_that_does_not_fit_its_hash_ends_the_export(filled: Workspace, tmp_path: Path) -> None:
    with sqlite3.connect(filled.database_path) as connection:
        connection.execute("DROP TRIGGER artifacts_no_update")
        connection.execute("UPDATE artifacts SET content = x'00'")
    connection.close()
    with pytest.raises(IntegrityError, match="does not match its hash"):
        await filled.export(ExportRequest(path=tmp_path / "x.json"))
    assert not list(tmp_path.glob("x*"))


async def test_an_unknown_session_is_an_error_before_anything_is_written(filled: Workspace, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        await filled.export(ExportRequest(path=tmp_path / "x.json", sessions=("ffffffff-ffff",)))
    assert not (tmp_path / "x.json").exists()
