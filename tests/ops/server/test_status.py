"""The operator's view of the team's database."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from acode_tui.cli.main import cli
from tests.pg import Database
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import add_run, opened


async def test_the_status_has_sizes_growth_connections_and_says_what_is_not_collected(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, time) as workspace:
        await add_run(workspace)
        await workspace.sync.sync_now()
    await team.execute("UPDATE sessions SET created_at = now()", "ANALYZE")
    monkeypatch.setenv("ACODE_PERSISTENCE__POSTGRES__ENABLED", "true")
    arguments = ["--workspace", str(tmp_path), "db", "server", "status"]
    found = json.loads((await asyncio.to_thread(CliRunner().invoke, cli, [*arguments, "--json"])).stdout)
    sizes = {each["table"]: each for each in found["tables"]}
    assert sizes["tool_calls"]["rows"] == sizes["sessions"]["rows"] == found["workspaces"] == 1
    assert sizes["sync_inbox"]["rows"] == 6
    assert (found["distributed"], found["nodes"]) == (False, 1)
    assert found["growth"]["sessions"] == 1
    assert found["growth"]["bytesADay"] == pytest.approx(
        sum(each["bytes"] + each["indexBytes"] for each in found["tables"]) / 7, abs=1
    )
    assert 1 <= found["connections"]["acode"] <= found["connections"]["used"] < found["connections"]["most"]
    assert found["slowStatements"] is None
    assert "CREATE EXTENSION pg_stat_statements" in found["hint"]
    assert found["lastPrune"] is None
    shown = await asyncio.to_thread(CliRunner().invoke, cli, arguments)
    assert shown.exit_code == 0, shown.output
    assert "tool_calls" in shown.stdout
