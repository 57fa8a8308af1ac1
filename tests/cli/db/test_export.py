"""``db export`` and ``db import`` from the command line."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.cli.conftest import HOSTILE, Recorded, Run, answer
from tests.cli.test_status import trace

REPORT = {
    "path", "format", "redacted", "counts", "redactions", "redactionLog", "sizeBytes", "dryRun", "durationSeconds",
}  # fmt: skip
IMPORTED = {
    "path", "format", "redacted", "dryRun", "counts", "inserted", "updated", "unchanged", "errors", "refused",
    "durationSeconds",
}  # fmt: skip
TABLES = {"sessions", "session_events", "session_tasks", "steps", "tool_calls", "artifacts"}


@pytest.mark.parametrize("format", ["json", "csv", "sqlite", "markdown", "html"])
def test_every_format_reports_counts_and_path(run: Run, recorded: Recorded, root: Path, format: str) -> None:
    found = answer(run("db", "export", "--format", format, "--session", recorded.session, "--json"))
    assert set(found) == REPORT
    assert set(found["counts"]) == TABLES
    assert found["counts"]["tool_calls"] == 1
    assert found["redacted"] is True
    path = Path(found["path"])
    assert path.parent == root / ".agent" / "exports"
    assert path.exists()
    assert Path(found["redactionLog"]).exists()


def test_the_output_names_the_file_its_counts_and_the_redaction(run: Run, recorded: Recorded, tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    shown = run("db", "export", "--output", str(path))
    assert shown.exit_code == 0
    assert f"{path}: 1 session, 1 task, 1 step, 1 tool call, 1 artifact, 1 event" in shown.stdout
    assert "nothing was redacted" in run("db", "export", "--no-redact").stderr
    dry = run("db", "export", "--dry-run", "--output", str(tmp_path / "not.json"))
    assert "would write" in dry.stdout
    assert not (tmp_path / "not.json").exists()


def test_an_empty_workspace_names_the_next_step(run: Run) -> None:
    shown = run("db", "export")
    assert shown.exit_code == 0
    assert "acode-tui import --all" in shown.stderr


def test_an_existing_file_requires_force(run: Run, recorded: Recorded, tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    path.write_text("mine")
    refused = run("db", "export", "--output", str(path))
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: ACODE-EXPORT-001: ")
    assert "--force" in refused.stderr
    assert path.read_text() == "mine"
    assert run("db", "export", "--output", str(path), "--force").exit_code == 0
    assert json.loads(path.read_text())["format"] == "acode-export"


@pytest.mark.parametrize("format_", ["json", "sqlite", "markdown"])
def test_a_dash_is_standard_output(run: Run, recorded: Recorded, root: Path, tmp_path: Path, format_: str) -> None:
    arguments = ("db", "export", "--format", format_, "--session", recorded.session)
    path = tmp_path / "runs"
    run(*arguments, "--output", str(path))
    written = run(*arguments, "--output", "-")
    assert written.exit_code == 0
    assert "standard output: 1 session" in written.stderr
    if format_ == "sqlite":
        assert written.stdout_bytes.startswith(b"SQLite format 3\0")
        assert len(written.stdout_bytes) == path.stat().st_size
    else:
        # All but the line with the moment of the export.
        lines, others = written.stdout_bytes.splitlines(), path.read_bytes().splitlines()
        assert len(lines) == len(others)
        assert sum(line != other for line, other in zip(lines, others, strict=True)) <= 1
    assert not Path("-").exists()
    assert list((root / ".agent" / "exports").iterdir()) == []


def test_what_cannot_go_to_standard_output_is_refused(
    run: Run, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments in (("--format", "csv"), ("--json",)):
        refused = run("db", "export", "--output", "-", *arguments)
        assert (refused.exit_code, refused.stdout) == (2, "")
    monkeypatch.setattr("acode_tui.cli.db.export.is_terminal", lambda: True)
    refused = run("db", "export", "--format", "sqlite", "--output", "-")
    assert (refused.exit_code, refused.stdout) == (2, "")
    shown = run("db", "export", "--no-redact", "--output", "-")
    assert shown.exit_code == 0
    assert "Add" in shown.stdout
    assert not {"\x1b", "\x07", "\u202e", "\x9b"}.intersection(shown.stdout)


def test_a_report_requires_one_session(run: Run, recorded: Recorded) -> None:
    refused = run("db", "export", "--format", "html")
    assert refused.exit_code == 1
    assert "--session ID" in refused.stderr


def test_an_export_is_imported_into_another_workspace_only_once(run: Run, recorded: Recorded, tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    run("db", "export", "--no-redact", "--output", str(path))
    (tmp_path / "elsewhere").mkdir()
    there = ("--workspace", str(tmp_path / "elsewhere"))
    dry = answer(run(*there, "db", "import", str(path), "--dry-run", "--json"))
    assert set(dry) == IMPORTED
    assert dry["inserted"] == dry["counts"]
    assert answer(run(*there, "session", "list", "--json"))["sessions"] == []
    assert answer(run(*there, "db", "import", str(path), "--json"))["inserted"] == dry["counts"]
    again = run(*there, "db", "import", str(path))
    assert "0 rows were added, 0 rows changed, 6 unchanged" in again.stdout
    shown = answer(run(*there, "session", "show", recorded.session, "--json"))
    assert shown["taskDescription"] == HOSTILE
    saved = run(*there, "artifact", "save", recorded.artifact, "-")
    assert saved.stdout_bytes == recorded.content


def test_a_dry_run_creates_no_workspace_and_migrates_none(
    run: Run, recorded: Recorded, root: Path, tmp_path: Path
) -> None:
    path, empty = tmp_path / "runs.json", tmp_path / "empty"
    run("db", "export", "--output", str(path))
    empty.mkdir()
    there = ("--workspace", str(empty))
    assert answer(run(*there, "db", "import", str(path), "--dry-run", "--json"))["inserted"]["sessions"] == 1
    refused = run(*there, "db", "export", "--dry-run")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: ACODE-DB-001: there is no database in ")
    assert list(empty.iterdir()) == []
    with closing(sqlite3.connect(root / ".agent" / "workspace.db")) as connection, connection:
        connection.execute("DELETE FROM schema_migrations WHERE version = '1.5.0'")
        connection.execute("DROP INDEX figures_sessions_by_cost")
        connection.execute("ALTER TABLE figures_sessions DROP COLUMN priced")
    before = trace(root / ".agent")
    for arguments in (("export",), ("import", str(path))):
        refused = run("db", *arguments, "--dry-run")
        assert refused.exit_code == 1
        assert refused.stderr.startswith("error: ACODE-DB-004: 1 migration pending, and a dry run applies none")
    assert trace(root / ".agent") == before


def test_a_bad_file_is_named_with_line_and_field_and_no_traceback(run: Run, recorded: Recorded, tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    run("db", "export", "--output", str(path))
    text = path.read_text()
    path.write_text(text.replace('"order":0', '"order":"first"'))
    refused = run("db", "import", str(path))
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: ACODE-EXPORT-001: ")
    assert "line 2: session " in refused.stderr
    assert "$.tasks[0].order" in refused.stderr
    path.write_text(text[:200])
    cut = run("db", "import", str(path))
    assert cut.exit_code == 1
    assert "cut off" in cut.stderr
    for bad in (tmp_path, tmp_path / "nowhere.json"):
        result = run("db", "import", str(bad))
        assert result.exit_code == 1
        assert result.stderr.startswith("error: ACODE-")


_ID = st.one_of(
    st.text(max_size=12),
    st.text("0123456789abcdefABCDEF-", max_size=40),
    st.sampled_from(
        ["", " ", "'", "%", "_", "*", "'; DROP TABLE sessions; --", "\x00", "\ud800", "\u202e", "-", "0" * 5000]
    ),
)
_TAKES_AN_ID = (
    ("session", "show"),
    ("artifact", "show"),
    ("db", "export", "--dry-run", "--session"),
    ("db", "conflicts", "show"),
    ("db", "outbox", "retry"),
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_id=_ID, command=st.sampled_from(_TAKES_AN_ID))
@example(given_id="\ud800", command=("session", "show"))
@example(given_id="9" * 400, command=("db", "outbox", "retry"))
def test_a_command_with_an_invalid_id_fails_with_a_message(
    run: Run, recorded: Recorded, given_id: str, command: tuple[str, ...]
) -> None:
    result = run(*command, "--", given_id) if "--session" not in command else run(*command, given_id)
    assert result.exit_code in (0, 1, 2)
    if result.exit_code:
        assert result.stderr.splitlines()[-1].startswith("error: ")
        assert "defect" not in result.stderr
        assert "\u202e" not in result.stderr


@pytest.mark.parametrize("format_", ["json", "csv", "sqlite"])
def test_files_of_a_killed_export_are_deleted_by_the_next(
    run: Run, recorded: Recorded, root: Path, tmp_path: Path, format_: str
) -> None:
    code = (
        "import os, signal\n"
        "from acode_tui.ops.export import redact\n"
        "redact.RowRedaction.row = lambda self, entity: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from acode_tui.cli.main import main\n"
        "main()\n"
    )
    out = tmp_path / "out"
    out.mkdir()
    before = [sys.executable, "-c", code, "--workspace", str(root), "db", "export", "--format", format_]
    killed = subprocess.run([*before, "--output", str(out / "x")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [each.name[:3] for each in out.iterdir()] == [".x."]
    assert run("db", "export", "--output", str(out / "y.json")).exit_code == 0
    assert {each.name for each in out.iterdir()} == {"y.json", "y.json.redactions.json"}


def test_an_interrupted_export_leaves_nothing(recorded: Recorded, root: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "started"
    os.mkfifo(fifo)
    # The process stands still in the middle of the first row until the export has heard of its interruption.
    code = (
        "import asyncio, os, threading\n"
        "from acode_tui.ops.export import export, redact\n"
        "heard = threading.Event()\n"
        "def event():\n"
        "    heard.loop = asyncio.get_running_loop()\n"
        "    return heard\n"
        "export.Event = event\n"
        "def row(self, entity):\n"
        f"    os.close(os.open({str(fifo)!r}, os.O_WRONLY))\n"
        # A loop that is on its way to sleep hears a signal when it is next woken.
        "    while not heard.wait(0.02):\n"
        "        heard.loop.call_soon_threadsafe(int)\n"
        "    return entity\n"
        "redact.RowRedaction.row = row\n"
        "from acode_tui.cli.main import main\n"
        "main()\n"
    )
    out = tmp_path / "out"
    out.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", code, "--workspace", str(root), "db", "export", "--output", str(out / "x.json")],
        stderr=subprocess.PIPE,
        text=True,
    )
    with fifo.open("rb"):
        process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert error.strip() == "interrupted"
    assert list(out.iterdir()) == []


def test_help_does_not_import_the_modules_of_an_export() -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom acode_tui.cli.main import cli\n"
        "assert CliRunner().invoke(cli, ['db', 'export', '--help']).exit_code == 0\n"
        "late = ('acode_tui.ops.export.export', 'acode_tui.domain.secrets.redactor', 'regex')\n"
        "print([m for m in late if m in sys.modules])"
    )
    started = time.monotonic()
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]", time.monotonic() - started
