"""Figures of the team are those of a scan of every run."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from acode_tui.domain.entities import SessionGraph
from acode_tui.domain.errors import ValidationError
from acode_tui.domain.search.facts import facts_of, meets
from acode_tui.domain.search.query import parse_query
from acode_tui.storage.ports import KEYS
from acode_tui.storage.postgres import run_figures
from acode_tui.storage.postgres.connection import PostgresConnectionFactory
from acode_tui.storage.postgres.run_figures import PostgresRunFigures
from acode_tui.storage.postgres.sync_target import PostgresSyncTarget
from tests.domain.graphs import strip_children
from tests.pg import Database
from tests.storage.figures_runs import T0, counted_runs, numbers, scanned
from tests.storage.postgres.conftest import target_of
from tests.storage.runs import records

NOW = T0 + timedelta(days=100)
WORKSPACE = "00000000-0000-0000-0000-000000000007"


@settings(max_examples=3, derandomize=True, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(runs=st.tuples(*(counted_runs(number) for number in range(1, 7))))
async def test_figures_of_the_team_are_those_of_a_scan(
    pg_database: Database, sync_target: PostgresSyncTarget, runs: tuple[SessionGraph, ...]
) -> None:
    head = await sync_target.register_workspace(WORKSPACE, user="ada", host="laptop", version="1")
    await pg_database.execute("TRUNCATE sessions, session_search, sync_inbox CASCADE")
    rows = strip_children([entity for run in runs for entity in run.entities()])
    await sync_target.apply(WORKSPACE, records(rows), incarnation=head.incarnation)
    pool = PostgresConnectionFactory(target_of(pg_database)).read_pool(size=1)
    figures = PostgresRunFigures(pool, wall=lambda: NOW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_figures, "_GROUP", 2)
        for by in KEYS:
            for text in ("", "agent:codex", "-project:shop", "count"):
                chosen = [run for run in runs if text == "count" or meets(parse_query(text, now=NOW), facts_of(run))]
                assert numbers(await figures.figures(text, by)) == scanned(chosen, by), text
                since, before = T0.date() + timedelta(days=1), T0.date() + timedelta(days=41)
                found = await figures.figures(f"{text} since:{since} before:{before}", by)
                assert numbers(found) == scanned(chosen, by, since, before), text
        patch.setattr(run_figures, "MOST_SESSIONS", 5)
        with pytest.raises(ValidationError, match="more than 5 runs"):
            await figures.figures("", "day")
    await pool.close()
