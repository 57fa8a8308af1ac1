"""Secrets planted everywhere in a run are in no export of it, in no format, nor in the log beside it."""

import base64
import binascii
import csv
import json
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acode_tui.config import ExportSettings
from acode_tui.domain.codec import digest
from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.errors import ConfigError
from acode_tui.domain.schema import TABLES
from acode_tui.ops.export.export import FORMATS, ExportRequest
from acode_tui.ops.export.redact import RowRedaction
from acode_tui.workspace import Workspace, open_workspace
from tests.conftest import PLAIN_SETTINGS
from tests.domain.planted_secrets import ORDINARY, Planted, secrets
from tests.domain.secrets.test_redactor import NESTINGS
from tests.memory import folder_for_tests
from tests.ops.export.test_export import plain_rows
from tests.storage.runs import make_run

csv.field_size_limit(10_000_000)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")
SHORT = ("alone", "in a sentence", "in JSON")
"""Writings that fit a description."""


@st.composite
def planted(draw: st.DrawFn) -> tuple[SessionGraph, list[Planted]]:
    """A run with a secret in each of its fields, and all of them."""
    graph = make_run("00000000-0000-0000-0000-000000000007", calls=2)
    found: list[Planted] = []

    def secret(ways: Any = tuple(NESTINGS)) -> str:
        one = draw(secrets)
        found.append(one)
        return NESTINGS[draw(st.sampled_from(sorted(ways)))](one.text)

    def value() -> Any:
        return {"deep": [{secret(): [secret(), 1, None]}, secret()], "plain": "ordinary"}

    (task,) = graph.tasks
    (step,) = task.steps
    calls = []
    for call in step.tool_calls:
        content = secret().encode(draw(st.sampled_from(ENCODINGS)))
        artifact = msgspec.structs.replace(
            call.artifacts[0], name=secret(SHORT), content=content, size=len(content), content_hash=digest(content)
        )
        calls.append(
            msgspec.structs.replace(
                call,
                tool_name=secret(SHORT),
                parameters=value(),
                result=value(),
                error_message=secret(),
                artifacts=(artifact,),
            )
        )
    step = msgspec.structs.replace(
        step, name=secret(SHORT), description=secret(), metadata=value(), tool_calls=tuple(calls)
    )
    task = msgspec.structs.replace(task, title=secret(SHORT), description=secret(), metadata=value(), steps=(step,))
    events = tuple(msgspec.structs.replace(event, reason=secret()) for event in graph.events)
    graph = msgspec.structs.replace(
        graph,
        task_description=secret(["alone"])[:900],
        user_id=secret(SHORT),
        metadata=value(),
        tasks=(task,),
        events=events,
    )
    return graph, found


def readings(path: Path) -> Iterator[str]:
    """Every place of an export where a secret could be read: text, cells, values, decoded content."""
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        data = file.read_bytes()
        if data.startswith(b"SQLite"):
            with sqlite3.connect(file) as connection:
                for table in TABLES.values():
                    for row in connection.execute(f"SELECT * FROM {table.name}"):
                        for value in row:
                            yield from deeper(value if isinstance(value, str) else str(value))
                            if isinstance(value, bytes):
                                yield from decoded(value)
            connection.close()
        elif file.suffix == ".csv":
            with file.open(newline="", encoding="utf-8") as lines:
                for row in csv.reader(lines):
                    for cell in row:
                        yield from deeper(cell)
        else:
            yield from deeper(data.decode())


def deeper(text: str, depth: int = 4) -> Iterator[str]:
    """The text, its text with escapes undone, and its decoded base64."""
    yield text
    if depth == 0:
        return
    if "\\" in text:
        undone = re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", _undone, text, flags=re.DOTALL)
        yield from deeper(undone, depth - 1)
    for run in re.findall(r"[A-Za-z0-9+/_-]{12,}(?:\n[A-Za-z0-9+/]+)*={0,2}", text):
        body = run.replace("\n", "").replace("-", "+").replace("_", "/").rstrip("=")
        try:
            data = binascii.a2b_base64(body + "=" * (-len(body) % 4))
        except binascii.Error:
            continue
        for reading in decoded(data):
            if sum(char.isprintable() for char in reading) > 0.8 * len(reading):
                yield from deeper(reading, depth - 1)


def _undone(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16)) if escape[1] else {"n": "\n", "r": "\r", "t": "\t"}.get(escape[2], escape[2])


def decoded(data: bytes) -> Iterator[str]:
    yield data.decode("utf-8", "replace")
    for encoding in ("utf-16-le", "utf-16-be"):
        yield data[: len(data) - len(data) % 2].decode(encoding, "replace")


def assert_clean(path: Path, found: list[Planted]) -> None:
    everything = "\n".join(readings(path))
    for each in found:
        core = each.core
        # Text breaks where base64 was folded or a page was laid out; what gives a secret away is its beginning, too.
        assert core not in everything, f"{path.name}: {each.text!r}"


@settings(max_examples=5)
@given(run=planted())
async def test_no_planted_secret_is_in_any_export(run: tuple[SessionGraph, list[Planted]]) -> None:
    graph, found = run
    with tempfile.TemporaryDirectory(dir=folder_for_tests()) as folder:
        async with open_workspace(folder, settings=PLAIN_SETTINGS) as workspace:
            await workspace.store.save(graph)
            for format in FORMATS:
                path = Path(folder) / f"out-{format}"
                report = await workspace.export_session(graph.id, format, path)
                assert sum(report.redactions.values()) >= len(found) // 2
                assert_clean(path, found)
                assert report.redaction_log is not None
                assert_clean(Path(report.redaction_log), found)


@pytest.mark.soak
@settings(max_examples=500)
@given(run=planted())
async def test_no_planted_secret_is_in_any_row(run: tuple[SessionGraph, list[Planted]]) -> None:
    graph, found = run
    redaction = RowRedaction(homes=())
    rows = [redaction.row(entity) for entity in plain_rows(graph)]
    text = "\n".join(
        reading for row in rows for reading in deeper(msgspec.json.encode({**msgspec.to_builtins(row)}).decode())
    )
    assert not [each for each in found if each.core in text]


async def test_ordinary_runs_are_exported_to_the_byte(workspace: Workspace, tmp_path: Path) -> None:
    for text in filter(str.strip, ORDINARY):
        graph = make_run(workspace.workspace_id, description=text, user=None)
        call = graph.tasks[0].steps[0].tool_calls[0]
        content = text.encode()
        artifact = msgspec.structs.replace(
            call.artifacts[0], content=content, size=len(content), content_hash=digest(content)
        )
        call = msgspec.structs.replace(call, parameters={"x": [text]}, result=text, artifacts=(artifact,))
        step = msgspec.structs.replace(graph.tasks[0].steps[0], tool_calls=(call,))
        task = msgspec.structs.replace(graph.tasks[0], steps=(step,), description=text)
        await workspace.store.save(msgspec.structs.replace(graph, tasks=(task,)))
    plain = await workspace.export(ExportRequest(path=tmp_path / "plain.json", redact=False))
    redacted = await workspace.export(ExportRequest(path=tmp_path / "redacted.json"))
    assert redacted.redactions == {}
    first, second = (json.loads(Path(each.path).read_bytes())["sessions"] for each in (plain, redacted))
    assert first == second


async def test_a_redacted_artifact_fits_its_hash_and_size(workspace: Workspace, tmp_path: Path) -> None:
    graph = make_run(workspace.workspace_id, calls=1)
    call = graph.tasks[0].steps[0].tool_calls[0]
    content = "token ghp_".encode("utf-16") + ("a1B2" * 9).encode("utf-16-le")
    artifact = msgspec.structs.replace(
        call.artifacts[0], content=content, size=len(content), content_hash=digest(content)
    )
    step = msgspec.structs.replace(
        graph.tasks[0].steps[0], tool_calls=(msgspec.structs.replace(call, artifacts=(artifact,)),)
    )
    await workspace.store.save(
        msgspec.structs.replace(graph, tasks=(msgspec.structs.replace(graph.tasks[0], steps=(step,)),))
    )
    await workspace.export(ExportRequest(path=tmp_path / "x.json"))
    text = (tmp_path / "x.json").read_text()
    (session,) = json.loads(text)["sessions"]
    found = session["tasks"][0]["steps"][0]["toolCalls"][0]["artifacts"][0]
    data = base64.b64decode(found["content"])
    assert data.decode("utf-16") == "token [redacted:github-token]"
    assert found["size"] == len(data)
    assert found["contentHash"] == digest(data)
    assert digest(content) not in text


async def test_the_log_counts_by_kind_and_place(workspace: Workspace, tmp_path: Path) -> None:
    await workspace.store.create_session("mail ada@example.org and bob@example.org", metadata={"cwd": "/home/ada/x"})
    report = await workspace.export(ExportRequest(path=tmp_path / "x.json"))
    assert report.redaction_log == str(tmp_path / "x.json.redactions.json")
    log = json.loads(Path(report.redaction_log).read_bytes())
    assert log["kinds"] == report.redactions == {"email": 3, "home-path": 1}
    assert log["total"] == 4
    assert log["export"] == "x.json"
    assert log["places"] == {
        "sessions.metadata": {"home-path": 1},
        "sessions.task_description": {"email": 2},
        "sessions.user_id": {"email": 1},
    }
    assert Path(report.redaction_log).stat().st_mode & 0o777 == 0o600


async def test_configuration_adds_patterns_and_can_switch_redaction_off(tmp_path: Path) -> None:
    given = ExportSettings(patterns=(r"ACME-\d+",))
    async with open_workspace(tmp_path, settings=msgspec.structs.replace(PLAIN_SETTINGS, export=given)) as workspace:
        await workspace.store.create_session("ticket ACME-17", user_id="x")
        report = await workspace.export(ExportRequest(path=tmp_path / "x.json"))
        assert report.redactions == {"pattern-1": 1}
        assert "ACME-17" not in (tmp_path / "x.json").read_text()
        for settings_given in (ExportSettings(redact=False), given):
            workspace.settings = msgspec.structs.replace(PLAIN_SETTINGS, export=settings_given)
            redact = None if not settings_given.redact else False
            report = await workspace.export(ExportRequest(path=tmp_path / "y.json", redact=redact, overwrite=True))
            assert not report.redacted
            assert report.redaction_log is None
            assert "ACME-17" in (tmp_path / "y.json").read_text()


async def test_a_catastrophic_pattern_ends_the_export_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("acode_tui.domain.secrets.patterns.PATTERN_SECONDS", 0.05)
    given = ExportSettings(patterns=("(a|aa)+$",))
    async with open_workspace(tmp_path, settings=msgspec.structs.replace(PLAIN_SETTINGS, export=given)) as workspace:
        await workspace.store.create_session("a" * 200 + "!")
        with pytest.raises(ConfigError, match="pattern 1 took longer"):
            await workspace.export(ExportRequest(path=tmp_path / "x.json"))
    assert not list(tmp_path.glob("x*"))
