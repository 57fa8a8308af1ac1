"""What a session of OpenCode becomes, from an export, a tree of files and a database."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acode_tui.domain.codec import encode_payload
from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.errors import IngestError
from acode_tui.domain.states import ArtifactType, SessionState, ToolCallState
from acode_tui.ingest import FoundTranscript, ImportProgress, ImportReport, import_transcripts
from acode_tui.ingest.discover import find
from acode_tui.ingest.format import Parsed
from acode_tui.ingest.importer import ReportImport
from acode_tui.ingest.opencode import database
from acode_tui.ingest.opencode import format as opencode
from acode_tui.ingest.opencode.format import OpenCode
from acode_tui.ingest.scope import split
from acode_tui.storage.sqlite import foreign_file
from acode_tui.workspace import open_workspace
from tests.ingest.builders import LATER as NOW
from tests.ingest.builders import call_named, calls_of, context_for, read, steps_of
from tests.ingest.opencode.builder import BASE, Session, tool
from tests.ingest.test_hostile import assert_storable


class StoppedError(Exception):
    """The import is stopped."""


def run(session: Session) -> SessionGraph:
    (graph,) = read([session.export], format="opencode").graphs
    return graph


def read_parts(path: Path, seen: bytes = b"") -> Parsed:
    context = context_for(path, seen=seen)
    return OpenCode().read(OpenCode().parts(path, context), context)


async def import_found(
    root: Path, found: list[FoundTranscript], on_progress: ReportImport | None = None
) -> ImportReport:
    async with open_workspace(root, wall=lambda: NOW) as workspace:
        return await import_transcripts(
            workspace.transcripts,
            found,
            workspace_id=workspace.workspace_id,
            on_progress=on_progress,
            wall=lambda: NOW,
        )


def story(key: str = "ses_1") -> Session:
    found = Session(key)
    found.prompt("Look")
    found.says("Reading.", {"type": "reasoning", "text": "Where?"}, tool("c1", "read", "hello"))
    found.says("It says hello.")
    return found


def test_prompts_reasoning_answers_calls_tokens_and_cost() -> None:
    graph = run(story())
    assert [task.title for task in graph.tasks] == ["Look"]
    first = steps_of(graph)[0]
    assert {found.type for found in first.artifacts} == {ArtifactType.REASONING, ArtifactType.MODEL_RESPONSE}
    (artifact,) = call_named(graph, "read").artifacts
    assert (artifact.type, artifact.content) == (ArtifactType.FILE_CONTENT, b"hello")
    assert graph.state is SessionState.COMPLETED
    assert graph.metadata is not None
    assert graph.metadata["tokens"] == {"input": 20, "output": 10, "cacheRead": 60, "cacheWrite": 4}
    assert (graph.metadata["cost"], graph.metadata["cwd"]) == (0.5, "/src/shop")


@pytest.mark.parametrize(
    ("part", "state"),
    [
        (tool("c", "bash"), ToolCallState.SUCCEEDED),
        (tool("c", "bash", metadata={"exit": 0}), ToolCallState.SUCCEEDED),
        (tool("c", "bash", metadata={"exit": 127}), ToolCallState.FAILED),
        (tool("c", "invalid"), ToolCallState.FAILED),
        (tool("c", "read", "no such file", status="error"), ToolCallState.FAILED),
        (tool("c", "bash", "The user rejected permission to use this", status="error"), ToolCallState.CANCELLED),
    ],
)
def test_a_call_fails_by_its_status_its_exit_code_or_its_tool(part: dict[str, Any], state: ToolCallState) -> None:
    session = Session()
    session.prompt("Go")
    session.says("", part)
    (call,) = calls_of(run(session))
    assert call.state is state


def test_what_the_program_added_to_a_prompt_is_left_out() -> None:
    session = Session()
    session.prompt("Called the Read tool", synthetic=True)
    parts: list[dict[str, Any]] = [
        {"type": "text", "text": "Use @a.py"},
        {"type": "text", "text": "Called the Read tool", "synthetic": True},
        {"type": "file", "filename": "a.py", "mime": "text/plain", "url": "file:///src/a.py"},
        {"type": "file", "filename": "b.png", "mime": "image/png", "url": "data:image/png;base64,aGk="},
    ]
    session.message("user", parts)
    (task,) = run(session).tasks
    assert task.title == "Use @a.py"
    assert [(found.type, found.name, found.content) for found in task.artifacts][1:] == [
        (ArtifactType.IMAGE, "b.png", b"hi")
    ]
    assert (task.metadata or {})["attachments"] == ["a.py"]


def test_a_subagent_s_prompt_is_that_of_the_call_that_started_it() -> None:
    parent, child = Session("ses_1"), Session("ses_2", parent="ses_1")
    parent.prompt("Go")
    parent.says("", tool("c1", "task", "found", metadata={"sessionId": "ses_2"}))
    child.prompt("Find it")
    child.says("Found")
    parsed = read([parent.export, child.export], format="opencode")
    first, second = parsed.graphs
    assert parsed.counts.tasks == 1
    assert second.metadata is not None
    assert second.metadata["parentSessionId"] == first.id
    assert (calls_of(first)[0].result or {})["childSessionId"] == second.id


@pytest.mark.parametrize(
    ("error", "state"),
    [
        ({"name": "MessageAbortedError"}, SessionState.PAUSED),
        ({"name": "APIError", "data": {"message": "overloaded"}}, SessionState.FAILED),
    ],
)
def test_a_message_that_ended_with_an_error(error: dict[str, Any], state: SessionState) -> None:
    session = Session()
    session.prompt("Go")
    session.says("", error=error)
    assert run(session).state is state


def test_reverted_messages_are_marked() -> None:
    session = Session()
    session.prompt("Keep")
    session.says("Kept")
    back = session.prompt("Drop")
    session.says("Dropped")
    session.info["revert"] = {"messageID": back}
    graph = run(session)
    assert [bool((step.metadata or {}).get("abandoned")) for step in steps_of(graph)] == [False, True]


def test_a_tree_of_files_gives_the_rows_of_the_export(tmp_path: Path) -> None:
    path = story().into_tree(tmp_path / "opencode" / "storage")
    (item,) = find([tmp_path])
    assert (item.path, item.format) == (path, "opencode")
    (graph,) = read_parts(path).graphs
    rows = [encode_payload(entity) for entity in graph.entities()]
    expected = [encode_payload(entity) for entity in run(story()).entities()]
    # Also the session's own: a row that differs would be written again, under the time of the import.
    assert rows == expected


def test_damaged_files_of_a_tree_are_counted_and_the_others_are_read(tmp_path: Path) -> None:
    own = story().into_tree(tmp_path / "opencode" / "storage")
    whole = read_parts(own)
    message = next((own.parents[2] / "message" / own.stem).iterdir())
    message.write_bytes(message.read_bytes()[:-1])
    damaged = read_parts(own)
    assert damaged.skipped.named == [(1, f"{message.name}: not a JSON object")]
    assert damaged.counts.sessions == 1
    assert damaged.counts.artifacts < whole.counts.artifacts


def test_a_database_is_read_and_only_what_changed_is_read_again(tmp_path: Path) -> None:
    path = story("ses_1").into_database(tmp_path / "opencode" / "opencode.db")
    story("ses_2").into_database(path)
    first = read_parts(path)
    assert first.counts.sessions == 2
    assert read_parts(path, first.seen).graphs == ()
    grown = story("ses_2")
    grown.prompt("More")
    grown.into_database(path, updated=BASE + 5)
    again = read_parts(path, first.seen)
    assert [(graph.metadata or {})["nativeId"] for graph in again.graphs] == ["ses_2"]
    assert len(again.graphs[0].tasks) == 2


async def test_only_the_sessions_of_the_workspace_s_folder_are_taken_until_all_are_asked_for(tmp_path: Path) -> None:
    """A database holds the sessions of every project of the machine."""
    home, project = tmp_path / "home", tmp_path / "shop"
    (project / "src").mkdir(parents=True)
    path = story("ses_1").into_database(home / "opencode.db")
    mine = story("ses_2")
    mine.info["directory"] = str(project / "src")
    mine.into_database(path)
    scoped = split(find([home]), project, {})
    assert scoped.elsewhere == {"/src/shop": 1}
    workspace = tmp_path / "workspace"
    first = await import_found(workspace, scoped.found)
    again = await import_found(workspace, scoped.found)
    every = await import_found(workspace, find([home]))
    assert [(report.sessions, report.unchanged) for report in (first, again, every)] == [(1, 0), (0, 1), (1, 0)]


def test_the_database_wins_over_the_tree_that_it_was_made_of(tmp_path: Path) -> None:
    folder = tmp_path / "opencode"
    story("ses_1").into_database(folder / "opencode.db")
    kept, lost = (story(key).into_tree(folder / "storage") for key in ("ses_1", "ses_2"))
    assert read_parts(kept).graphs == ()
    assert len(read_parts(lost).graphs) == 1


def test_what_is_in_the_write_ahead_log_alone_is_read_and_no_file_is_made(tmp_path: Path) -> None:
    """The program does not bring its log into the database when it ends."""
    source = story().into_database(tmp_path / "source" / "opencode.db")
    with closing(sqlite3.connect(source)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        # As long as somebody reads, the log is not brought into the database.
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM session").fetchall()
        story("ses_2").into_database(source)
        folder = tmp_path / "left"
        folder.mkdir()
        for name in ("opencode.db", "opencode.db-wal"):
            (folder / name).write_bytes((source.parent / name).read_bytes())
    assert (folder / "opencode.db-wal").stat().st_size
    before = sorted(folder.iterdir())
    assert read_parts(folder / "opencode.db").counts.sessions == 2
    assert sorted(folder.iterdir()) == before


def test_a_database_that_is_none_or_has_no_sessions_is_a_clear_error(tmp_path: Path) -> None:
    damaged = tmp_path / "opencode.db"
    damaged.write_bytes(b"SQLite format 3\x00" + bytes(4000))
    other = tmp_path / "opencode-dev.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE session (id)")
    for path, what in ((damaged, "opencode.db"), (other, "no table message")):
        with pytest.raises(IngestError, match=what):
            read_parts(path)


@pytest.mark.parametrize(("table", "column"), [("message", "time_updated"), ("part", "data")])
def test_a_database_of_a_newer_release_is_a_clear_error(tmp_path: Path, table: str, column: str) -> None:
    path = story().into_database(tmp_path / "opencode.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"ALTER TABLE {table} RENAME COLUMN {column} TO renamed")
    with pytest.raises(IngestError, match=rf"cannot be read .*{column}.* a newer release"):
        read_parts(path)


async def test_a_locked_database_is_an_error_with_a_hint_and_is_read_by_the_next_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign_file, "BUSY_SECONDS", 0.0)
    path = story().into_database(tmp_path / "opencode.db")
    workspace = tmp_path / "workspace"
    with closing(sqlite3.connect(path, isolation_level=None)) as program:
        program.execute("BEGIN EXCLUSIVE")
        (issue,) = (await import_found(workspace, find([path]))).errors
        assert "locked by its program" in issue.message
        assert issue.hint == "import again later"
    assert (await import_found(workspace, find([path]))).sessions == 1


async def test_a_large_database_is_read_in_one_import_part_after_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opencode, "MAX_BYTES", 2_000)
    exports = Mock(wraps=database.export)
    monkeypatch.setattr(database, "export", exports)
    path = tmp_path / "opencode.db"
    for number in range(8):
        story(f"ses_{number}").into_database(path)
    workspace = tmp_path / "workspace"
    report = await import_found(workspace, find([path]))
    assert (report.files, report.sessions, report.tasks, report.errors) == (1, 8, 8, ())
    assert exports.call_count == 8
    assert (await import_found(workspace, find([path]))).unchanged == 1


async def test_an_import_that_was_stopped_between_two_parts_goes_on_with_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opencode, "MAX_BYTES", 1)
    path = tmp_path / "opencode.db"
    for number in range(3):
        story(f"ses_{number}").into_database(path)
    workspace = tmp_path / "workspace"

    def stop(progress: ImportProgress) -> None:
        if progress.current:
            raise StoppedError

    with pytest.raises(StoppedError):
        await import_found(workspace, find([path]), stop)
    # A session that was read already, and has changed since.
    grown = story("ses_0")
    grown.prompt("More")
    grown.into_database(path, updated=BASE + 5)
    assert (await import_found(workspace, find([path]))).sessions == 3
    assert (await import_found(workspace, find([path]))).unchanged == 1


def test_a_session_that_is_too_large_or_damaged_costs_itself_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "MAX_LINE_BYTES", 30_000)
    path = tmp_path / "opencode.db"
    for key, more in (("ses_1", "y"), ("ses_2", "x" * 40_000), ("ses_3", "z" * 20_000), ("ses_4", "y")):
        session = story(key)
        session.prompt(more)
        session.into_database(path)
    # A whole page of the text: the chain of its pages is cut.
    data = path.read_bytes()
    at = (data.index(b"z" * 4_000) // 4_096 + 1) * 4_096
    path.write_bytes(data[:at] + bytes(4_096) + data[at + 4_096 :])
    parsed = read_parts(path)
    assert [(graph.metadata or {})["nativeId"] for graph in parsed.graphs] == ["ses_1", "ses_4"]
    assert [why for _, why in parsed.skipped.named] == [
        "a session of more than 256 MiB",
        "a session that the database does not give: it is damaged",
    ]


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), min_size=1, max_size=40))
def test_a_damaged_database_is_read_or_is_a_clear_error(flips: list[tuple[float, int]]) -> None:
    with TemporaryDirectory() as folder:
        path = story().into_database(Path(folder, "opencode.db"))
        data = bytearray(path.read_bytes())
        for place, change in flips:
            data[int(place * len(data))] ^= change
        path.write_bytes(data)
        with suppress(IngestError):
            assert_storable(read_parts(path))


def test_unknown_roles_and_parts_are_counted() -> None:
    session = story()
    session.message("oracle", [])
    session.says("", {"type": "hologram"})
    assert read([session.export], format="opencode").unknown == {"message/oracle": 1, "part/hologram": 1}
