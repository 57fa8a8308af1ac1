"""``stats``: what it prints, and its errors."""

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from acode_tui import open_workspace
from acode_tui.domain.clock import system_clock
from acode_tui.domain.entities import SessionGraph
from acode_tui.ops.stats import rates
from acode_tui.ops.stats.rates import Answer, Rate
from tests.cli.conftest import Run, answer
from tests.domain.search.runs import call, make_run

DAY = system_clock().replace(hour=12) - timedelta(days=3)
TOKENS = {"input": 1_000, "output": 200, "cacheRead": 30_000, "cacheWrite": 400}


def runs() -> list[SessionGraph]:
    def made(model: str, project: str, days: int, **more: Any) -> SessionGraph:
        metadata = {"source": "codex", "cwd": f"/src/{project}", "models": [model], "tokens": TOKENS, **more}
        calls = (call("Bash"), call("Bash", error="no"), call("Read"))
        return make_run("count", calls, at=DAY + timedelta(days=days), metadata=metadata)

    return [made("m-1", "shop", 0), made("m-2", "shop", 1), made("m-1", "[red]site", 1, cost=2.5)]


@pytest.fixture
def recorded_runs(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def look_up(models: object) -> Answer:
        return {"m-1": (Rate(0, 0, 1e-3, 2e-3, 1e-5, 0.0, 0.0),), "m-2": None}

    monkeypatch.setattr(rates, "_look_up", look_up)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    async def record() -> None:
        async with open_workspace(root) as workspace:
            for run in runs():
                await workspace.store.save(run)

    asyncio.run(record())


@pytest.mark.usefixtures("recorded_runs")
def test_rows_have_the_keys_of_the_contract(run: Run) -> None:
    found = answer(run("stats", "--by", "project", "--json"))
    assert found == {
        "rows": [
            {"key": "[red]site", "sessions": 1, "toolCalls": 3, "failed": 1, "tokens": TOKENS, "cost": 2.5},
            {
                "key": "shop", "sessions": 2, "toolCalls": 6, "failed": 2, "cost": pytest.approx(1 + 0.4 + 0.3),
                "tokens": {name: 2 * count for name, count in TOKENS.items()},
            },
        ],
        "cost": {"total": pytest.approx(4.2), "unpriced": ["m-2"]},
    }  # fmt: skip
    by_tool = answer(run("stats", "project:shop", "--by", "tool", "--json"))
    assert [(row["key"], row["toolCalls"], row["failed"]) for row in by_tool["rows"]] == [
        ("Bash", 4, 2),
        ("Read", 2, 0),
    ]
    assert by_tool["cost"] == {"total": pytest.approx(1.7), "unpriced": ["m-2"]}
    days = answer(run("stats", "since:2d", "--json"))["rows"]
    assert [(row["key"], row["sessions"]) for row in days] == [(f"{DAY + timedelta(days=1):%Y-%m-%d}", 2)]


@pytest.mark.usefixtures("recorded_runs")
def test_text_is_a_table_with_totals_that_names_what_has_no_price(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = run("stats", "--by", "model")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["model", "runs", "calls", "failed", "input", "output", "cached", "cost"]
    assert lines[1].split() == ["m-1", "2", "6", "2", "2,000", "400", "60.8k", "$4.20"]
    assert lines[2].split() == ["m-2", "1", "3", "1", "1,000", "200", "30.4k", "-"]
    assert lines[3].split() == ["total", "3", "9", "3", "3,000", "600", "91.2k", "$4.20"]
    assert max(map(len, lines)) <= 80
    assert result.stderr == "no known price, so not in the cost: m-2\n"


def test_what_it_says_where_there_is_nothing_and_what_it_refuses(run: Run) -> None:
    assert "acode-tui import --all" in run("stats").stdout
    assert "no run fits" in run("stats", "agent:nobody").stdout
    assert answer(run("stats", "--json")) == {"rows": [], "cost": {"total": 0.0, "unpriced": []}}
    assert "--by" in run("stats", "--bye", "day").stderr
    assert run("stats", "--by", "week").exit_code == 2
    refused = run("stats", "colour:red")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: ACODE-")


@pytest.mark.usefixtures("recorded_runs")
def test_sessions_are_listed_by_what_they_cost(run: Run) -> None:
    lines = run("session", "list", "--sort", "cost").stdout.splitlines()
    assert [re.findall(r" (\$[\d.]+|-) +1 ", line) for line in lines[1:]] == [["$2.50"], ["$1.70"], ["-"]]
    assert re.search(r"cost +\$2\.50\n", run("session", "show", lines[1].split()[0]).stdout)
    page = ("session", "list", "--sort", "cost", "--limit", "1", "--json")
    after = answer(run(*page, "--after", answer(run(*page))["nextCursor"]))
    assert [each["metadata"]["cwd"] for each in after["sessions"]] == ["/src/shop"]
