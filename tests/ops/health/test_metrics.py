"""Metrics for Prometheus: on loopback, measured at each scrape, each documented, served until the program ends."""

import asyncio
import re
import socket
import urllib.request
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from acode_tui.cli.headless import served_metrics, take_sample
from acode_tui.domain.errors import ConfigError
from acode_tui.ops.health.metrics import MetricsServer, Sample
from acode_tui.ops.health.metrics_http import ADDRESS
from acode_tui.workspace import Workspace
from tests.clocks import GUARD_SECONDS, TurnedClock
from tests.pg import Database
from tests.sync.conftest import team as team
from tests.sync.conftest import time as time
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import add_run, opened

DOCS = Path(__file__).resolve().parents[3] / "docs"


async def scrape(port: int) -> dict[str, float]:
    """Every sample by its name and labels."""

    def get() -> str:
        with urllib.request.urlopen(f"http://{ADDRESS}:{port}/metrics", timeout=GUARD_SECONDS) as answer:
            return str(answer.read().decode())

    text = await asyncio.to_thread(get)
    return {
        each.name + "".join(f"{{{name}={value}}}" for name, value in sorted(each.labels.items())): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


@pytest.fixture
async def server(workspace: Workspace) -> AsyncIterator[MetricsServer]:
    server = MetricsServer(lambda: take_sample(workspace))
    await server.open(0)
    workspace.observe(commits=server.observe_commit, batches=server.observe_batch)
    yield server
    await server.close()


async def test_each_scrape_has_the_numbers_of_that_moment(
    workspace: Workspace, server: MetricsServer, clock: TurnedClock
) -> None:
    before = await scrape(server.port)
    assert before["acode_up"] == 1
    assert before["acode_outbox_pending"] == before["acode_outbox_oldest_pending_seconds"] == 0
    await workspace.store.create_session("x")
    clock.turn(minutes=5)
    after = await scrape(server.port)
    assert after["acode_outbox_pending"] == 1
    assert after["acode_outbox_oldest_pending_seconds"] == pytest.approx(300, abs=0.01)
    assert after["acode_sessions"] == 1
    assert after["acode_write_commit_seconds_count"] == 1
    assert after["acode_sync_state{state=disabled}"] == 1
    assert sum(value for name, value in after.items() if name.startswith("acode_sync_state")) == 1


async def test_attempts_and_dead_letters_are_counted(workspace: Workspace, server: MetricsServer) -> None:
    await workspace.store.create_session("x")
    await workspace.store.create_session("y")
    first, second = await workspace.outbox.get_pending(2)
    await workspace.outbox.mark_failed(first.id, "refused")
    await workspace.outbox.mark_failed(second.id, "refused")
    for _ in range(9):
        await workspace.outbox.mark_failed(second.id, "refused")
    found = await scrape(server.port)
    assert found["acode_outbox_attempts"] == 11
    assert found["acode_outbox_retrying"] == found["acode_outbox_dead_letters"] == 1


async def test_batches_are_timed(tmp_path: Path, time: FakeTime, team: Database) -> None:
    async with opened(tmp_path, time) as workspace:
        server = MetricsServer(lambda: take_sample(workspace))
        workspace.observe(commits=server.observe_commit, batches=server.observe_batch)
        await server.open(0)
        try:
            await add_run(workspace)
            await workspace.sync.sync_now()
            found = await scrape(server.port)
        finally:
            await server.close()
        assert found["acode_sync_batch_seconds_count"] == 1
        assert found["acode_outbox_pending"] == 0
        assert "acode_postgres_latency_seconds" in found
        assert set(_documented()) <= _families(found) | {"acode_sync_next_attempt_timestamp_seconds"}


async def test_it_listens_on_loopback_alone(server: MetricsServer) -> None:
    others: set[str] = set()
    with suppress(socket.gaierror):  # a machine need not know its own name
        others = {str(each[4][0]) for each in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in others - {ADDRESS}:
        with socket.socket() as probe:
            probe.settimeout(1)
            assert probe.connect_ex((address, server.port)) != 0
    with socket.socket() as probe:
        assert probe.connect_ex((ADDRESS, server.port)) == 0


async def test_a_taken_port_is_an_error_and_a_closed_one_is_free_again(
    workspace: Workspace, server: MetricsServer
) -> None:
    with pytest.raises(ConfigError, match=f"another program listens on {ADDRESS}:{server.port}"):
        async with served_metrics(workspace, server.port):
            pass
    await server.close()
    async with served_metrics(workspace, server.port):
        assert (await scrape(server.port))["acode_up"] == 1
    with socket.socket() as probe:
        assert probe.connect_ex((ADDRESS, server.port)) != 0


async def test_an_unreadable_workspace_is_reported_as_down_without_an_error() -> None:
    async def fail() -> Sample:
        raise ConfigError("s3cret")

    server = MetricsServer(fail)
    await server.open(0)
    try:
        found = await scrape(server.port)
    finally:
        await server.close()
    assert found["acode_up"] == 0
    assert "acode_outbox_pending" not in found


def _documented() -> list[str]:
    return re.findall(r"^\| `(acode_\w+)` \| (?:gauge|counter|histogram)", (DOCS / "operating.md").read_text(), re.M)


def _families(found: dict[str, float]) -> set[str]:
    return {re.sub(r"_(?:bucket|count|sum|created)$", "", name.partition("{")[0]) for name in found}


async def test_every_number_is_documented(server: MetricsServer) -> None:
    assert _families(await scrape(server.port)) <= set(_documented())


def test_the_alert_rules_are_rules_over_numbers_that_exist() -> None:
    rules = yaml.safe_load((DOCS / "alerts.yml").read_text())
    (group,) = rules["groups"]
    names = [rule["alert"] for rule in group["rules"]]
    assert len(set(names)) == len(names) >= 10
    for rule in group["rules"]:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[smhd]", rule["for"])
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["expr"].count("(") == rule["expr"].count(")")
        named = re.findall(r"\bacode_\w+", rule["expr"])
        assert {re.sub(r"_bucket$", "", name) for name in named} <= set(_documented())
        assert named or rule["expr"].startswith("up{")
    states = set(re.findall(r"\w+", " ".join(re.findall(r'state=~?"([^"]+)"', str(group)))))
    from acode_tui.sync.ports import SyncState

    assert states <= {state.value for state in SyncState}
