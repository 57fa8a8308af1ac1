"""Six hours without a network, end to end: no record fails, no attempt is counted, nothing is lost or sent twice."""

from datetime import timedelta
from pathlib import Path

import pytest

from acode_tui import SessionState
from acode_tui.sync.ports import SyncState
from tests.fault_proxy import Mode, fault_proxy
from tests.pg import Database
from tests.sync.conftest import URL
from tests.sync.equality import assert_nothing_was_lost, checksum, ledger, rows_there
from tests.sync.fake_time import FakeTime
from tests.sync.workspaces import RECORDS, add_run, opened, query


@pytest.mark.ac("AC-025")
@pytest.mark.ac("AC-035")
@pytest.mark.ac("AC-038")
async def test_a_six_hour_flight(
    tmp_path: Path, time: FakeTime, team: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fault_proxy("127.0.0.1", team.server.port) as proxy:
        monkeypatch.setenv(URL, team.url_through(proxy.port))
        async with opened(tmp_path, time, sync=True) as workspace:
            before = await add_run(workspace, "before the flight")
            await time.advance(31)
            assert (await workspace.sync.status()).pending == 0

            await proxy.set_mode(Mode.REFUSE)
            took_off = time.now
            await workspace.store.transition_session(before.id, SessionState.FAILED, reason="boarding")
            for number in range(8):
                await time.advance(hours=0.75, step=60)
                await add_run(workspace, f"above the clouds {number}")
            status = await workspace.sync.status()
            assert status.state is SyncState.OFFLINE
            assert "refuses connections" in status.reason
            assert status.pending == 8 * RECORDS + 2
            assert status.oldest_pending_at is not None
            assert abs(status.oldest_pending_at - took_off) < timedelta(seconds=1)
            assert query(workspace, "SELECT max(attempts), count(failed_at) FROM outbox") == [(0, 0)]
            # The log has each change of state, not each probe.
            assert [entry.event for entry in await workspace.sync.log_tail(50)].count("interrupted") == 1
        assert time.now - took_off == timedelta(hours=6)

        # The program is restarted on board: the backlog stands.
        async with opened(tmp_path, time, sync=True) as workspace:
            assert (await workspace.sync.status()).pending == 8 * RECORDS + 2
            await time.advance(600, step=5)
            assert (await workspace.sync.status()).state is SyncState.OFFLINE

            # The network is back, and the program finds out by itself.
            await proxy.set_mode(Mode.PASS)
            await time.advance(30)
            status = await workspace.sync.status()
            assert (status.state, status.pending, status.conflicts) == (SyncState.IDLE, 0, 0)
            arrived = await team.fetch("SELECT task_description FROM sessions ORDER BY change_seq, created_at")
            assert [row[0] for row in arrived][-8:] == [f"above the clouds {number}" for number in range(8)]

        await assert_nothing_was_lost(workspace.database_path, team)
        rows, keys = checksum(await rows_there(team)), await ledger(team)
        async with opened(tmp_path, time) as workspace:
            report = await workspace.sync.sync_full()
        assert (report.synced, report.duplicates, report.remaining) == (0, 9 * 6 + 1, 0)
        assert checksum(await rows_there(team)) == rows
        assert sorted(await ledger(team)) == sorted(keys)
        await assert_nothing_was_lost(workspace.database_path, team)
