"""An import restores what was exported; a bad file is refused with a clear error and changes nothing."""

import json
import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acode_tui.config import Settings
from acode_tui.domain.codec import encode_json
from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.errors import AcodeError, ExportError
from acode_tui.domain.validation import Limits
from acode_tui.ops.export import parse_json
from acode_tui.ops.export.export import ExportRequest
from acode_tui.ops.export.import_ import ImportedRuns
from acode_tui.ops.export.parse_json import Issue, JsonExport, ReadRun, read_run
from acode_tui.workspace import Workspace, open_workspace
from tests.conftest import PLAIN_SETTINGS
from tests.domain.graphs import graphs
from tests.memory import folder_for_tests
from tests.ops.export.test_export import stored
from tests.storage.runs import T0, edited, make_run

Mutate = Callable[[dict[str, Any]], object]


@pytest.fixture
async def exported(workspace: Workspace, tmp_path: Path) -> Path:
    """An export of two runs, unredacted."""
    for number in range(2):
        await workspace.store.save(make_run(workspace.workspace_id, description=f"Run {number} of ada@example.org"))
    path = tmp_path / "runs.json"
    await workspace.export(ExportRequest(path=path, redact=False))
    return path


@asynccontextmanager
async def another(tmp_path: Path, name: str = "other", settings: Settings = PLAIN_SETTINGS) -> AsyncIterator[Workspace]:
    (tmp_path / name).mkdir()
    async with open_workspace(tmp_path / name, settings=settings) as opened:
        yield opened


def changed(path: Path, mutate: Mutate) -> Path:
    """A copy of the export, changed."""
    document = json.loads(path.read_bytes())
    mutate(document)
    copy = path.with_name("changed.json")
    copy.write_text(json.dumps(document))
    return copy


def first_call(document: dict[str, Any]) -> dict[str, Any]:
    call: dict[str, Any] = document["sessions"][0]["tasks"][0]["steps"][0]["toolCalls"][0]
    return call


@pytest.mark.parametrize("format", ["json", "sqlite"])
async def test_an_export_is_imported_whole_and_a_second_import_writes_nothing(
    workspace: Workspace, exported: Path, tmp_path: Path, format: str
) -> None:
    path = tmp_path / "again"
    await workspace.export(ExportRequest(format=format, path=path, redact=False))  # type: ignore[arg-type]
    async with another(tmp_path) as other:
        dry = await other.import_export(path, dry_run=True)
        assert (await other.store.list()).total == 0
        first = await other.import_export(path)
        assert first.ok
        assert first.format == format
        assert first.inserted == dry.inserted == first.counts
        assert await stored(other) == await stored(workspace)
        pending = (await other.outbox.stats()).pending
        assert pending == first.written
        second = await other.import_export(path)
        assert second.ok
        assert second.written == 0
        assert second.unchanged == first.written
        assert (await other.outbox.stats()).pending == pending


@settings(max_examples=8)
@given(runs=st.lists(graphs(), max_size=2, unique_by=lambda graph: graph.id))
async def test_any_run_is_imported_equal(runs: list[SessionGraph]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(dir=folder_for_tests()) as folder:
        async with another(Path(folder), "a") as first, another(Path(folder), "b") as second:
            for run in runs:
                await first.store.save(run)
            for name, format in (("x.json", "json"), ("x.db", "sqlite")):
                path = Path(folder) / name
                await first.export(ExportRequest(format=format, path=path, redact=False))  # type: ignore[arg-type]
                report = await second.import_export(path)
                assert report.ok, report
            assert await stored(second) == await stored(first)
            assert report.written == 0


async def test_the_layout_of_the_json_does_not_matter(exported: Path, tmp_path: Path) -> None:
    document = json.loads(exported.read_bytes())
    turned = dict(reversed(document.items()))
    for number, text in enumerate(
        (json.dumps(document, indent=4), json.dumps(turned), "\ufeff" + json.dumps(document))
    ):
        path = tmp_path / f"{number}.json"
        path.write_text(text, encoding="utf-8")
        async with another(tmp_path, f"w{number}") as other:
            assert (await other.import_export(path)).written == 20


async def test_fields_of_a_newer_program_are_tolerated(exported: Path, tmp_path: Path) -> None:
    def add(document: dict[str, Any]) -> None:
        document["mood"] = {"sessions": []}
        document["sessions"][0]["mood"] = [{"x": "}"}]

    async with another(tmp_path) as other:
        assert (await other.import_export(changed(exported, add))).written == 20


async def test_siblings_that_two_machines_gave_one_place_are_renumbered(exported: Path, tmp_path: Path) -> None:
    def double(document: dict[str, Any]) -> None:
        for session in document["sessions"]:
            for call in session["tasks"][0]["steps"][0]["toolCalls"]:
                call["order"] = 1

    path = changed(exported, double)
    async with another(tmp_path) as other:
        assert (await other.import_export(path)).written == 20
        assert (await other.import_export(path)).written == 0
        graph = await other.store.get_with_hierarchy((await other.store.list()).sessions[0].id)
        assert [call.order for call in graph.tasks[0].steps[0].tool_calls] == [0, 1]


async def test_the_later_version_of_a_row_stays_on_either_side(
    workspace: Workspace, exported: Path, tmp_path: Path
) -> None:
    ids = [session.id for session in await workspace.store.list()]
    graph = await workspace.store.get_with_hierarchy(ids[0])
    await workspace.store.save(edited(graph, seconds=60, task_description="edited here later"))
    before = await stored(workspace)
    report = await workspace.import_export(exported)
    assert report.ok
    assert report.written == 0
    assert await stored(workspace) == before
    newer = tmp_path / "newer.json"
    await workspace.export(ExportRequest(path=newer, redact=False))
    async with another(tmp_path) as other:
        await other.import_export(exported)
        report = await other.import_export(newer)
        assert report.updated["sessions"] == 1
        assert await stored(other) == before
        back = await other.import_export(exported)
        assert back.written == 0
        forced = await other.import_export(exported, force=True)
        assert forced.updated["sessions"] == 1
        assert (await other.store.get(ids[0])).task_description != "edited here later"


async def test_two_workspaces_that_swap_exports_agree(workspace: Workspace, exported: Path, tmp_path: Path) -> None:
    (first, _) = (await workspace.store.list()).sessions
    async with another(tmp_path) as other:
        await other.import_export(exported)
        stamp = msgspec.structs.replace(
            await other.store.get_with_hierarchy(first.id), updated_at=T0.replace(year=2027)
        )
        await workspace.store.save(msgspec.structs.replace(stamp, task_description="said here"))
        await other.store.save(msgspec.structs.replace(stamp, task_description="said there"))
        ours, theirs = tmp_path / "ours.json", tmp_path / "theirs.json"
        await workspace.export(ExportRequest(path=ours, redact=False))
        await other.export(ExportRequest(path=theirs, redact=False))
        await workspace.import_export(theirs)
        await other.import_export(ours)
        descriptions = [(await each.store.get(first.id)).task_description for each in (workspace, other)]
        assert descriptions in (["said here"] * 2, ["said there"] * 2)


async def test_a_redacted_export_never_overwrites_what_it_was_made_from(workspace: Workspace, exported: Path) -> None:
    redacted = exported.with_name("redacted.json")
    await workspace.export(ExportRequest(path=redacted))
    before = await stored(workspace)
    report = await workspace.import_export(redacted)
    assert not report.ok
    assert sorted(report.refused) == sorted(before)
    assert await stored(workspace) == before
    forced = await workspace.import_export(redacted, force=True)
    assert forced.ok
    assert forced.updated["sessions"] == 2
    assert (await workspace.store.list()).sessions[0].task_description.endswith("[redacted:email]")


async def test_a_redacted_export_is_read_where_nothing_of_it_is(
    workspace: Workspace, exported: Path, tmp_path: Path
) -> None:
    redacted = exported.with_name("redacted.json")
    await workspace.export(ExportRequest(path=redacted))
    async with another(tmp_path) as other:
        assert (await other.import_export(redacted)).written == 20
        assert (await other.import_export(redacted)).ok
        # The originals are another content, and theirs is the larger right.
        assert (await other.import_export(exported)).ok


async def test_a_redacted_export_is_not_imported_into_a_workspace_that_syncs(
    workspace: Workspace, exported: Path, tmp_path: Path
) -> None:
    redacted = exported.with_name("redacted.json")
    await workspace.export(ExportRequest(path=redacted))
    persistence = msgspec.structs.replace(
        PLAIN_SETTINGS.persistence,
        postgres=msgspec.structs.replace(PLAIN_SETTINGS.persistence.postgres, enabled=True),
    )
    async with another(tmp_path, settings=msgspec.structs.replace(PLAIN_SETTINGS, persistence=persistence)) as other:
        with pytest.raises(ExportError, match="redacted"):
            await other.import_export(redacted)
        assert (await other.store.list()).total == 0
        assert (await other.import_export(redacted, force=True)).written == 20


BAD: dict[str, tuple[Mutate, str]] = {
    "a state that is none": (lambda d: first_call(d).update(state="Dancing"), "$.tasks[0].steps[0].toolCalls[0].state"),
    "a number for a text": (lambda d: d["sessions"][0].update(taskDescription=7), "$.taskDescription"),
    "a missing field": (lambda d: d["sessions"][0].pop("workspaceId"), ""),
    "a time without a zone": (lambda d: first_call(d).update(createdAt="2026-01-01T00:00:00"), "created_at"),
    "a time that is none": (
        lambda d: first_call(d).update(createdAt="soon"),
        "$.tasks[0].steps[0].toolCalls[0].createdAt",
    ),
    "an id that is none": (lambda d: first_call(d).update(id="'; DROP TABLE sessions; --"), "tool_call.id"),
    "an id that stands twice": (lambda d: first_call(d).update(id=d["sessions"][0]["id"]), "tool_call.id"),
    "a huge number": (lambda d: first_call(d).update(order=10**400), ""),
    "a negative order": (lambda d: first_call(d).update(order=-1), "order"),
    "content of another hash": (lambda d: first_call(d)["artifacts"][0].update(content="AAAA"), "size"),
    "no content": (lambda d: first_call(d)["artifacts"][0].update(content=None), "content"),
    "content that is no base64": (lambda d: first_call(d)["artifacts"][0].update(content="???"), ""),
    "a text with NUL": (lambda d: d["sessions"][0].update(taskDescription="a\x00b"), "task_description"),
    "a lone surrogate": (lambda d: d["sessions"][0].update(taskDescription="a\ud800b"), ""),
    "a session that is none": (lambda d: d["sessions"].__setitem__(0, {}), ""),
    "another's child": (lambda d: first_call(d).update(sessionId=d["sessions"][1]["id"]), "tool_call.session_id"),
}


async def test_one_bad_run_is_named_by_line_and_field_and_nothing_is_written(exported: Path, tmp_path: Path) -> None:
    async with another(tmp_path) as other:
        for what, (mutate, field) in BAD.items():
            report = await other.import_export(changed(exported, mutate))
            assert not report.ok, what
            (issue,) = report.errors
            assert issue.line == 1, what
            assert field in (issue.field or "") or field in issue.message, what
            assert issue.message, what
            assert report.written == 0, what
        assert (await other.store.list()).total == 0


WHOLE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut off": (lambda data: data[: len(data) // 2], "cut off"),
    "cut off at the end": (lambda data: data[:-3], "cut off"),
    "empty": (lambda data: b"", "no export"),
    "another format": (lambda data: data.replace(b'"acode-export"', b'"acode-diary"'), "another one"),
    "a newer version": (lambda data: data.replace(b'"formatVersion":2', b'"formatVersion":99'), "upgrade"),
    "a list": (lambda data: b"[" + data + b"]", "no export"),
    "a session that is a number": (lambda data: data.replace(b'"sessions":[', b'"sessions":[7,'), "no object"),
    "a session that is a list": (lambda data: data.replace(b'"sessions":[', b'"sessions":[[],'), "no object"),
    "something behind it": (lambda data: data + b"{}", "follows the end"),
    "fewer rows than it says": (lambda data: data.replace(b'"sessions":2', b'"sessions":3'), "copy the file again"),
    "deep nesting": (
        lambda data: data.replace(b'"sessions":[', b'"sessions":[{"x":' + b"[" * 100_000),
        "nested deeper",
    ),
    "no JSON": (lambda data: b"\x00\xff\xfe" * 1000, "no export"),
    "UTF-16": (lambda data: data.decode().encode("utf-16"), "no export"),
    "a string without end": (lambda data: data[:-1] + b',"x":"' + b"a" * 3_000_000, "follows"),
    "only brackets": (lambda data: b"]" * 1000, "no export"),
}


async def test_a_file_that_is_not_an_export_is_refused_with_a_clear_error(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    async with another(tmp_path) as other:
        for what, (spoil, words) in WHOLE.items():
            path.write_bytes(spoil(exported.read_bytes()))
            with pytest.raises(ExportError) as refused:
                await other.import_export(path)
            assert words in str(refused.value), what
            assert refused.value.message.startswith(f"{path}: "), what
        assert (await other.store.list()).total == 0


async def test_a_foreign_or_hostile_sqlite_file_is_refused_with_a_clear_error(
    workspace: Workspace, exported: Path, tmp_path: Path
) -> None:
    foreign, cut, hostile, view = (tmp_path / f"{name}.db" for name in ("foreign", "cut", "hostile", "view"))
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE sessions (id TEXT)")
    connection.close()
    await workspace.export(ExportRequest(format="sqlite", path=hostile, redact=False))
    cut.write_bytes(hostile.read_bytes()[:9000])
    with sqlite3.connect(view) as connection:
        connection.execute(
            "CREATE VIEW sessions AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id FROM n) SELECT * FROM n"
        )
    connection.close()
    with sqlite3.connect(hostile) as connection:
        connection.execute("UPDATE sessions SET state = 'Dancing' WHERE id = (SELECT min(id) FROM sessions)")
        connection.execute("UPDATE tool_calls SET parameters = '{' WHERE session_id = (SELECT max(id) FROM sessions)")
    connection.close()
    async with another(tmp_path) as other:
        for path in (foreign, cut, view):
            with pytest.raises(AcodeError):
                await other.import_export(path)
        report = await other.import_export(hostile)
        for issue in report.errors:
            assert re.match(r"a row of (sessions|tool_calls) has a value that it cannot have: ", issue.message)
        assert len(report.errors) == 2
        assert (await other.store.list()).total == 0


async def test_an_id_of_another_session_fails_that_run_alone(
    workspace: Workspace, exported: Path, tmp_path: Path
) -> None:
    def steal(document: dict[str, Any]) -> None:
        thief, owner = document["sessions"]
        thief["tasks"][0]["id"] = owner["tasks"][0]["id"]
        stolen = owner["tasks"][0]["id"]
        (step,) = thief["tasks"][0]["steps"]
        held = [*thief["tasks"][0]["artifacts"], *step["artifacts"]]
        held += [each for call in step["toolCalls"] for each in call["artifacts"]]
        for row in (step, *held):
            row["taskId"] = stolen

    async with another(tmp_path) as other:
        report = await other.import_export(changed(exported, steal))
        assert len(report.errors) == 1
        assert (await other.store.list()).total == 1


# Fuzz: a damaged export is parsed as an export, or gives an ExportError or issues; no other exception is raised.

_RUN = encode_json(make_run("00000000-0000-0000-0000-000000000007", calls=1)).decode()
_DOCUMENT = (
    '{"format":"acode-export","formatVersion":2,"redacted":false,"sessions":[\n' + _RUN + '\n],"counts":{"sessions":1}}'
).encode()
_PIECES = [
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b"\\",
    b",",
    b":",
    b"null",
    b"-1e999",
    b"1" * 400,
    b"\xff",
    b"\x00",
    b'"\\ud800"',
]
_EDITS = st.lists(
    st.tuples(
        st.integers(0, len(_DOCUMENT)),
        st.integers(0, 40),
        st.one_of(st.sampled_from(_PIECES), st.binary(max_size=8)),
    ),
    min_size=1,
    max_size=6,
)


def read_any(data: bytes, folder: Path) -> None:
    path = folder / "fuzzed.json"
    path.write_bytes(data)
    try:
        for raw in JsonExport(path).runs():
            found = read_run(raw, Limits())
            assert isinstance(found, (ReadRun, Issue))
    except ExportError:
        return


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@given(_EDITS, st.integers(0, len(_DOCUMENT)))
def test_no_mutated_export_raises_anything_else(scratch: Path, edits: list[tuple[int, int, bytes]], end: int) -> None:
    data = _DOCUMENT
    for at, length, piece in edits:
        data = data[:at] + piece + data[at + length :]
    read_any(data, scratch)
    read_any(data[:end], scratch)


@pytest.mark.soak
@settings(max_examples=2_500)
@given(_EDITS, st.integers(0, len(_DOCUMENT)), st.integers(1, 64))
def test_no_mutated_export_raises_anything_else_in_a_long_run(
    scratch: Path, edits: list[tuple[int, int, bytes]], end: int, chunk: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parse_json, "_CHUNK", chunk)
        test_no_mutated_export_raises_anything_else.hypothesis.inner_test(scratch, edits, end)  # type: ignore[attr-defined]


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64, 1000])
def test_any_chunk_boundary_gives_the_same_result(scratch: Path, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse_json, "_CHUNK", chunk)
    path = scratch / "chunks.json"
    path.write_bytes(_DOCUMENT)
    export = JsonExport(path)
    (raw,) = export.runs()
    assert raw.data.decode() == _RUN
    assert raw.line == 2
    assert export.head is not None
    assert export.head.counts == {"sessions": 1}


def test_a_report_is_ok_if_it_has_no_issue() -> None:
    plain: dict[str, Any] = {
        "path": "x", "format": "json", "redacted": False, "dry_run": False, "counts": {}, "inserted": {"a": 1},
        "updated": {"b": 2}, "unchanged": 0, "duration_seconds": 0.0,
    }  # fmt: skip
    assert ImportedRuns(**plain).ok
    assert ImportedRuns(**plain).written == 3
    assert not ImportedRuns(**plain, refused=("x",)).ok
