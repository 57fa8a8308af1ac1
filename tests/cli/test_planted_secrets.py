"""Recorded text leaves by no door that does not say so: a secret in any field is in no log, error, report or number.

Exports and the sync, which write text with known shapes hidden, have tests of their own:
``tests/ops/export/test_redact.py`` and ``tests/sync/test_redacted.py``.
"""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, redirect_stderr
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given, settings

from acode_tui import ArtifactType, SessionState, logs, open_workspace
from acode_tui.cli.errors import exit_code_of
from acode_tui.cli.headless import take_sample
from acode_tui.ops.health.metrics import MetricsServer
from tests.cli.conftest import Run
from tests.domain.planted_secrets import Planted, secrets
from tests.domain.secret_corpus import named, owned, shapes

EVERY_SHAPE = tuple(each for each in (*shapes(7), *(found for _, found in owned(7)), *named(7)) if len(each.text) < 900)
FIELDS = 14
QUIET = (
    "status",
    "status --json",
    "db status",
    "db status --json",
    "db check",
    "db check --deep --json",
    "db migrate --dry-run --json",
    "db migrate status",
    "db outbox list",
    "db conflicts",
    "db conflicts --json",
    "db sync now",
    "db sync now --json",
    "db sync status",
    "db sync log",
    "db search rebuild",
    "db backup --json",
    "db backup list --json",
    "db backup verify latest --json",
    "db restore latest --force --json",
    "db vacuum --json",
    "db export --format json --json",
    "db export --format csv",
    "db export --format sqlite --no-redact --json",
    "db validate --compare-checksums",
    "db recover --from postgres",
    "diagnostics",
    "diagnostics --json",
    "config show --json",
    "session show ffffffff",
    "session show ffffffff --json",
    "artifact show ffffffff --json",
    "import ROOT/damaged.jsonl --json",
    "--headless --once",
)
"""Commands that print no recorded text: facts about the workspace, counts, and errors."""


async def record(root: Path) -> None:
    """Every shape in every field that a person or an agent fills."""
    count = len(EVERY_SHAPE)
    async with open_workspace(root) as workspace:
        store = workspace.store
        for number in range(count):
            given = iter([EVERY_SHAPE[(number + field * 31) % count].text for field in range(FIELDS)])
            session = await store.create_session(next(given), metadata={"note": next(given), "deep": [[next(given)]]})
            await store.transition_session(session.id, SessionState.PLANNING, reason=next(given))
            task = await store.add_task(session.id, next(given), description=next(given), metadata={"a": next(given)})
            step = await store.add_step(task.id, next(given), description=next(given))
            call = await store.add_tool_call(step.id, "bash", {"command": next(given)})
            await store.add_artifact(call.id, ArtifactType.FILE_CONTENT, "name", next(given).encode(), "text/plain")
            await store.complete_tool_call(call.id, result={"stdout": next(given)})
            other = await store.add_tool_call(step.id, "bash", {})
            await store.fail_tool_call(other.id, next(given))
        # Records that the server refused are listed with its reason.
        (first, *_) = await workspace.outbox.get_pending(1)
        await workspace.outbox.mark_failed(first.id, "refused")


async def scraped(root: Path) -> str:
    async with open_workspace(root) as workspace:
        return (await MetricsServer(lambda: take_sample(workspace))._page("")).body.decode()


def log_of(root: Path) -> str:
    return "".join(each.read_text() for each in (root / ".agent" / "logs").iterdir())


@pytest.mark.ac("AC-058")
@pytest.mark.timeout(300)
def test_no_recorded_secret_is_in_what_commands_print_or_log(run: Run, root: Path) -> None:
    asyncio.run(record(root))
    damaged = [json.dumps({"type": "user", "message": {"content": each.text}})[:-3] for each in EVERY_SHAPE]
    (root / "damaged.jsonl").write_text("\n".join([*damaged, *(each.text for each in EVERY_SHAPE)]))
    said = {"metrics": asyncio.run(scraped(root))}
    for command in QUIET:
        words = [word.replace("ROOT", str(root)) for word in command.split(" ")]
        result = run("--log-level", "debug", *words)
        said[command] = result.stdout + result.stderr
    said["log"] = log_of(root)
    assert '"level":"debug"' in said["log"].replace(" ", "")
    found = {(door, each.name) for door, text in said.items() for each in EVERY_SHAPE if each.core in text}
    assert found == set()


DAMAGE = (
    ("sessions", "state"),
    ("sessions", "metadata"),
    ("sessions", "created_at"),
    ("sessions", "updated_at"),
    ("session_tasks", "state"),
    ("session_tasks", "metadata"),
    ("steps", "state"),
    ("steps", "updated_at"),
    ("tool_calls", "state"),
    ("tool_calls", "parameters"),
    ("tool_calls", "result"),
    ("tool_calls", "completed_at"),
    ("artifacts", "type"),
    ("artifacts", "created_at"),
    ("artifacts", "content_hash"),
    ("session_events", "to_state"),
    ("session_events", "timestamp"),
    ("outbox", "payload"),
)


@pytest.mark.ac("AC-058")
@pytest.mark.parametrize(("table", "column"), DAMAGE, ids=[f"{table}.{column}" for table, column in DAMAGE])
def test_an_error_about_a_damaged_value_does_not_quote_it(
    run: Run, recorded: object, root: Path, table: str, column: str
) -> None:
    secret = "Zq7hunter-of-pearls-9"
    with closing(sqlite3.connect(root / ".agent" / "workspace.db")) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        # Events and artifacts cannot be changed. The trigger comes back, because foreign schemas are refused.
        name = f"{table}_no_update"
        trigger = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).fetchone()
        if trigger:
            connection.execute(f"DROP TRIGGER {name}")
        assert connection.execute(f"UPDATE {table} SET {column} = ?", (secret,)).rowcount
        if trigger:
            connection.execute(trigger[0])
    # Each of the others with a sixth of the columns: what they share is the reading of rows.
    some = QUIET[DAMAGE.index((table, column)) % 6 :: 6]
    for command in ("session list --json", "search input --json", "db export --format json --json", *some):
        result = run("--log-level", "debug", *(word.replace("ROOT", str(root)) for word in command.split(" ")))
        assert secret not in result.stdout + result.stderr, (command, result.stdout + result.stderr)
    assert secret not in log_of(root)


def test_an_import_that_refuses_an_export_does_not_quote_it(run: Run, recorded: object, root: Path) -> None:
    secret = "Zq7hunter-of-pearls-9"
    path = root / "received.json"
    assert run("db", "export", "--format", "json", "--no-redact", "--output", str(path)).exit_code == 0
    text = path.read_text()
    for value in ('"Planning"', '"InProgress"', '"Failed"', '"FileContent"'):
        assert value in text
        path.write_text(text.replace(value, f'"{secret}"'))
        result = run("--log-level", "debug", "db", "import", str(path), "--json")
        assert result.exit_code == 1
        assert "Invalid" in result.stdout + result.stderr, "it says what is wrong"
        assert secret not in result.stdout + result.stderr + log_of(root)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    agent = tmp_path / ".agent"
    agent.mkdir(mode=0o700)
    logs.configure(agent, level="debug", stderr=True)
    yield tmp_path
    logs.shut_down()


def test_an_error_that_nobody_foresaw_does_not_tell_a_secret(log: Path) -> None:
    @settings(max_examples=200)
    @given(secrets)
    def fail(planted: Planted) -> None:
        def work() -> None:
            try:
                raise KeyError(planted.text)
            except KeyError as cause:
                raise ValueError(f"cannot read {planted.text} here") from cause

        with redirect_stderr(StringIO()) as said:
            assert exit_code_of(work, tuple) == 1
        assert "ACODE-000: unexpected ValueError: cannot read" in said.getvalue()
        assert planted.core not in said.getvalue()

    fail()
    assert log_of(log).count('"defect"') >= 200
